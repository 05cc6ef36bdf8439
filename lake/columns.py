"""From a source's columns to the stored ones: names and types that every Delta reader takes, and columns of our own."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lake.errors import IncompatibleSchemaError

SYNC_AT = "_sync_at"
"""When the run that brought the row read it."""
SYNC_LSN = "_sync_lsn"
"""Where the source's log keeps a table: the position of the change that the row is from, or from which it was read."""
SYNC_DELETED = "_sync_deleted"
SYNC_DELETED_AT = "_sync_deleted_at"
"""Where deleted rows stay: whether the source still has the row, and when it was deleted there."""
SYNC_OP = "_sync_op"
SYNC_ORDINAL = "_sync_ordinal"
SYNC_COMMIT_AT = "_sync_commit_at"
SYNC_VALID_FROM = "_sync_valid_from"
SYNC_VALID_TO = "_sync_valid_to"
"""Of a table that keeps every version of a row: what made it, and from when until when it was the row."""
SYNC_ORDER = "_sync_order"
"""Where a provider's events keep a table: how new the row is. Of two states of a row the greater one counts."""
RESERVED_PREFIX = "_sync_"
"""Of all columns of our own, and of none of a source's."""
SOURCE_NAME = "syncline.source"
"""In the metadata of a stored column that had to be renamed: what the source calls it."""
SYNC_AT_FIELD = pa.field(SYNC_AT, pa.timestamp("us", "UTC"))
SYNC_LSN_FIELD = pa.field(SYNC_LSN, pa.int64())
SYNC_ORDER_FIELD = pa.field(SYNC_ORDER, pa.int64())
SYNC_VALID_TO_FIELD = pa.field(SYNC_VALID_TO, pa.timestamp("us", "UTC"))
HISTORY_FIELDS = (
    pa.field(SYNC_OP, pa.string()),
    pa.field(SYNC_ORDINAL, pa.int64()),
    pa.field(SYNC_COMMIT_AT, pa.timestamp("us", "UTC")),
    pa.field(SYNC_VALID_FROM, pa.timestamp("us", "UTC")),
    SYNC_VALID_TO_FIELD,
)
"""Behind ``_sync_at`` and ``_sync_lsn``."""
SYNC_DELETED_FIELDS = (pa.field(SYNC_DELETED, pa.bool_()), pa.field(SYNC_DELETED_AT, pa.timestamp("us", "UTC")))

_FORBIDDEN = re.compile(r"[ ,;{}()\n\t=]")


@dataclass(frozen=True)
class StoredColumns:
    """``schema`` is what is stored; ``names`` leads from the source's names to the stored ones."""

    schema: pa.Schema
    names: Mapping[str, str]

    def stored(self, source_names: Sequence[str]) -> tuple[str, ...]:
        return tuple(self.names[name] for name in source_names)

    def as_json(self) -> dict[str, Any]:
        schema = base64.b64encode(self.schema.serialize().to_pybytes()).decode()
        return {"schema": schema, "names": dict(self.names)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "StoredColumns":
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(values["schema"])))
        return cls(schema, values["names"])


def stored_columns(source: pa.Schema, own: Sequence[pa.Field] = (SYNC_AT_FIELD,)) -> StoredColumns:
    """Plan the stored columns, in the source's order, all nullable, with our own at the end."""
    names = stored_names(source.names)
    fields = [_stored_field(column, names[column.name]) for column in source]
    return StoredColumns(pa.schema([*fields, *own]), names)


def is_own(column: str) -> bool:
    """Whether a stored column is ours and not the source's."""
    return column.startswith(RESERVED_PREFIX)


def _stored_field(column: pa.Field, name: str) -> pa.Field:
    metadata = None if name == column.name else {SOURCE_NAME: column.name}
    return pa.field(name, stored_type(column), metadata=metadata)


def source_name(stored: pa.Field) -> str:
    """What the source calls a stored column."""
    name: str = stored.name
    renamed: bytes | None = (stored.metadata or {}).get(SOURCE_NAME.encode())
    return name if renamed is None else renamed.decode()


def stored_names(source: Sequence[str]) -> dict[str, str]:
    """Names as they are where Delta allows them. Those that may stay do so before others are given a free one."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for name in source:
        if _acceptable(name) == name and name.casefold() not in taken:
            names[name] = name
            taken.add(name.casefold())
    for name in source:
        if name not in names:
            names[name] = _free_name(_acceptable(name), taken)
            taken.add(names[name].casefold())
    return {name: names[name] for name in source}


def _acceptable(name: str) -> str:
    cleaned = _FORBIDDEN.sub("_", name) or "_"
    return f"source{cleaned}" if cleaned.casefold().startswith(RESERVED_PREFIX) else cleaned


def _free_name(name: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while candidate.casefold() in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def stored_type(column: pa.Field) -> pa.DataType:
    """The stored type of a column: unsigned integers become the next that holds them, views and large ones plain."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if kind in _WIDENED:
        return _WIDENED[kind]
    if kind in _PLAIN or pa.types.is_decimal128(kind):
        return kind
    raise IncompatibleSchemaError(f"Column {column.name!r} has the type {kind}, which the lake cannot hold.")


_PLAIN = {
    pa.bool_(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.binary(),
    pa.date32(),
}
_WIDENED = {
    pa.int8(): pa.int16(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.null(): pa.string(),
    pa.date64(): pa.date32(),
}


def conform(
    batch: pa.RecordBatch, columns: StoredColumns, own: Sequence[pa.Scalar], *, ordered: bool = False
) -> pa.RecordBatch:
    """A source batch as it is stored, with one value of each of our own columns for all rows. Of an ``ordered`` one the
    last column is ours, too, and comes last.

    A value that its stored type cannot hold raises, never changes.
    """
    given = batch.columns[:-1] if ordered else batch.columns
    arrays = [
        array if array.type == column.type else array.cast(column.type)
        for array, column in zip(given, columns.schema, strict=False)
    ]
    constants = [pa.repeat(value, batch.num_rows) for value in own]
    orders = [batch.column(batch.num_columns - 1)] if ordered else []
    return pa.RecordBatch.from_arrays([*arrays, *constants, *orders], schema=columns.schema)
