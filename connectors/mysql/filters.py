"""Row filters as conditions that the server computes itself, such that an index on the column serves them.

A number that the column cannot hold is never sent: it would be rounded, or compared as a floating number. What it means
for the column's own values is asked instead.
"""

import re
import struct
from contextlib import suppress
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

from connectors.base import RowFilter
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.filters import FilterError, check_filter, moment, number
from connectors.mysql.catalogue import SourceColumn, SourceTable
from connectors.mysql.columns import BYTES, FLOATS, GEOMETRIES, INTEGERS, reference
from connectors.mysql.sql import literal

NONE, ALL = "FALSE", "{here} IS NOT NULL"

_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_KINDS = {
    **dict.fromkeys((*INTEGERS, "year", "bit"), "integer"),
    "decimal": "numeric",
    **dict.fromkeys(FLOATS, "float"),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "set"), "text"),
    "enum": "enum",
    "date": "date",
    "datetime": "timestamp",
    "timestamp": "timestamptz",
    "uuid": "uuid",
    "json": "document",
    **dict.fromkeys((*BYTES, *GEOMETRIES), "binary"),
}
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64, "year": 16}
_CODECS = {"latin1": "cp1252", "koi8r": "koi8-r", "koi8u": "koi8-u", "ujis": "euc-jp", "ucs2": "unsupported"}
"""Python's names for the server's character sets, where they differ."""
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_TIME = re.compile(r"-?\d{1,3}:[0-5]\d(:[0-5]\d(\.\d{1,6})?)?")


def kind_of(column: SourceColumn) -> str:
    """The column's kind, as ``connectors.base.Column`` has it."""
    beyond_long = (column.base == "bigint" and column.unsigned) or (column.base == "bit" and column.precision == 64)
    return "numeric" if beyond_long else _KINDS.get(column.base, "other")


def labels_of(column: SourceColumn) -> tuple[str, ...]:
    """The values of an enum."""
    if column.base != "enum":
        return ()
    return tuple(label.replace("''", "'") for label in _LABEL.findall(column.type))


def filter_condition(table: SourceTable, wanted: RowFilter) -> str:
    """One row filter as a condition over the table's alias ``t``."""
    column = table.column(wanted.column)
    if column is None:
        raise SchemaChangedError(f"The column {wanted.column} of a row filter is gone from {table.name}.")
    try:
        check_filter(column.name, kind_of(column), labels_of(column), wanted.op, wanted.value)
    except FilterError as error:
        raise ConfigurationError(error.message, attr="row_filter") from error
    here = reference(column.name)
    match wanted.op:
        case "is_null":
            return f"{here} IS NULL"
        case "is_not_null":
            return f"{here} IS NOT NULL"
        case "in":
            found = [comparison(column, "=", each) for each in wanted.value]
            return " OR ".join(each for each in found if each != NONE) or NONE
        case "like":
            shown = f"CAST({here} AS CHAR)" if column.base == "json" else _comparable(column, wanted.value)
            return f"{shown} LIKE {literal(wanted.value)}"
        case _:
            return comparison(column, wanted.op, wanted.value)


def comparison(column: SourceColumn, op: str, value: Any) -> str:
    """The column compared with a value that fits its kind."""
    here = reference(column.name)
    kind = kind_of(column)
    if kind in ("integer", "numeric"):
        # A year is no number to the server: it takes 1 for 2001.
        return _exact(column, op, _number(value)).format(here=f"({here} + 0)" if column.base == "year" else here)
    if kind == "float":
        return f"{here} {_OPERATORS[op]} {_floating(column, _number(value))}"
    return f"{_comparable(column, value)} {_OPERATORS[op]} {constant(column, value)}"


def _comparable(column: SourceColumn, value: Any) -> str:
    """The column, in a character set that has the text's characters: with others the server compares nothing."""
    here = reference(column.name)
    if column.charset is None or not isinstance(value, str) or value.isascii() or _has(column.charset, value):
        return here
    return f"CONVERT({here} USING utf8mb4) COLLATE utf8mb4_bin"


def _has(charset: str, text: str) -> bool:
    if charset.startswith("utf"):
        return True
    try:
        text.encode(_CODECS.get(charset, charset))
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def constant(column: SourceColumn, value: Any) -> str:
    """A text, date or time as the server compares it with the column."""
    kind = kind_of(column)
    if kind == "date":
        return f"DATE{literal(value)}"
    if kind in ("timestamp", "timestamptz"):
        found = moment(value)
        assert found is not None
        return time_constant(found)
    if column.base == "time":
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise ConfigurationError(
                f"The column {column.name} holds times (12:30:00), and {value!r} is none.", attr="row_filter"
            )
        return f"TIME{literal(value)}"
    return literal(value)


def time_constant(value: datetime) -> str:
    """In UTC, as sessions are; a time without a zone is taken for one."""
    if value.tzinfo is not None:
        # What overflows is so early or late that some hours make no difference: no value with a zone is near.
        with suppress(OverflowError):
            value = value.astimezone(UTC)
        value = value.replace(tzinfo=None)
    return f"TIMESTAMP'{value.isoformat(sep=' ', timespec='microseconds')}'"


def _number(value: Any) -> Decimal:
    found = number(value)
    assert found is not None
    return found


def _exact(column: SourceColumn, op: str, value: Decimal) -> str:
    """The comparison of a column of whole or decimal numbers, with ``{here}`` for the column."""
    least, greatest, scale = _range(column)
    if value > greatest or value < least:
        everything = {"!="} | ({"<", "<="} if value > greatest else {">", ">="})
        return ALL if op in everything else NONE
    with localcontext() as context:
        context.prec = 2000
        below = value.quantize(Decimal(1).scaleb(-scale), ROUND_FLOOR)
        above = value.quantize(Decimal(1).scaleb(-scale), ROUND_CEILING)
    if below == above:
        return f"{{here}} {_OPERATORS[op]} {below:f}"
    if op in ("=", "!="):
        return NONE if op == "=" else ALL
    return f"{{here}} <= {below:f}" if op in ("<", "<=") else f"{{here}} >= {above:f}"


def _range(column: SourceColumn) -> tuple[Decimal, Decimal, int]:
    """What the column can hold at the most, and how many digits behind the point."""
    if column.base == "decimal":
        digits, scale = column.precision or 65, column.scale or 0
        greatest = Decimal(10) ** digits
        with localcontext() as context:
            context.prec = 100
            greatest = (greatest - 1).scaleb(-scale)
        return -greatest, greatest, scale
    if column.base == "bit":
        return Decimal(0), Decimal(2) ** (column.precision or 1) - 1, 0
    bits = _BITS[column.base]
    if column.unsigned:
        return Decimal(0), Decimal(2**bits - 1), 0
    return Decimal(-(2 ** (bits - 1))), Decimal(2 ** (bits - 1) - 1), 0


def _floating(column: SourceColumn, value: Decimal) -> str:
    """A float is compared with what it would hold of the value."""
    nearest = float(value)
    if column.base == "float":
        try:
            (nearest,) = struct.unpack("f", struct.pack("f", nearest))
        except OverflowError:
            nearest = float(value)
    return f"{nearest!r}e0" if "e" not in repr(nearest) else repr(nearest)
