"""Changing the settings of a schema, by the one set of rules."""

import uuid
from collections.abc import Mapping
from typing import Any

from api.auth import Caller
from api.backend import Backend
from api.bodies.responses import SchemaBody
from api.bodies.schema_requests import SchemaChanges
from api.errors import InvalidError, NotFoundError
from api.presentation import schema_bodies
from api.schema_rules import Effects, RuleError, SchemaSettings, TableFacts, check, effects
from api.temporal import left_to_reconciler
from metadata.intents import schedule_intent
from metadata.live import live_schema
from metadata.models import Schema, utc_now
from metadata.schemas import tables_of


def change(backend: Backend, caller: Caller, schema_id: uuid.UUID, body: SchemaChanges) -> SchemaBody:
    """Store the new settings; then let Temporal follow them."""
    with backend.database.transaction() as session:
        found = live_schema(session, caller.project_id, str(schema_id), lock=True)
        if found is None:
            raise NotFoundError
        schema, source = found
        holds_data = bool(tables_of(session, [schema]))
        asked = with_settings(schema, body.settings(), holds_data=holds_data)
        session.add(schema)
        session.flush()
        intent = schedule_intent(schema, source, None)
        [answer] = schema_bodies(backend, session, [schema])
    with left_to_reconciler("a schedule that follows its settings"):
        if asked.schedule:
            backend.temporal.ensure_schedules([intent], trigger=asked.start)
        if asked.stop:
            backend.temporal.cancel_run(intent.schema_id)
    return answer


def with_settings(schema: Schema, changes: Mapping[str, Any], *, holds_data: bool, under: str = "") -> Effects:
    """Give the row its new settings and say what they ask of Temporal; ``InvalidError`` where a rule forbids them."""
    before = SchemaSettings.of(schema)
    after = before.with_changes(changes)
    facts = TableFacts.from_discovered(
        schema.discovered, vanished=schema.vanished_at is not None, holds_data=holds_data
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
