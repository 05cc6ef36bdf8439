"""How a table's columns and those of new rows come together. Pure.

A new column is added, null in the rows that are there. A vanished one stays, null in the rows that come. A type that
holds all values of the other wins; where neither does, a clear error.
"""

from dataclasses import dataclass

import pyarrow as pa

from lake.columns import source_name
from lake.errors import IncompatibleSchemaError

_DIGITS = {pa.int16(): 5, pa.int32(): 10, pa.int64(): 19}
_WIDER = {
    pa.int16(): {pa.int32(), pa.int64(), pa.float32(), pa.float64()},
    pa.int32(): {pa.int64(), pa.float64()},
    pa.float32(): {pa.float64()},
    pa.date32(): {pa.timestamp("us")},
}


@dataclass(frozen=True)
class Evolution:
    """``schema``: of the table from now on. ``widened``: stored columns whose values are to be rewritten."""

    schema: pa.Schema
    widened: tuple[str, ...] = ()


def evolve(stored: pa.Schema, incoming: pa.Schema) -> Evolution:
    """Merge two stored schemas, in the table's order with new columns at the end."""
    spelled = {name.casefold(): name for name in stored.names}
    fields, widened = [], []
    for column in stored:
        new = incoming.field(column.name).type if column.name in incoming.names else column.type
        kind = common_type(column.name, column.type, new)
        fields.append(column.with_type(kind))
        if kind != column.type:
            widened.append(column.name)
    for column in incoming:
        if column.name in stored.names:
            _check_same_source(stored.field(column.name), column)
            continue
        if other := spelled.get(column.name.casefold()):
            raise IncompatibleSchemaError(
                f"Column {column.name!r} differs from the stored {other!r} only in case; resync the table to rename it."
            )
        fields.append(column)
    return Evolution(pa.schema(fields), tuple(widened))


def differences(before: pa.Schema | None, after: pa.Schema) -> tuple[str, ...]:
    """What readers find changed, for people: columns by their source names, none where there was no table."""
    if before is None:
        return ()
    old = {source_name(column): column.type for column in before}
    new = {source_name(column): column.type for column in after}
    told = [f"{name} is gone" for name in old if name not in new]
    for name, kind in new.items():
        if name not in old:
            told.append(f"{name} is new, {describe_type(kind)}")
        elif kind != old[name]:
            told.append(f"{name} is {describe_type(kind)} and was {describe_type(old[name])}")
    return tuple(told)


def _check_same_source(stored: pa.Field, incoming: pa.Field) -> None:
    """Names that need telling apart may be given otherwise once one of them is gone: rows must not mix."""
    if source_name(stored) != source_name(incoming):
        raise IncompatibleSchemaError(
            f"Column {stored.name!r} holds {source_name(stored)!r} of the source, and would now hold "
            f"{source_name(incoming)!r}; resync the table."
        )


def common_type(name: str, stored: pa.DataType, incoming: pa.DataType) -> pa.DataType:
    """The one of the two that holds all values of the other; ``IncompatibleSchemaError`` where neither does."""
    if holds(stored, incoming):
        return stored
    if holds(incoming, stored):
        return incoming
    raise IncompatibleSchemaError(
        f"Column {name!r} is now {describe_type(incoming)} but is stored as {describe_type(stored)}, "
        "which cannot hold it; resync the table."
    )


def holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Every value of ``narrow`` has its exact like in ``wide``."""
    if wide == narrow or wide in _WIDER.get(narrow, ()):
        return True
    if pa.types.is_decimal(wide):
        whole = wide.precision - wide.scale
        if pa.types.is_decimal(narrow):
            return bool(wide.scale >= narrow.scale and whole >= narrow.precision - narrow.scale)
        return bool(whole >= _DIGITS.get(narrow, 99))
    return bool(wide == pa.string() and not pa.types.is_binary(narrow))


def describe_type(kind: pa.DataType) -> str:
    """A stored type by Delta's name for it."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    return _NAMES.get(kind, str(kind))


_NAMES = {
    pa.bool_(): "boolean",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
}
