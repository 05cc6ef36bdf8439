"""Columns in a type that the user chose, computed by Postgres: the same for every driver.

What the chosen type cannot hold is null in the expression and has a condition by which it is counted. ``double`` alone
takes the nearest of its values.
"""

from collections.abc import Collection, Mapping

import pyarrow as pa

from connectors.overrides import TEXT
from connectors.postgres.catalogue import SourceColumn, SourceTable
from connectors.postgres.columns import (
    INFINITE,
    OUT_OF_RANGE,
    Check,
    ColumnPlan,
    Server,
    has_infinity,
    not_a_value,
    plan,
    text_bytes,
    value_of,
)
from connectors.postgres.filters import kind_of
from connectors.reads import chosen_type

_WIRES = {pa.int64(): "int8", pa.float64(): "float8"}
_LONGS = "-9223372036854775808 AND 9223372036854775807"
_DOUBLES = "5e-324 AND 1.7976931348623157e308"
_YEARS = "'0001-01-01' AND '9999-12-31'"


def planned(
    table: SourceTable,
    names: Collection[str],
    server: Server,
    as_text: Collection[str] = (),
    chosen: Mapping[str, str] | None = None,
) -> list[ColumnPlan]:
    """Plans of the named columns, in the order of the table. ``SchemaChangedError``: a choice became impossible."""
    chosen = chosen or {}
    return [
        plan_as(chosen[each.name], table, each, server)
        if each.name in chosen
        else plan(each, server, as_text=each.name in as_text)
        for each in table.columns
        if each.name in names
    ]


def plan_as(wanted: str, table: SourceTable, column: SourceColumn, server: Server) -> ColumnPlan:
    """The plan of a column in the lake type that was chosen for it."""
    kind = kind_of(column)
    arrow = chosen_type(table, column, kind, wanted)
    here = value_of(column)
    match kind:
        case _ if wanted == TEXT:
            return _text(column, here, server)
        case "integer" | "numeric":
            return _number(column, here, arrow, wanted, server)
        case "float":
            return ColumnPlan(column.name, f"CAST({here} AS float8)", arrow, "float8")
        case "text":
            shown = f"textin(bpcharout({here}))" if column.base == "bpchar" else f"CAST({here} AS text)"
            return ColumnPlan(column.name, text_bytes(shown, server), arrow, "bytea")
        case _:
            return _time(column, here, arrow)


def _text(column: SourceColumn, here: str, server: Server) -> ColumnPlan:
    """What Postgres shows; of a number without the zeros behind it, so that equal numbers are equal texts."""
    usual = plan(column, server)
    if usual.arrow == pa.string():
        return usual
    shown = f"trim_scale({here})" if column.base == "numeric" else here
    return ColumnPlan(column.name, f"CAST({shown} AS text)", pa.string(), "text", Check.TEXT)


def _number(column: SourceColumn, here: str, arrow: pa.DataType, wanted: str, server: Server) -> ColumnPlan:
    whole = column.base != "numeric"
    if whole and arrow in _WIRES:
        return ColumnPlan(column.name, f"CAST({here} AS {_WIRES[arrow]})", arrow, _WIRES[arrow])
    number = f"CAST({here} AS numeric)" if whole else here
    specials = {} if whole else not_a_value(column, server.version)
    if arrow == pa.float64():
        kept = ", ".join(
            ["'NaN'", "0", *(["'Infinity'", "'-Infinity'"] if has_infinity(column, server.version) else [])]
        )
        fits, specials = f"({number} IN ({kept}) OR abs({number}) BETWEEN {_DOUBLES})", {}
    elif arrow == pa.int64():
        fits = f"({number} BETWEEN {_LONGS} AND min_scale({number}) = 0)"
    else:
        fits = f"(abs({number}) < 1e{arrow.precision - arrow.scale} AND min_scale({number}) <= {arrow.scale})"
    wire = _WIRES.get(arrow, "numeric")
    cast = f"numeric({arrow.precision},{arrow.scale})" if wire == "numeric" else wire
    misfit = " AND ".join([f"NOT {fits}", *(f"NOT {special}" for special in specials.values())])
    return ColumnPlan(
        column.name,
        f"CAST(CASE WHEN {fits} THEN {number} END AS {cast})",
        arrow,
        wire,
        nulled=(*specials.items(), (f"does not fit {wanted}", misfit)),
    )


def _time(column: SourceColumn, here: str, arrow: pa.DataType) -> ColumnPlan:
    """A time without a zone is one in UTC. Dates reach further than times: they are cut off before the cast."""
    zoned = arrow.tz is not None
    if column.base != "date":
        same = zoned == (column.base == "timestamptz")
        moved = here if same else f"{here} AT TIME ZONE 'UTC'"
        return ColumnPlan(column.name, moved, arrow, "timestamptz" if zoned else "timestamp", Check.TIMESTAMP)
    infinite = f"{here} IN ('infinity', '-infinity')"
    midnight = f"CAST({here} AS timestamp)" + (" AT TIME ZONE 'UTC'" if zoned else "")
    return ColumnPlan(
        column.name,
        f"CASE WHEN {here} BETWEEN {_YEARS} THEN {midnight} END",
        arrow,
        "timestamptz" if zoned else "timestamp",
        nulled=((INFINITE, infinite), (OUT_OF_RANGE, f"{here} NOT BETWEEN {_YEARS} AND NOT {infinite}")),
    )
