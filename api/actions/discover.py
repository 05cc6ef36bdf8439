"""Live looks at a source: its tables, and what one of them offers."""

import uuid
from collections.abc import Sequence

from api.auth import Caller
from api.backend import Backend
from api.bodies.responses import IncrementalFieldBody, IncrementalFieldsBody, RefreshBody
from api.errors import InvalidError, NotFoundError
from api.inputs import known_connector, table_facts
from api.presentation import available_columns
from api.schema_rules import CAPTURED_KINDS
from connectors.base import DiscoveredTable
from connectors.errors import SourceError
from connectors.registry import can_sync
from metadata.captures import captures_of
from metadata.live import live_schema
from metadata.models import Source, SyncType
from metadata.schemas import describe, reconcile_discovered
from metadata.sources import find_source


def refresh_schemas(backend: Backend, caller: Caller, source_id: uuid.UUID) -> RefreshBody:
    """Make the source's schemas agree with its tables. What is new is disabled; what holds data stays."""
    with backend.database.read() as session:
        seen = find_source(session, caller.project_id, source_id)
    if seen is None:
        raise NotFoundError
    tables = _look(backend, seen)
    with backend.database.transaction() as session:
        source = find_source(session, caller.project_id, source_id, lock=True)
        if source is None:
            raise NotFoundError
        changed = reconcile_discovered(session, source, [table_facts(table) for table in tables])
        answer = RefreshBody(added=len(changed.added), deleted=len(changed.removed), total_tables_seen=len(tables))
        gone = [*changed.vanished, *changed.removed]
        captured = any(schema.sync_type == SyncType.CDC for schema in gone)
    backend.relay.deliver([str(schema.id) for schema in gone])
    if captured:
        backend.relay.capture_changed(caller.project_id, str(source_id))
    return answer


def incremental_fields(backend: Backend, caller: Caller, schema_id: uuid.UUID) -> IncrementalFieldsBody:
    """What the source says of the table now; the schema remembers it, so that its settings are held against it."""
    with backend.database.read() as session:
        found = live_schema(session, caller.project_id, str(schema_id))
    if found is None:
        raise NotFoundError
    name = found[0].name
    table = next((table for table in _look(backend, found[1], [name]) if table.name == name), None)
    if table is None:
        raise InvalidError(f"The source no longer has the table {name}.", code="schema_changed")
    facts = table_facts(table)
    with backend.database.transaction() as session:
        known = live_schema(session, caller.project_id, str(schema_id), lock=True)
        if known is None:
            raise NotFoundError
        describe(known[0], facts)
        session.add(known[0])
        captured = known[1].id in captures_of(session, [known[1].id])
    offered = [IncrementalFieldBody.model_validate(field, from_attributes=True) for field in table.incremental_fields]
    return IncrementalFieldsBody(
        incremental_fields=offered,
        incremental_available=bool(offered),
        append_available=bool(offered),
        cdc_available=captured and can_sync(found[1].source_type, "cdc") and table.kind in CAPTURED_KINDS,
        full_refresh_available=not table.webhook_only,
        supports_webhooks=table.webhook,
        webhook_only=table.webhook_only,
        available_columns=available_columns(facts.facts),
        detected_primary_keys=list(table.primary_key) or None,
    )


def _look(backend: Backend, source: Source, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
    connector = known_connector(source.source_type)
    try:
        config = backend.stored_config(connector, source)
        with backend.source_calls.bounded(source.project_id):
            return connector.discover(config, names)
    except SourceError as error:
        raise InvalidError(error.message, code=error.code) from error
