"""Row filters as conditions that SQLite computes itself, over the table's alias ``t``.

A value that is not of the column's kind is compared as SQLite compares it; where nothing is declared, a text that is a
number is one to numbers. ``like`` knows capitals from small letters
and takes a backslash for what makes the next character an ordinary one, as it does at every source.
"""

import math
from decimal import Decimal
from typing import Any

from connectors.base import RowFilter
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.filters import INT8, FilterError, check_filter, moment, number
from connectors.sqlite.catalogue import SourceColumn, SourceTable
from connectors.sqlite.declared import KINDS, Rule
from connectors.sqlite.sql import Condition, reference
from connectors.sqlite.times import canonical, canonical_text

_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_NEVER = Condition("0")


def filter_condition(table: SourceTable, wanted: RowFilter) -> Condition:
    """One row filter. ``ConfigurationError`` where the column does not take it."""
    column = table.column(wanted.column)
    if column is None:
        raise SchemaChangedError(f"The column {wanted.column} of a row filter is gone from {table.name}.")
    try:
        check_filter(column.name, KINDS[column.rule], (), wanted.op, wanted.value)
    except FilterError as error:
        raise ConfigurationError(error.message, attr="row_filter") from error
    here = reference(column.name)
    match wanted.op:
        case "is_null" | "is_not_null":
            return Condition(f"{here} IS {'NOT ' if wanted.op == 'is_not_null' else ''}NULL")
        case "like":
            return Condition(f"{here} GLOB ?", (_encodable(_glob(wanted.value)),))
        case "in":
            return _in(column, wanted.value)
        case _:
            return _comparison(column, wanted.op, wanted.value)


def _in(column: SourceColumn, values: Any) -> Condition:
    here = reference(column.name)
    left = canonical(here) if column.rule is Rule.MOMENT else here
    wanted = [value for each in values for value in _comparison(column, "=", each).values]
    return Condition(f"{left} IN ({', '.join('?' * len(wanted))})", tuple(wanted)) if wanted else _NEVER


def _comparison(column: SourceColumn, op: str, value: Any) -> Condition:
    here = reference(column.name)
    if column.rule in (Rule.WHOLE, Rule.FRACTION, Rule.FLOAT):
        return _number(column, op, value)
    if column.rule is Rule.MOMENT:
        time = moment(value)
        assert time is not None
        return Condition(f"{canonical(here)} {_OPERATORS[op]} ?", (canonical_text(time),))
    as_text = Condition(f"{here} {_OPERATORS[op]} ?", (_encodable(value),))
    if column.rule is not Rule.OPEN or number(value) is None:
        return as_text
    as_number = _number(column, op, value)
    numeric = f"typeof({here}) IN ('integer', 'real')"
    return Condition(
        f"CASE WHEN {numeric} THEN {as_number.sql} ELSE {as_text.sql} END", as_number.values + as_text.values
    )


def _number(column: SourceColumn, op: str, value: Any) -> Condition:
    """Whole numbers are compared as such; others by the nearest float, which is how SQLite itself reads them."""
    here, found = reference(column.name), number(value)
    assert found is not None
    if found == found.to_integral_value() and int(found) in INT8:
        return Condition(f"{here} {_OPERATORS[op]} ?", (int(found),))
    nearest = _float(found)
    if column.rule is not Rule.WHOLE or not nearest.is_integer():
        return Condition(f"{here} {_OPERATORS[op]} ?", (nearest,))
    # The nearest float is a whole number, and the value none.
    match op:
        case "<" | "<=":
            return Condition(f"{here} <= ?", (math.floor(found),))
        case ">" | ">=":
            return Condition(f"{here} >= ?", (math.ceil(found),))
        case "!=":
            return Condition(f"{here} IS NOT NULL")
        case _:
            return _NEVER


def _float(found: Decimal) -> float:
    try:
        return float(found)
    except OverflowError:
        return math.copysign(math.inf, found)


def _glob(pattern: str) -> str:
    """The pattern in the language of ``GLOB``, which no setting of the connection changes, as ``LIKE`` is changed."""
    parts, escaped = [], False
    for letter in pattern:
        if not escaped and letter == "\\":
            escaped = True
            continue
        if not escaped and letter in "%_":
            parts.append("*" if letter == "%" else "?")
        else:
            parts.append(f"[{letter}]" if letter in "*?[" else letter)
        escaped = False
    return "".join(parts)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError("A row filter's text is no valid Unicode.", attr="row_filter") from error
    return text
