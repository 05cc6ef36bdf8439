"""The plan of each column: what to select for it, so that every driver gives it right, and its Arrow type.

The drivers' own ways with a type are not trusted. Whatever has no exact counterpart is turned into text by Postgres
itself; numerics lose their NaN at the source, because DuckDB reads it as 0; what is left to check (dates and times
out of range, the padding of ``char(n)``) is done on the Arrow side for all drivers alike (``values.py``).
"""

from dataclasses import dataclass
from enum import Enum

import pyarrow as pa

from connectors.postgres.catalogue import SourceColumn, SourceTable
from connectors.postgres.sql import identifier

UNBOUNDED = pa.decimal128(38, 18)
INFINITY_VERSION = 140000


class Check(Enum):
    """What may hide in a column that its Arrow type cannot hold."""

    NONE = "none"
    NUMERIC = "numeric"
    DATE = "date"
    TIMESTAMP = "timestamp"


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


_PLAIN: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bytea": pa.binary(),
    "text": pa.string(),
    "uuid": pa.string(),
}
_TIMES: dict[str, tuple[pa.DataType, Check]] = {
    "date": (pa.date32(), Check.DATE),
    "timestamp": (pa.timestamp("us"), Check.TIMESTAMP),
    "timestamptz": (pa.timestamp("us", tz="UTC"), Check.TIMESTAMP),
}
_OUTPUT_FUNCTIONS = {"inet": "inet_out", "bpchar": "bpcharout"}
"""Types whose cast to text gives another text than Postgres shows."""


def reference(name: str) -> str:
    """A column of the table under read, whose alias is ``t``: it never means an output column of the same name."""
    return f"t.{identifier(name)}"


def is_unbounded(column: SourceColumn) -> bool:
    """A numeric whose declaration alone does not say whether its values fit a decimal of 38 digits."""
    return column.base == "numeric" and _precision(column) is None


def plan(column: SourceColumn, version: int, *, as_text: bool = False) -> ColumnPlan:
    """``as_text`` is for unbounded numerics whose values do not all fit ``decimal(38,18)``."""
    here = f"CAST({reference(column.name)} AS {column.cast})" if column.is_domain else reference(column.name)
    if column.base in _TIMES:
        arrow, check = _TIMES[column.base]
        return ColumnPlan(column.name, here, arrow, column.base, check)
    if column.base == "numeric":
        return _numeric(column, here, version, as_text)
    if column.base in _PLAIN:
        return ColumnPlan(column.name, here, _PLAIN[column.base], column.base)
    if column.base == "varchar":
        return ColumnPlan(column.name, here, pa.string(), "text")
    if column.base == "bpchar" and column.typmod > 4:
        return ColumnPlan(column.name, here, pa.string(), "text", pad=column.typmod - 4)
    if column.base == "oid":
        return ColumnPlan(column.name, f"CAST({here} AS int8)", pa.int64(), "int8")
    return ColumnPlan(column.name, _text(column, here), pa.string(), "text")


def misfits(column: SourceColumn, version: int) -> str:
    """A condition that is true where an unbounded numeric's value does not fit ``decimal(38,18)`` exactly."""
    here = _finite(column, reference(column.name), version)
    return f"(abs({here}) >= 1e20 OR min_scale({here}) > 18)"


def not_a_value(column: SourceColumn, version: int) -> dict[str, str]:
    """Conditions for the values that a decimal cannot hold, by the reason to report."""
    here = reference(column.name)
    found = {"NaN": f"{here} = 'NaN'"}
    if _has_infinity(column, version):
        found["infinite"] = f"{here} IN ('Infinity', '-Infinity')"
    return found


def planned(table: SourceTable, names: tuple[str, ...], version: int, as_text: frozenset[str]) -> list[ColumnPlan]:
    """Plans of the named columns, in the order of the table."""
    wanted = set(names)
    return [plan(each, version, as_text=each.name in as_text) for each in table.columns if each.name in wanted]


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


def _numeric(column: SourceColumn, here: str, version: int, as_text: bool) -> ColumnPlan:
    finite = _finite(column, here, version)
    if as_text:
        return ColumnPlan(column.name, f"CAST({finite} AS text)", pa.string(), "text", Check.NUMERIC)
    fixed = _precision(column)
    if fixed is None:
        return ColumnPlan(column.name, f"CAST({finite} AS numeric(38,18))", UNBOUNDED, "numeric", Check.NUMERIC)
    precision, scale = fixed
    declared = column.typmod - 4 == (precision << 16 | scale)
    exact = finite if declared and not column.is_domain else f"CAST({finite} AS numeric({precision},{scale}))"
    return ColumnPlan(column.name, exact, pa.decimal128(precision, scale), "numeric", Check.NUMERIC)


def _finite(column: SourceColumn, here: str, version: int) -> str:
    finite = f"NULLIF({here}, 'NaN')"
    if _has_infinity(column, version):
        finite = f"NULLIF(NULLIF({finite}, 'Infinity'), '-Infinity')"
    return finite


def _has_infinity(column: SourceColumn, version: int) -> bool:
    return column.typmod < 4 and version >= INFINITY_VERSION


def _text(column: SourceColumn, here: str) -> str:
    if column.is_array:
        return f"CAST(to_json({here}) AS text)"
    if column.base in _OUTPUT_FUNCTIONS:
        return f"textin({_OUTPUT_FUNCTIONS[column.base]}({here}))"
    return f"CAST({here} AS text)"
