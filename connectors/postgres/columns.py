"""The plan of each column: what to select for it, so that every driver gives it right, and its Arrow type.

The drivers' own ways with a type are not trusted. Whatever has no exact counterpart is turned into text by Postgres
itself; numbers that a decimal cannot hold become null at the source, because DuckDB reads NaN as 0; what is left to
check (times out of range, the padding of ``char(n)``, bytes that are no text) is done on the Arrow side for all drivers
alike (``values.py``). A type that the user chose in place of the contract's is planned in ``chosen.py``.
"""

from dataclasses import dataclass, replace
from enum import Enum

import pyarrow as pa

from connectors.postgres.catalogue import SourceColumn
from connectors.postgres.sql import identifier

UNBOUNDED = pa.decimal128(38, 18)
INFINITY_VERSION = 140000
NAN = "NaN"
INFINITE = "infinite"
OUT_OF_RANGE = "outside the years 1 to 9999"
NOT_UTF8 = "not valid UTF-8"


class Check(Enum):
    """What may hide in a column that its Arrow type cannot hold."""

    NONE = "none"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TEXT = "text"


@dataclass(frozen=True)
class Server:
    """What the way of reading a column depends on beside the column."""

    version: int
    raw_text: bool = False
    """The database is SQL_ASCII: its texts are bytes in whatever encoding the clients wrote them."""


@dataclass(frozen=True)
class ColumnPlan:
    """One column of a read. ``wire``: the Postgres type in which ``expression`` travels."""

    name: str
    expression: str
    arrow: pa.DataType
    wire: str
    check: Check = Check.NONE
    pad: int = 0
    """``char(n)``: DuckDB strips the trailing blanks that Postgres gives; they are put back to this length."""
    nulled: tuple[tuple[str, str], ...] = ()
    """Values that ``expression`` turns into null: the reason to report, and the condition by which they are counted."""

    @property
    def carried(self) -> pa.DataType:
        """What the fast driver delivers."""
        return pa.binary() if self.wire == "bytea" else self.arrow


@dataclass(frozen=True)
class _Rule:
    """``select`` over ``{here}``, the column; ``wire`` where that is of another type than the column."""

    arrow: pa.DataType
    select: str = "{here}"
    wire: str = ""
    check: Check = Check.NONE


_RULES = {
    "bool": _Rule(pa.bool_()),
    "int2": _Rule(pa.int16()),
    "int4": _Rule(pa.int32()),
    "int8": _Rule(pa.int64()),
    "oid": _Rule(pa.int64(), "CAST({here} AS int8)", "int8"),
    "float4": _Rule(pa.float32()),
    "float8": _Rule(pa.float64()),
    "bytea": _Rule(pa.binary()),
    "text": _Rule(pa.string(), check=Check.TEXT),
    "varchar": _Rule(pa.string(), wire="text", check=Check.TEXT),
    "uuid": _Rule(pa.string()),
    "date": _Rule(pa.date32(), check=Check.DATE),
    "timestamp": _Rule(pa.timestamp("us"), check=Check.TIMESTAMP),
    "timestamptz": _Rule(pa.timestamp("us", tz="UTC"), check=Check.TIMESTAMP),
    # Their cast to text gives another text than Postgres shows.
    "inet": _Rule(pa.string(), "textin(inet_out({here}))", "text"),
    "bpchar": _Rule(pa.string(), "textin(bpcharout({here}))", "text", Check.TEXT),
    "xml": _Rule(pa.string(), "textin(xml_out({here}))", "text", Check.TEXT),
}
"""All built-in types but ``numeric`` that do not travel as the text that a cast gives."""
_CAST = _Rule(pa.string(), "CAST({here} AS text)", "text", Check.TEXT)
_ARRAY = _Rule(pa.string(), "CAST(to_json({here}) AS text)", "text", Check.TEXT)


def reference(name: str) -> str:
    """A column of the table under read, whose alias is ``t``: it never means an output column of the same name."""
    return f"t.{identifier(name)}"


