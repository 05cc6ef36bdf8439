"""Changing the settings of a schema, by the one set of rules."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session

from api.auth import Caller
from api.backend import Backend
from api.bodies.responses import SchemaBody
from api.bodies.schema_requests import BulkChanges, SchemaChanges
from api.errors import InvalidError, NotFoundError
from api.presentation import schema_bodies
from api.schema_rules import Effects, RuleError, SchemaSettings, TableFacts, check, effects
from metadata.live import live_schema, locked_schemas
from metadata.models import DIRECT, Schema, Source, utc_now
from metadata.outbox import wish
from metadata.schemas import tables_of
from metadata.sources import find_source


def change(backend: Backend, caller: Caller, schema_id: uuid.UUID, body: SchemaChanges) -> SchemaBody:
    """Store the new settings; then let Temporal follow them."""
    with backend.database.transaction() as session:
        found = live_schema(session, caller.project_id, str(schema_id), lock=True)
        if found is None:
            raise NotFoundError
        [answer] = _change(backend, session, found[1], [found[0]], [body])
    backend.relay.deliver([str(schema_id)])
    return answer


def change_many(backend: Backend, caller: Caller, source_id: uuid.UUID, body: BulkChanges) -> list[SchemaBody]:
    """The same for several schemas of one source: all or none. Answers them as they were named."""
    with backend.database.transaction() as session:
        source = find_source(session, caller.project_id, source_id)
        if source is None:
            raise NotFoundError
        known = locked_schemas(session, source_id, [part.id for part in body.schemas])
        for place, part in enumerate(body.schemas):
            if part.id not in known:
                raise InvalidError("This source has no such schema.", attr=f"schemas.{place}.id")
        answers = _change(backend, session, source, [known[part.id] for part in body.schemas], body.schemas, "schemas")
    backend.relay.deliver([str(part.id) for part in body.schemas])
    return answers


def _change(
    backend: Backend,
    session: Session,
    source: Source,
    schemas: Sequence[Schema],
    bodies: Sequence[SchemaChanges],
    under: str = "",
) -> list[SchemaBody]:
    """Give each schema, which is locked, the settings of its body, and the outbox what they ask of Temporal."""
    tables = tables_of(session, schemas)
    for place, (schema, body) in enumerate(zip(schemas, bodies, strict=True)):
        asked = with_settings(
            schema,
            body.settings(),
            holds_data=schema.id in tables,
            direct=source.access_method == DIRECT,
            under=f"{under}.{place}" if under else "",
        )
        session.add(schema)
        wish(session, [schema], *asked.wishes())
    session.flush()
    return schema_bodies(backend, session, schemas)


def with_settings(
    schema: Schema, changes: Mapping[str, Any], *, holds_data: bool, under: str = "", direct: bool = False
) -> Effects:
    """Give the row its new settings and say what they ask of Temporal; ``InvalidError`` where a rule forbids them."""
    before = SchemaSettings.of(schema)
    after = before.with_changes(changes)
    facts = TableFacts.from_discovered(
        schema.discovered, vanished=schema.vanished_at is not None, holds_data=holds_data, direct=direct
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
