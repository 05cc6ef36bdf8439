"""Row filters as conditions that Postgres computes itself, such that an index on the column serves them.

A value is a constant of the column's own type, or of one that Postgres compares with it directly, so that no value
that ``connectors.filters`` lets pass can overflow, be rounded or be cut.
"""

from typing import Any

from connectors.base import RowFilter
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.filters import INT8, FilterError, check_filter, moment, number
from connectors.postgres.catalogue import SourceColumn, SourceTable
from connectors.postgres.columns import reference
from connectors.postgres.sql import literal

_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_KINDS = {
    "bool": "boolean",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "oid": "integer",
    "numeric": "numeric",
    "float4": "float",
    "float8": "float",
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "name": "text",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "uuid": "uuid",
    "json": "document",
    "jsonb": "document",
    "xml": "document",
    "bytea": "binary",
}
_FLOAT4_LIMITS = (1e-37, 3.4e38)


def kind_of(column: SourceColumn) -> str:
    """The column's kind, as ``connectors.base.Column`` has it."""
    if column.is_array:
        return "array"
    return "enum" if column.labels else _KINDS.get(column.base, "other")


def filter_condition(table: SourceTable, wanted: RowFilter) -> str:
    """One row filter as a condition over the table's alias ``t``."""
    column = table.column(wanted.column)
    if column is None:
        raise SchemaChangedError(f"The column {wanted.column} of a row filter is gone from {table.name}.")
    try:
        check_filter(column.name, kind_of(column), column.labels, wanted.op, wanted.value)
    except FilterError as error:
        raise ConfigurationError(error.message, attr="row_filter") from error
    # Next to a column of the type ``name`` constants are cut to its length.
    here = f"CAST({reference(column.name)} AS text)" if column.base == "name" else reference(column.name)
    match wanted.op:
        case "is_null":
            return f"{here} IS NULL"
        case "is_not_null":
            return f"{here} IS NOT NULL"
        case "in":
            values = ", ".join(_constant(each, column) for each in wanted.value)
            return f"{here} IN ({values})" if values else "false"
        case "like":
            return f"CAST({here} AS text) LIKE {literal(wanted.value, 'text')}"
        case _:
            return f"{here} {_OPERATORS[wanted.op]} {_constant(wanted.value, column)}"


def _constant(value: Any, column: SourceColumn) -> str:
    kind = kind_of(column)
    if kind in ("integer", "numeric", "float"):
        return _number(value, column)
    if isinstance(value, bool):
        return literal("true" if value else "false", column.cast)
    if kind == "timestamptz" and (time := moment(value)) is not None and time.tzinfo is None:
        # Times without a zone are UTC here, whatever the server or the role says.
        return literal(f"{time.isoformat(sep=' ')}+00", column.cast)
    return literal(value, "text" if column.base == "name" else column.cast)


def _number(value: Any, column: SourceColumn) -> str:
    found = number(value)
    assert found is not None
    whole = found == found.to_integral_value()
    text = str(int(found)) if whole and int(found) in INT8 else str(found)
    match column.base:
        case "int2" | "int4" | "int8":
            return literal(text, "int8" if whole else "numeric")
        case "float4":
            least, greatest = _FLOAT4_LIMITS
            return literal(text, "float4" if not found or least < abs(found) < greatest else "float8")
        case _:
            return literal(text, column.cast)