def value_of(column: SourceColumn) -> str:
    """The column in the type below its domains."""
    here = reference(column.name)
    return f"CAST({here} AS {column.cast})" if column.is_domain else here


def is_unbounded(column: SourceColumn) -> bool:
    """A numeric whose declaration alone does not say whether its values fit a decimal of 38 digits."""
    return column.base == "numeric" and _precision(column) is None


def plan(column: SourceColumn, server: Server, *, as_text: bool = False) -> ColumnPlan:
    """``as_text`` is for unbounded numerics whose values do not all fit ``decimal(38,18)``."""
    if column.base == "numeric":
        return _numeric(column, server.version, as_text)
    if column.base == "bpchar" and column.typmod > 4 and not server.raw_text:
        # Selected as it is, which spares the server two functions for each value.
        return ColumnPlan(column.name, value_of(column), pa.string(), "text", Check.TEXT, column.typmod - 4)
    rule = _ARRAY if column.is_array else _RULES.get(column.base, _CAST)
    select = rule.select.format(here=value_of(column))
    found = ColumnPlan(column.name, select, rule.arrow, rule.wire or column.base, rule.check)
    if server.raw_text and found.check is Check.TEXT:
        return replace(found, expression=text_bytes(f"CAST({select} AS text)", server), wire="bytea")
    return found


def text_bytes(text: str, server: Server) -> str:
    """A text in UTF-8; of an SQL_ASCII database as the bytes that it has, which as a text would end the read."""
    return f"convert_to({text}, 'SQL_ASCII')" if server.raw_text else f"textsend({text})"


def misfits(column: SourceColumn, version: int) -> str:
    """A condition that is true where an unbounded numeric's value does not fit ``decimal(38,18)`` exactly."""
    here = _finite(column, reference(column.name), version)
    return f"(abs({here}) >= 1e20 OR min_scale({here}) > 18)"


def not_a_value(column: SourceColumn, version: int) -> dict[str, str]:
    """Conditions for the values that a decimal cannot hold, by the reason to report."""
    here = reference(column.name)
    found = {NAN: f"{here} = 'NaN'"}
    if has_infinity(column, version):
        found[INFINITE] = f"{here} IN ('Infinity', '-Infinity')"
    return found


def has_infinity(column: SourceColumn, version: int) -> bool:
    """Whether a numeric may be infinite."""
    return column.typmod < 4 and version >= INFINITY_VERSION


def _precision(column: SourceColumn) -> tuple[int, int] | None:
    """Digits and scale of a decimal that holds every value of a declared numeric; None for an unbounded one."""
    if column.typmod < 4:
        return None
    precision = ((column.typmod - 4) >> 16) & 0xFFFF
    scale = (((column.typmod - 4) & 0x7FF) ^ 1024) - 1024
    if scale < 0:
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    return (precision, scale) if precision <= 38 else None


def _numeric(column: SourceColumn, version: int, as_text: bool) -> ColumnPlan:
    finite = _finite(column, value_of(column), version)
    nulled = tuple(not_a_value(column, version).items())
    if as_text:
        # Equal numbers are equal texts, whatever the zeros behind them: the copy may have to recognise a row by it.
        return ColumnPlan(
            column.name, f"CAST(trim_scale({finite}) AS text)", pa.string(), "text", Check.TEXT, nulled=nulled
        )
    fixed = _precision(column)
    if fixed is None:
        return ColumnPlan(column.name, f"CAST({finite} AS numeric(38,18))", UNBOUNDED, "numeric", nulled=nulled)
    precision, scale = fixed
    declared = column.typmod - 4 == (precision << 16 | scale)
    exact = finite if declared and not column.is_domain else f"CAST({finite} AS numeric({precision},{scale}))"
    return ColumnPlan(column.name, exact, pa.decimal128(precision, scale), "numeric", nulled=nulled)


def _finite(column: SourceColumn, here: str, version: int) -> str:
    finite = f"NULLIF({here}, 'NaN')"
    if has_infinity(column, version):
        finite = f"NULLIF(NULLIF({finite}, 'Infinity'), '-Infinity')"
    return finite
