"""Changing the settings of a schema, by the one set of rules."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session

from api.actions.capture_check import check_capture
from api.actions.webhook_attach import attached
from api.auth import Caller
from api.backend import Backend
from api.bodies.responses import SchemaBody
from api.bodies.schema_requests import BulkChanges, SchemaChanges
from api.errors import ConflictError, InvalidError, NotFoundError
from api.presentation import schema_bodies
from api.schema_rules import Effects, RuleError, SchemaSettings, TableFacts, check, effects, newly_followed
from metadata.captures import locked_capture
from metadata.live import live_schema, locked_schemas
from metadata.models import DIRECT, Schema, Source, SyncType, utc_now
from metadata.outbox import wish
from metadata.registrations import live_webhook
from metadata.schemas import holding_data, raise_generation, schemas_among
from metadata.sources import find_source


def change(backend: Backend, caller: Caller, schema_id: uuid.UUID, body: SchemaChanges) -> SchemaBody:
    """Ask the source where its log is wanted; store the new settings; then let Temporal follow them."""
    with backend.database.read() as session:
        seen = live_schema(session, caller.project_id, str(schema_id))
    if seen is None:
        raise NotFoundError
    check_capture(backend, seen[1], [seen[0]], [body.settings()])
    with (
        attached(backend, seen[1], [seen[0]], [body.settings()]),
        backend.database.transaction() as session,
    ):
        captured = _is_captured(session, seen[1].id, [body])
        received = _is_received(session, seen[1].id, [body])
        found = live_schema(session, caller.project_id, str(schema_id), lock=True)
        if found is None:
            raise NotFoundError
        changed = _change(backend, session, found[1], [found[0]], [body], captured, received)
    _deliver(backend, seen[1], changed)
    return changed.answers[0]


def change_many(backend: Backend, caller: Caller, source_id: uuid.UUID, body: BulkChanges) -> list[SchemaBody]:
    """The same for several schemas of one source: all or none. Answers them as they were named."""
    ids = [part.id for part in body.schemas]
    with backend.database.read() as session:
        seen = find_source(session, caller.project_id, source_id)
        known = schemas_among(session, source_id, ids) if _may_ask(body.schemas) else {}
    if seen is None:
        raise NotFoundError
    asked = [known[id] for id in ids] if all(id in known for id in ids) else []
    changes = [part.settings() for part in body.schemas] if asked else []
    check_capture(backend, seen, asked, changes, "schemas")
    with (
        attached(backend, seen, asked, changes, "schemas"),
        backend.database.transaction() as session,
    ):
        captured = _is_captured(session, source_id, body.schemas)
        received = _is_received(session, source_id, body.schemas)
        source = find_source(session, caller.project_id, source_id)
        if source is None:
            raise NotFoundError
        known = locked_schemas(session, source_id, ids)
        for place, id in enumerate(ids):
            if id not in known:
                raise InvalidError("This source has no such schema.", attr=f"schemas.{place}.id")
        schemas = [known[id] for id in ids]
        changed = _change(backend, session, source, schemas, body.schemas, captured, received, "schemas")
    _deliver(backend, source, changed)
    return changed.answers


@dataclass(frozen=True)
class _Changed:
    answers: list[SchemaBody]
    capture: bool
    """The source's capture has to hear of it."""


def _change(
    backend: Backend,
    session: Session,
    source: Source,
    schemas: Sequence[Schema],
    bodies: Sequence[SchemaChanges],
    captured: bool,
    received: bool,
    under: str = "",
) -> _Changed:
    """Give each schema, which is locked, the settings of its body, and the outbox what they ask of Temporal."""
    written = holding_data(session, schemas)
    capture = False
    for place, (schema, body) in enumerate(zip(schemas, bodies, strict=True)):
        before, had_run = SchemaSettings.of(schema), schema.enabled_at is not None
        asked = with_settings(
            schema,
            body.settings(),
            holds_data=schema.id in written,
            direct=source.access_method == DIRECT,
            captured=captured,
            under=f"{under}.{place}" if under else "",
        )
        session.add(schema)
        if newly_followed(before, SchemaSettings.of(schema)):
            if not received:
                raise ConflictError("The webhook of the source was taken back meanwhile: try again.")
            asked = _after_a_gap(session, schema, asked) if had_run else asked
        wish(session, [schema], *asked.wishes())
        capture = capture or asked.capture
    session.flush()
    return _Changed(schema_bodies(backend, session, schemas), capture)


def _deliver(backend: Backend, source: Source, changed: _Changed) -> None:
    backend.relay.deliver([str(answer.id) for answer in changed.answers])
    if changed.capture:
        backend.relay.capture_changed(source.project_id, str(source.id))


def _after_a_gap(session: Session, schema: Schema, asked: Effects) -> Effects:
    """Events were missed: everything is read anew, where it can be."""
    if schema.discovered.get("webhook_only"):
        return asked
    raise_generation(session, [schema.id])
    return replace(asked, start=False, resync=asked.start)


def _may_ask(bodies: Sequence[SchemaChanges]) -> bool:
    """Whether the source may have to be asked."""
    return any(body.sync_type in (SyncType.CDC, SyncType.WEBHOOK) or body.should_sync for body in bodies)


def _is_captured(session: Session, source_id: uuid.UUID, bodies: Sequence[SchemaChanges]) -> bool:
    """Whether the source has a capture, which then cannot end before the transaction does."""
    if not _may_ask(bodies):
        return False
    capture = locked_capture(session, source_id)
    return capture is not None and not capture.removing


def _is_received(session: Session, source_id: uuid.UUID, bodies: Sequence[SchemaChanges]) -> bool:
    """Whether the source has a webhook, which then cannot go before the transaction ends."""
    return _may_ask(bodies) and live_webhook(session, source_id, lock=True) is not None


def with_settings(
    schema: Schema,
    changes: Mapping[str, Any],
    *,
    holds_data: bool,
    under: str = "",
    direct: bool = False,
    captured: bool = False,
) -> Effects:
    """Give the row its new settings and say what they ask of Temporal; ``InvalidError`` where a rule forbids them."""
    before = SchemaSettings.of(schema)
    after = before.with_changes(changes, fresh=schema.enabled_at is None)
    facts = TableFacts.from_discovered(
        schema.discovered,
        vanished=schema.vanished_at is not None,
        holds_data=holds_data,
        direct=direct,
        captured=captured,
    )
    try:
        check(before, after, facts)
    except RuleError as error:
        raise InvalidError(error.detail, attr=f"{under}.{error.attr}" if under else error.attr) from error
    for name, value in after.as_dict().items():
        setattr(schema, name, value)
    schema.updated_at = utc_now()
    if after.should_sync and not before.should_sync:
        schema.enabled_at = utc_now()
        schema.failures_in_a_row = 0
    return effects(before, after)
