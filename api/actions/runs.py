"""Starting and stopping runs, and deleting what they wrote."""

import uuid
from collections.abc import Sequence
from contextlib import suppress

from sqlmodel import Session

from api.actions.webhook_setup import leave
from api.auth import Caller
from api.backend import Backend
from api.errors import ConflictError, InvalidError, NotFoundError
from api.temporal import TemporalUnavailableError
from metadata.live import live_schema
from metadata.models import DIRECT, Schema, Source, SyncType, WishKind
from metadata.outbox import wish
from metadata.registrations import live_webhook
from metadata.schemas import delete_schemas, note_asked, raise_generation, schemas_of
from metadata.sources import delete_source, find_source

ERASE_PATIENCE_SECONDS = 5.0
"""Deleted data is mostly gone by the time of the answer; where it is not, that goes on behind it."""


def reload(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    """One run now; where one is active, exactly one more after it."""
    with backend.database.transaction() as session:
        schema, source = _schema(session, caller, schema_id, lock=True)
        _require_copied(source)
        _require_enabled(schema)
        note_asked(session, [schema.id])
        wish(session, [schema], WishKind.START)
    backend.relay.deliver([str(schema_id)])


def reload_source(backend: Backend, caller: Caller, source_id: uuid.UUID) -> None:
    """Reload every enabled schema."""
    with backend.database.transaction() as session:
        source = find_source(session, caller.project_id, source_id)
        if source is None:
            raise NotFoundError
        _require_copied(source)
        enabled = [schema for schema in schemas_of(session, [source.id])[source.id] if schema.should_sync]
        note_asked(session, [schema.id for schema in enabled])
        wish(session, enabled, WishKind.START)
        ids = [str(schema.id) for schema in enabled]
    backend.relay.deliver(ids)


def resync(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    """Rebuild from nothing. The raised generation says so to whatever run comes next."""
    with backend.database.transaction() as session:
        schema, source = _schema(session, caller, schema_id, lock=True)
        _require_copied(source)
        _require_enabled(schema)
        if schema.discovered.get("webhook_only"):
            raise InvalidError("The table is made of events: what came once cannot be read again.", code="webhook_only")
        raise_generation(session, [schema.id])
        wish(session, [schema], WishKind.RESYNC)
    backend.relay.deliver([str(schema_id)])


def cancel(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    """Not by the outbox: whether anything runs is known to Temporal alone, and a late cancel would stop another run."""
    with backend.database.read() as session:
        _schema(session, caller, schema_id)
    if not backend.temporal.cancel_run(str(schema_id)):
        raise ConflictError("No run of this schema is active.", code="not_running")


def delete_data(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    """The settings and the schedule stay; the next run is a first load."""
    with backend.database.transaction() as session:
        schema, source = _schema(session, caller, schema_id, lock=True)
        _require_copied(source)
        raise_generation(session, [schema.id], erase=True)
        wish(session, [schema], WishKind.ERASE)
    remove(backend, [str(schema_id)])


def delete_schema(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    with backend.database.transaction() as session:
        schema, source = _schema(session, caller, schema_id, lock=True)
        deleted = delete_schemas(session, [schema])
    remove(backend, deleted)
    if schema.sync_type == SyncType.CDC:
        backend.relay.capture_changed(caller.project_id, str(source.id))


def delete_source_with_data(backend: Backend, caller: Caller, source_id: uuid.UUID) -> None:
    with backend.database.transaction() as session:
        source = find_source(session, caller.project_id, source_id, lock=True)
        if source is None:
            raise NotFoundError
        webhook = live_webhook(session, source_id)
        deleted = delete_source(session, source)
    remove(backend, deleted)
    backend.relay.capture_changed(caller.project_id, str(source_id))
    if webhook is not None:
        leave(backend, source, webhook)


def remove(backend: Backend, schema_ids: Sequence[str]) -> None:
    """Take deleted schemas, or deleted data, out of Temporal and the lake; what takes longer goes on by itself."""
    if backend.relay.deliver(schema_ids):
        with suppress(TemporalUnavailableError):
            backend.temporal.wait_erased(schema_ids, ERASE_PATIENCE_SECONDS)


def _schema(session: Session, caller: Caller, schema_id: uuid.UUID, *, lock: bool = False) -> tuple[Schema, Source]:
    found = live_schema(session, caller.project_id, str(schema_id), lock=lock)
    if found is None:
        raise NotFoundError
    return found


def _require_copied(source: Source) -> None:
    if source.access_method == DIRECT:
        raise InvalidError("This source is queried live: nothing of it is ever copied.", code="direct_source")


def _require_enabled(schema: Schema) -> None:
    if schema.sync_type is None:
        raise InvalidError("Choose a sync type for this schema first.", code="not_configured")
    if not schema.should_sync:
        raise InvalidError("Enable this schema first.", code="disabled")
