"""The inputs of a connection: which are kept, which may be shown, and how a change merges over the stored ones."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from api.backend import Backend
from api.errors import InvalidError, invalid_source
from connectors.base import Connector, DiscoveredTable, FormField
from connectors.errors import SourceError
from connectors.registry import UnknownSourceTypeError, connector
from metadata.schemas import TableFacts

BLANK = (None, "")
_KEPT = ("kind", "primary_key", "unique_keys", "incremental_fields", "row_estimate", "webhook", "webhook_only")


def known_connector(source_type: str) -> Connector:
    """``InvalidError`` where there is no such source type."""
    try:
        return connector(source_type)
    except UnknownSourceTypeError as error:
        raise InvalidError(error.message, attr="source_type", code="invalid_choice") from error


def declared_inputs(source: Connector, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the source's form has a field for; anything else is ignored."""
    return {field.name: given[field.name] for field in source.form.fields if given.get(field.name) is not None}


def public_inputs(source_type: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Only what the form declares and does not call secret."""
    try:
        form = connector(source_type).form
    except UnknownSourceTypeError:
        return {}
    return {field.name: inputs[field.name] for field in form.fields if not field.secret and field.name in inputs}


def merged_inputs(source: Connector, stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` over ``stored``: absent fields stay, ``null`` clears, a blank secret keeps the stored one.

    A stored secret never goes to a new host: where one would, it must be given again. What means nothing without a
    field that is blank now is forgotten.
    """
    merged = dict(stored)
    for field in source.form.fields:
        if field.name in given and not (field.secret and given[field.name] in BLANK):
            merged[field.name] = given[field.name]
    for field in source.form.fields:
        if field.only_with is not None and merged.get(field.only_with) in BLANK:
            merged.pop(field.name, None)
    secrets = [f for f in source.form.fields if f.secret and merged.get(f.name) not in BLANK]
    kept = [f for f in secrets if stored.get(f.name) not in BLANK and not _given_anew(f, given)]
    if kept and any(f.decides_host and _moved(stored.get(f.name), merged.get(f.name)) for f in source.form.fields):
        raise InvalidError(
            f"The connection goes to another host now: give {kept[0].label} again.", attr=f"job_inputs.{kept[0].name}"
        )
    return {name: value for name, value in merged.items() if value is not None}


def tested_config(backend: Backend, source: Connector, inputs: Mapping[str, Any], *, attr: str) -> Any:
    """The connection's configuration, after a live login; ``InvalidError`` under ``attr`` where that fails."""
    try:
        config = backend.config(source, inputs)
        source.validate(config)
    except SourceError as error:
        raise invalid_source(error, attr) from error
    return config


def found_tables(backend: Backend, source: Connector, inputs: Mapping[str, Any], *, attr: str) -> list[DiscoveredTable]:
    """Its tables, after a live login; ``InvalidError`` under ``attr`` where either fails."""
    config = tested_config(backend, source, inputs, attr=attr)
    try:
        return source.discover(config)
    except SourceError as error:
        raise invalid_source(error, attr) from error


def table_facts(table: DiscoveredTable) -> TableFacts:
    """What the metadata keeps of a discovered table."""
    found = asdict(table)
    kept = {name: found[name] for name in _KEPT}
    columns = [{**column, "primary_key": column["name"] in table.primary_key} for column in found["columns"]]
    return TableFacts(table.name, {**kept, "columns": columns}, table.label, table.description)


def _given_anew(field: FormField, given: Mapping[str, Any]) -> bool:
    return given.get(field.name) not in BLANK


def _moved(before: Any, after: Any) -> bool:
    return _plain(before) != _plain(after)


def _plain(value: Any) -> str:
    """``5432`` and ``"5432"`` are one port; null and blank are one absence."""
    return "" if value is None else str(value)
