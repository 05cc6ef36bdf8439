"""Columns of a table whose types were inferred: which type each gets in the lake, and its values in it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import ValueWarning
from connectors.errors import SchemaChangedError
from connectors.inference.chosen import as_chosen, lake_type, misfit
from connectors.inference.kinds import EMPTY, TEXT, out_of_range
from connectors.inference.texts import as_text, hexadecimal

OUT_OF_RANGE = "outside the years 1 to 9999"

_FORBIDDEN = re.compile(r"[ ,;{}()\n\t=]")
"""What Delta has in no name of a column."""

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


def type_name(kind: pa.DataType) -> str:
    """By the lake's names."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    return _NAMES.get(kind, str(kind))


def table_type(
    name: str, given: pa.DataType, chosen: Mapping[str, str], stored_as_text: Sequence[str], *, resumed: bool
) -> pa.DataType | None:
    """The type of the table's column; None where it is to be left out.

    ``given``: inferred of its values. ``chosen``: types that somebody chose. ``stored_as_text``: columns of the lake.
    ``resumed``: the lake has rows already, and with them a type for a column that has no value now.
    """
    if name in chosen:
        return chosen_type(name, chosen)
    if is_among(name, stored_as_text) and not pa.types.is_binary(given):
        return TEXT
    if given == EMPTY:
        return None if resumed else TEXT
    return given


def chosen_type(name: str, chosen: Mapping[str, str]) -> pa.DataType:
    """``SchemaChangedError`` where there is no such type."""
    kind = lake_type(chosen[name])
    if kind is None:
        raise SchemaChangedError(f"The column {name} cannot be copied as {chosen[name]}.", attr="type_overrides")
    return kind


def is_among(name: str, stored: Sequence[str]) -> bool:
    """Whether the lake's names have a source's column, which may be spelled or numbered otherwise there."""
    spelled = _FORBIDDEN.sub("_", name)
    return any(each == spelled or (each != name and each.startswith(f"{spelled}_")) for each in stored)


class Conversion:
    """Values as they were read, in the types of the table; what a type cannot hold becomes null and is counted."""

    def __init__(self, chosen: Mapping[str, str]) -> None:
        self._chosen = chosen
        self._taken_out: Counter[tuple[str, str]] = Counter()

    def converted(self, column: pa.Field, values: pa.Array, inferred: pa.DataType) -> pa.Array:
        """``inferred``: what the values are, which may still be texts. ``pa.ArrowInvalid`` where they are not."""
        if column.name in self._chosen:
            return self._as_chosen(column, values)
        return self._in_range(column.name, _widened(values, inferred, column.type))

    def warnings(self) -> list[ValueWarning]:
        return [ValueWarning(column, reason, count) for (column, reason), count in self._taken_out.items() if count]

    def _as_chosen(self, column: pa.Field, values: pa.Array) -> pa.Array:
        if values.type == column.type:
            return values
        text = hexadecimal(values) if pa.types.is_binary(values.type) else as_text(values)
        found, misfits = as_chosen(text, column.type)
        self._taken_out[column.name, misfit(self._chosen[column.name])] += misfits
        return found

    def _in_range(self, name: str, values: pa.Array) -> pa.Array:
        if not (pa.types.is_date32(values.type) or pa.types.is_timestamp(values.type)):
            return values
        outside = out_of_range(values)
        if outside is None:
            return values
        self._taken_out[name, OUT_OF_RANGE] += pc.sum(outside).as_py()
        return pc.if_else(outside, pa.scalar(None, values.type), values)


def _widened(values: pa.Array, inferred: pa.DataType, kind: pa.DataType) -> pa.Array:
    """In the table's type, which holds them all."""
    if inferred == EMPTY:
        return pa.nulls(len(values), kind)
    if values.type == TEXT and inferred != TEXT and kind != TEXT:
        values = values.cast(inferred)
    if values.type == kind:
        return values
    return as_text(values) if kind == TEXT else values.cast(kind)
