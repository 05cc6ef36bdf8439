"""The statements of a read: columns, and where a cursor read begins and ends.

A cursor read has two parts. First, where they are wanted, the rows without a usable cursor value (null, and days that
no calendar has). Then the rest in order of the cursor, which an index can give. Of these, ``max_rows`` counts those
behind the lower bound: so each read gets further, however many rows share a value. It ends behind the last row that has
the value of its edge, which is looked up first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from connectors.base import CursorRange
from connectors.cursor import CursorValue
from connectors.mysql.catalogue import SourceColumn, SourceTable
from connectors.mysql.columns import MOMENTS, ColumnPlan, reference
from connectors.mysql.discovery import cursor_type
from connectors.mysql.filters import time_constant
from connectors.mysql.sql import literal, relation
from connectors.statements import Selection, bound_value, cursor_column, most_rows

_FIRST = {
    "date": "DATE'0001-01-01'",
    "datetime": "TIMESTAMP'0001-01-01 00:00:00'",
    # The first that the type has. No index serves a comparison with an earlier one.
    "timestamp": "TIMESTAMP'1970-01-01 00:00:01'",
}


@dataclass(frozen=True)
class Cursor:
    """The cursor column of a read, with its conditions over the table's alias ``t``."""

    column: SourceColumn
    ordered: str
    """True for rows that have a place in the order, at or after the lower bound."""
    new: str
    """True for those behind the lower bound."""
    unordered: str
    """True for rows without one."""
    counted: str
    """As ``unordered``, but for what no index finds: days of a month or year 0, and beyond a month's end."""
    max_rows: int | None
    include_nulls: bool
    resumed: bool
    """It begins at a lower bound."""

    @property
    def here(self) -> str:
        return reference(self.column.name)


@dataclass(frozen=True)
class ReadQuery(Selection[SourceTable, Cursor]):
    @property
    def source(self) -> str:
        return f"{relation(self.table.database, self.table.name)} AS t"

    def select_ordered(self, plans: Sequence[ColumnPlan], edge: str | None) -> str:
        """The part of a cursor read that is in order, to its end or up to the edge."""
        assert self.cursor is not None
        return self.select(plans, self.until(edge)) + f" ORDER BY {self.cursor.here}"

    def until(self, edge: str | None) -> str:
        """The condition of the part that is in order."""
        assert self.cursor is not None
        ordered = self.cursor.ordered
        return ordered if edge is None else f"{ordered} AND {self.cursor.here} <= {edge}"

    def edge(self) -> str:
        """The value of the last row that may be given, if there are as many."""
        assert self.cursor is not None
        assert self.cursor.max_rows is not None
        here, skipped = self.cursor.here, self.cursor.max_rows - 1
        where = self.where(self.cursor.new)
        return f"SELECT CAST({here} AS CHAR) FROM {self.source}{where} ORDER BY {here} LIMIT 1 OFFSET {skipped}"

    def beyond(self, edge: str) -> str:
        """Whether there are rows behind the edge."""
        assert self.cursor is not None
        where = self.where(f"{self.cursor.ordered} AND {self.cursor.here} > {edge}")
        return f"SELECT EXISTS (SELECT 1 FROM {self.source}{where})"


def cursor_of(table: SourceTable, wanted: CursorRange) -> Cursor:
    column, field_type = cursor_column(table, wanted, cursor_type)
    usable, unordered, counted = _places(column)
    ordered = new = usable
    if wanted.lower is not None:
        here, bound = reference(column.name), _constant(bound_value(table, column, field_type, wanted.lower))
        ordered, new = f"{usable} AND {here} >= {bound}", f"{usable} AND {here} > {bound}"
    return Cursor(
        column=column,
        ordered=ordered,
        new=new,
        unordered=unordered,
        counted=counted,
        max_rows=most_rows(table, wanted),
        include_nulls=wanted.include_nulls,
        resumed=wanted.lower is not None,
    )


def edge_constant(column: SourceColumn, shown: str) -> str:
    """The constant of a value of the column, as the server shows it."""
    if column.base in MOMENTS:
        return f"{'DATE' if column.base == 'date' else 'TIMESTAMP'}{literal(shown)}"
    return shown


def _places(column: SourceColumn) -> tuple[str, str, str]:
    """Conditions for the values that have a place in the order, for those that have none, and for most of these."""
    here = reference(column.name)
    first = _FIRST.get(column.base)
    if first is None:
        return f"{here} IS NOT NULL", f"{here} IS NULL", f"{here} IS NULL"
    usable = f"{here} >= {first} AND DAYOFMONTH({here}) BETWEEN 1 AND DAYOFMONTH(LAST_DAY({here}))"
    return usable, f"({usable}) IS NOT TRUE", f"{here} IS NULL OR {here} < {first}"


def _constant(value: CursorValue) -> str:
    if isinstance(value, datetime):
        return time_constant(value)
    return (
        f"DATE'{value.isoformat()}'"
        if isinstance(value, date)
        else f"{value:f}"
        if isinstance(value, Decimal)
        else str(value)
    )
