"""What a resource's cursor means: where a read begins, as the API's filter has it, and which objects are older."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from connectors.base import ReadRequest
from connectors.cursor import decode, field_type_of
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.inference.kinds import TEXT
from connectors.rest.columns import declared_columns, times
from connectors.rest.declaration import UNIX_TYPES, Resource
from connectors.rest.walking import Record


def check_cursor(resource: Resource, request: ReadRequest) -> None:
    """``ConfigurationError`` where the resource is not read so, ``SchemaChangedError`` where it was once."""
    cursor = request.cursor
    if cursor is None:
        return
    if resource.incremental is None or cursor.field != resource.incremental.field:
        raise ConfigurationError(f"{request.table} is not read by the incremental field {cursor.field}.")
    if request.columns is not None and cursor.field not in request.columns:
        raise ConfigurationError(f"The incremental field {cursor.field} must be among the columns of the read.")
    edge_of(resource, cursor.lower)


def is_by_token(resource: Resource) -> bool:
    """Whether the API tells what has changed by a token, whatever the cursor."""
    return resource.incremental is not None and resource.incremental.token is not None


def edge_of(resource: Resource, lower: str | None) -> Any:
    """``SchemaChangedError`` for a text that is no value of the cursor's type."""
    if lower is None:
        return None
    try:
        return decode(lower, _field_type(resource))
    except ValueError as error:
        raise SchemaChangedError(
            f"The incremental field of {resource.name} is of another type now than what was read by it: resync it."
        ) from error


def _field_type(resource: Resource) -> str:
    assert resource.incremental is not None
    return field_type_of(declared_columns(resource)[resource.incremental.field]) or ""


def since(resource: Resource, lower: str | None) -> str | None:
    """The cursor as the API's filter has it, a little earlier: an API may give what is greater only, and may round.

    What is known is recognised.
    """
    cursor = resource.incremental
    if lower is None or cursor is None or cursor.param is None:
        return None
    value = edge_of(resource, lower)
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return _moment(moment - timedelta(seconds=cursor.margin_seconds), cursor.format)
    if isinstance(value, date):
        return (value - timedelta(days=1)).isoformat()
    return str(int(value) - 1)


def _moment(moment: datetime, wanted: str) -> str:
    match wanted:
        case "unix":
            return str(int(moment.timestamp()))
        case "unix_ms":
            return str(int(moment.timestamp() * 1000))
        case "date":
            return moment.date().isoformat()
        case _:
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def is_older(record: Record, resource: Resource, edge: Any) -> bool:
    """In doubt it is not."""
    assert resource.incremental is not None
    name = resource.incremental.field
    value, kind = record.get(name), declared_columns(resource)[name]
    if not isinstance(value, str):
        return False
    text = pa.array([value], TEXT)
    unix = UNIX_TYPES.get(resource.columns[name])
    try:
        found = (times(text, unix) if unix else text).cast(kind)[0].as_py()
    except pa.ArrowInvalid:
        return False
    return bool(found < edge)
