"""Row filters, computed here: files have no engine of their own. Texts compare by their characters' numbers."""

import math
import operator
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import RowFilter
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.filters import FilterError, check_filter, moment, number
from connectors.inference.texts import as_text

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def kind_of(kind: pa.DataType) -> str:
    """What a column's values are compared as (``connectors.base.Column``)."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_decimal(kind):
        return "numeric"
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    return "binary" if pa.types.is_binary(kind) else "text"


def filtered(batch: pa.RecordBatch, filters: tuple[RowFilter, ...]) -> pa.RecordBatch:
    """The rows that satisfy all of them."""
    for each in filters:
        batch = batch.filter(_satisfying(batch.column(each.column), each))
    return batch


def check_filters(schema: pa.Schema, filters: tuple[RowFilter, ...]) -> None:
    """``SchemaChangedError`` for a column that is gone, ``ConfigurationError`` for a filter that it does not take."""
    for each in filters:
        if each.column not in schema.names:
            raise SchemaChangedError(f"The row filter is on the column {each.column}, which no file has.")
        try:
            check_filter(each.column, kind_of(schema.field(each.column).type), (), each.op, each.value)
        except FilterError as error:
            raise ConfigurationError(error.message, attr="row_filter") from error


def _satisfying(values: pa.Array, wanted: RowFilter) -> pa.Array:
    if wanted.op == "is_null":
        return pc.is_null(values)
    if wanted.op == "is_not_null":
        return pc.is_valid(values)
    if wanted.op == "like":
        return pc.match_substring_regex(as_text(values), _expression(wanted.value))
    # Values repeat: each is looked at once.
    encoded = values.dictionary_encode()
    kind = kind_of(values.type)
    holds = _condition(wanted, kind)
    answers = pa.array([holds(_comparable(each, kind)) for each in encoded.dictionary.to_pylist()], pa.bool_())
    return pc.fill_null(pc.take(answers, encoded.indices), False)


def _condition(wanted: RowFilter, kind: str) -> Callable[[Any], bool]:
    if wanted.op == "in":
        among = [_value(each, kind) for each in wanted.value]
        return lambda value: any(value == each for each in among)
    compares, other = _OPERATORS[wanted.op], _value(wanted.value, kind)
    return lambda value: compares(value, other)


def _comparable(value: Any, kind: str) -> Any:
    """NaN is greater than all numbers."""
    return Decimal("Infinity") if kind == "float" and math.isnan(value) else value


def _value(value: Any, kind: str) -> Any:
    match kind:
        case "boolean":
            return value if isinstance(value, bool) else value == "true"
        case "integer" | "numeric" | "float":
            return number(value)
        case "date":
            return date.fromisoformat(value)
        case "timestamp" | "timestamptz":
            return _moment(value, zoned=kind == "timestamptz")
        case _:
            return value


def _moment(value: str, *, zoned: bool) -> datetime | None:
    found = moment(value)
    if found is None or not zoned:
        return found
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _expression(pattern: str) -> str:
    """SQL's pattern as a regular expression."""
    parts = []
    characters = iter(pattern)
    for one in characters:
        if one == "\\":
            parts.append(re.escape(next(characters, "")))
        else:
            parts.append({"%": ".*", "_": "."}.get(one) or re.escape(one))
    return rf"(?s)\A{''.join(parts)}\z"
