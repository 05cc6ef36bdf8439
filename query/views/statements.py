"""The statements that make a view: a file of SQL with the tables that it names put before it."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

import pyarrow as pa

from lake.duck import quoted
from query.views.catalogue import COLUMNS, Kind, View

Places = Mapping[str, tuple[str, pa.Schema]]
"""Tables by their names at the source: what the engine calls each, and the columns that it has."""


def macros(source_type: str) -> str:
    """What the views of that source type share; to be executed once."""
    return _sql(source_type, "macros")


def view_query(source_type: str, view: View, places: Places, *, with_charges: bool) -> str:
    """A SELECT that names nothing but the tables of ``places``. A table that is not among them has no rows."""
    chosen = f"chosen AS (SELECT {with_charges} AS with_charges)"
    parts = ", ".join((chosen, *_parts(source_type, view, places)))
    return f"WITH {parts} SELECT * FROM ({_sql(source_type, view.name)})"


def _parts(source_type: str, view: View, places: Places) -> Iterator[str]:
    for table in view.tables:
        columns = COLUMNS[source_type][table]
        # Scanned anew where it is named again: it may be larger than memory.
        yield f"{quoted(table)} AS NOT MATERIALIZED ({_table(columns, places.get(table))})"
    for name in view.uses:
        yield f"{quoted(name)} AS ({_sql(source_type, name)})"


def _table(columns: Mapping[str, Kind], place: tuple[str, pa.Schema] | None) -> str:
    if place is None:
        return f"SELECT {', '.join(_null(name, kind) for name, kind in columns.items())} WHERE false"
    hidden, schema = place
    there = {column.name: column.type for column in schema}
    taken = [_value(name, kind, there[name]) if name in there else _null(name, kind) for name, kind in columns.items()]
    return f"SELECT {', '.join(taken)} FROM {hidden}"


def _value(name: str, kind: Kind, stored: pa.DataType) -> str:
    if kind is Kind.TIME and pa.types.is_timestamp(stored):
        return f"epoch_us({quoted(name)}) // 1000000 AS {quoted(name)}"
    return f"CAST({quoted(name)} AS {_type(kind)}) AS {quoted(name)}"


def _null(name: str, kind: Kind) -> str:
    return f"CAST(NULL AS {_type(kind)}) AS {quoted(name)}"


_TYPES = {Kind.TIME: "BIGINT", Kind.JSON: "VARCHAR"}


def _type(kind: Kind) -> str:
    return _TYPES.get(kind, kind.value)


@cache
def _sql(source_type: str, name: str) -> str:
    return (files(__package__) / source_type.lower() / f"{name}.sql").read_text()
