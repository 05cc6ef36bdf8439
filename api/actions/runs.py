"""Starting and stopping runs, and deleting what they wrote."""

import uuid

from sqlmodel import Session

from api.auth import Caller
from api.backend import Backend
from api.errors import ConflictError, InvalidError, NotFoundError
from api.temporal import left_to_reconciler
from metadata.intents import schedule_intent
from metadata.live import live_schema
from metadata.models import Schema, Source
from metadata.schemas import Deleted, delete_schemas, raise_generation, schemas_of
from metadata.sources import delete_source, find_source


def reload(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    """One run now; where one is active, exactly one more after it."""
    with backend.database.read() as session:
        schema, source = _schema(session, caller, schema_id)
    _require_enabled(schema)
    backend.temporal.start_runs([schedule_intent(schema, source, None)])


def reload_source(backend: Backend, caller: Caller, source_id: uuid.UUID) -> None:
    """Reload every enabled schema."""
    with backend.database.read() as session:
        source = find_source(session, caller.project_id, source_id)
        if source is None:
            raise NotFoundError
        schemas = schemas_of(session, [source.id])[source.id]
    backend.temporal.start_runs([schedule_intent(schema, source, None) for schema in schemas if schema.should_sync])


def resync(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    """Rebuild from nothing. The raised generation says so to whatever run comes next."""
    with backend.database.transaction() as session:
        schema, source = _schema(session, caller, schema_id, lock=True)
        _require_enabled(schema)
        raise_generation(session, [schema.id])
        intent = schedule_intent(schema, source, None)
    with left_to_reconciler("a resync"):
        backend.temporal.resync(intent)


def cancel(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    with backend.database.read() as session:
        _schema(session, caller, schema_id)
    if not backend.temporal.cancel_run(str(schema_id)):
        raise ConflictError("No run of this schema is active.", code="not_running")


def delete_data(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    """The settings and the schedule stay; the next run is a first load."""
    with backend.database.transaction() as session:
        schema, _ = _schema(session, caller, schema_id, lock=True)
        raise_generation(session, [schema.id], erase=True)
    with left_to_reconciler("the deletion of a table's data"):
        backend.temporal.erase(caller.project_id, [str(schema_id)])


def delete_schema(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> None:
    with backend.database.transaction() as session:
        schema, _ = _schema(session, caller, schema_id, lock=True)
        deleted = delete_schemas(session, [schema])
    remove(backend, caller.project_id, deleted)


def delete_source_with_data(backend: Backend, caller: Caller, source_id: uuid.UUID) -> None:
    with backend.database.transaction() as session:
        source = find_source(session, caller.project_id, source_id, lock=True)
        if source is None:
            raise NotFoundError
        deleted = delete_source(session, source)
    remove(backend, caller.project_id, deleted)


def remove(backend: Backend, project_id: int, deleted: Deleted) -> None:
    """Take deleted schemas out of Temporal and the lake."""
    with left_to_reconciler("the removal of deleted schemas"):
        backend.temporal.delete_schedules(deleted.scheduled)
        backend.temporal.erase(project_id, deleted.written)


def _schema(session: Session, caller: Caller, schema_id: uuid.UUID, *, lock: bool = False) -> tuple[Schema, Source]:
    found = live_schema(session, caller.project_id, str(schema_id), lock=lock)
    if found is None:
        raise NotFoundError
    return found


def _require_enabled(schema: Schema) -> None:
    if schema.sync_type is None:
        raise InvalidError("Choose a sync type for this schema first.", code="not_configured")
    if not schema.should_sync:
        raise InvalidError("Enable this schema first.", code="disabled")
