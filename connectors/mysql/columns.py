"""The plan of each column: what to select for it, and its Arrow type.

All values travel as the text that the server makes of them, which is exact but for floating numbers, bit fields and
geometries: those are selected as something else. ``values.py`` makes of the texts what the contract says. A type that
the user chose in place of the contract's is planned in ``chosen.py``.
"""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from connectors.mysql.catalogue import SourceColumn, SourceTable
from connectors.mysql.sql import identifier

UNBOUNDED = pa.decimal128(38, 18)
UNSIGNED_LONG = pa.decimal128(20, 0)
NTZ = pa.timestamp("us")
UTC_TIME = pa.timestamp("us", "UTC")
NOT_UTF8 = "not valid UTF-8"
NO_DAY = "not a day of the years 1 to 9999"

INTEGERS = {
    "tinyint": (pa.int16(), pa.int16()),
    "smallint": (pa.int16(), pa.int32()),
    "mediumint": (pa.int32(), pa.int32()),
    "int": (pa.int32(), pa.int64()),
    "bigint": (pa.int64(), UNSIGNED_LONG),
}
"""With a sign, and without."""
MOMENTS = {"date": pa.date32(), "datetime": NTZ, "timestamp": UTC_TIME}
FLOATS = {"float": pa.float32(), "double": pa.float64()}
BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "time", "uuid")
GEOMETRIES = (
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
)


@dataclass(frozen=True)
class ColumnPlan:
    """One column of a read."""

    name: str
    expression: str
    arrow: pa.DataType
    trimmed: bool = False
    """The zeros behind a number are taken off its text: equal numbers are equal texts, and no longer than they need."""
    misfit: str = NOT_UTF8
    """Why a value of the source has no place in ``arrow``: it becomes null, and is counted under this reason."""


def reference(name: str) -> str:
    """A column of the table under read, whose alias is ``t``."""
    return f"t.{identifier(name)}"


def is_unbounded(column: SourceColumn) -> bool:
    """A decimal whose declaration alone does not say whether its values fit one of 38 digits."""
    return column.base == "decimal" and (column.precision or 0) > UNBOUNDED.precision


def plan(column: SourceColumn, *, to_text: bool = False) -> ColumnPlan:
    """``to_text`` is for decimals that the lake holds as text, or must."""
    here = reference(column.name)
    match column.base:
        case base if base in INTEGERS:
            return ColumnPlan(column.name, here, INTEGERS[base][column.unsigned])
        case "year":
            return ColumnPlan(column.name, here, pa.int16())
        case "bit":
            arrow = UNSIGNED_LONG if column.precision == 64 else pa.int64()
            return ColumnPlan(column.name, f"{here} + 0", arrow)
        case "decimal" if to_text:
            return ColumnPlan(column.name, here, pa.string(), trimmed=True)
        case "decimal":
            if is_unbounded(column):
                return ColumnPlan(column.name, here, UNBOUNDED, trimmed=True)
            return ColumnPlan(column.name, here, pa.decimal128(column.precision, column.scale))
        case base if base in FLOATS:
            # As they are, some of their digits are not shown.
            return ColumnPlan(column.name, f"{here} * 1e0", FLOATS[base])
        case base if base in BYTES:
            return ColumnPlan(column.name, here, pa.binary())
        case base if base in MOMENTS:
            return ColumnPlan(column.name, here, MOMENTS[base], misfit=NO_DAY)
        case base if base in GEOMETRIES:
            return ColumnPlan(column.name, f"ST_AsText({here})", pa.string())
        case base:
            return ColumnPlan(column.name, here if base in TEXTS else f"CAST({here} AS CHAR)", pa.string())


def misfits(column: SourceColumn) -> str:
    """A condition that is true where a decimal's value does not fit ``decimal(38,18)`` exactly."""
    here = reference(column.name)
    return f"(ABS({here}) >= 1{'0' * 20} OR {here} <> TRUNCATE({here}, 18))"


def named(table: SourceTable, names: Collection[str]) -> list[SourceColumn]:
    """Columns in the order of the table."""
    return [each for each in table.columns if each.name in names]
