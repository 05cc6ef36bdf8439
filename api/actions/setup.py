"""Questions before a source is made: what it would have, whether its name is free, which types there are."""

from api.auth import Caller
from api.backend import Backend
from api.bodies.responses import IncrementalFieldBody
from api.bodies.setup import (
    Capabilities,
    Connection,
    Preview,
    PreviewColumn,
    PreviewQuestion,
    TableChoice,
    WizardField,
    WizardOption,
    WizardSource,
)
from api.captures import can_capture
from api.errors import InvalidError, invalid_source
from api.inputs import declared_inputs, found_tables, known_connector, table_facts
from api.presentation import available_columns
from api.schema_rules import CAPTURED_KINDS
from connectors.base import Connector, Direct, DiscoveredTable, FormField, IncrementalField, Previewing
from connectors.errors import SourceError
from connectors.inference.columns import type_name
from connectors.receiving import Receiving
from connectors.registry import all_connectors
from query.values import jsonable

USUAL_CURSORS = (
    "updated_at",
    "updatedat",
    "modified_at",
    "modifiedat",
    "last_modified",
    "updated",
    "modified",
    "created_at",
    "createdat",
    "created",
)
"""Names of columns that usually say when a row last changed, the best first."""
MOST_PREVIEWED = 100


def tables(backend: Backend, caller: Caller, body: Connection) -> list[TableChoice]:
    """The tables of a source that is not there yet, after a live login. Nothing is stored."""
    connector = known_connector(body.source_type)
    inputs = declared_inputs(connector, body.inputs())
    with backend.source_calls.bounded(caller.project_id):
        found = found_tables(backend, connector, inputs, attr="")
    return [_choice(connector, table) for table in found]


def preview(backend: Backend, caller: Caller, body: PreviewQuestion) -> Preview:
    """Some rows of one of its tables. Nothing is stored."""
    connector = known_connector(body.source_type)
    if not isinstance(connector, Previewing):
        raise InvalidError(f"Tables of {body.source_type} cannot be previewed.", attr="source_type")
    inputs = declared_inputs(connector, body.inputs())
    with backend.source_calls.bounded(caller.project_id):
        try:
            found = connector.preview(backend.config(connector, inputs), body.resource)
        except SourceError as error:
            raise invalid_source(error, "") from error
    columns = [PreviewColumn(name=each.name, type=type_name(each.type)) for each in found.schema]
    rows = [[jsonable(value) for value in row.values()] for row in found.slice(0, MOST_PREVIEWED).to_pylist()]
    return Preview(resource=body.resource, columns=columns, rows=rows)


def wizard() -> dict[str, WizardSource]:
    """Every source type by its name."""
    return {connector.source_type: _described(connector) for connector in all_connectors()}


def _choice(connector: Connector, table: DiscoveredTable) -> TableChoice:
    has_cursor = bool(table.incremental_fields)
    return TableChoice(
        table=table.name,
        label=table.label,
        description=table.description,
        kind=table.kind,
        rows=table.row_estimate,
        full_refresh_available="full_refresh" in connector.sync_types and not table.webhook_only,
        incremental_available=has_cursor and "incremental" in connector.sync_types,
        append_available=has_cursor and "append" in connector.sync_types,
        cdc_available=can_capture(connector) and table.kind in CAPTURED_KINDS,
        supports_webhooks=table.webhook,
        webhook_only=table.webhook_only,
        incremental_field=_suggested(table.incremental_fields),
        incremental_fields=[
            IncrementalFieldBody.model_validate(field, from_attributes=True) for field in table.incremental_fields
        ],
        available_columns=available_columns(table_facts(table).facts),
        detected_primary_keys=list(table.primary_key) or None,
    )


def _suggested(fields: tuple[IncrementalField, ...]) -> str | None:
    """By name; else the first that there is."""
    by_name = {each.field.lower(): each.field for each in reversed(fields)}
    usual = (by_name[name] for name in USUAL_CURSORS if name in by_name)
    return next(usual, fields[0].field if fields else None)


def _described(connector: Connector) -> WizardSource:
    form = connector.form
    return WizardSource(
        name=form.name,
        label=form.label,
        caption=form.caption,
        docs_url=form.docs_url,
        fields=[_field(each) for each in form.fields],
        webhook_fields=[_field(each) for each in connector.webhook_fields] if isinstance(connector, Receiving) else [],
        capabilities=Capabilities(
            sync_types=list(connector.sync_types),
            cdc=can_capture(connector),
            webhooks="webhook" in connector.sync_types,
            direct=isinstance(connector, Direct),
        ),
    )


def _field(field: FormField) -> WizardField:
    return WizardField(
        name=field.name,
        label=field.label,
        type=field.type,
        required=field.required,
        secret=field.secret,
        default=field.default,
        placeholder=field.placeholder,
        options=[WizardOption(label=option, value=option) for option in field.options],
    )
