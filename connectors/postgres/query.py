"""The statements of a read: columns, and where a cursor read begins and ends.

A cursor read has two parts. First, where they are wanted, the rows without a usable cursor value (null, and what the
lake's types cannot hold: NaN, infinite or out of range times). Then the rest in order of the cursor, which an index
can give. ``max_rows`` counts the second part only, and the server itself lets ties through: ``WITH TIES``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from connectors.base import CursorRange
from connectors.postgres.catalogue import SourceColumn, SourceTable
from connectors.postgres.columns import ColumnPlan, not_a_value, reference
from connectors.postgres.discovery import cursor_type
from connectors.postgres.sql import literal, relation
from connectors.statements import Selection, bound_value, cursor_column, most_rows, outputs

FIRST_TIME = {"date": "0001-01-01", "timestamp": "0001-01-01 00:00:00", "timestamptz": "0001-01-01 00:00:00+00"}
LAST_TIME = {
    "date": "9999-12-31",
    "timestamp": "9999-12-31 23:59:59.999999",
    "timestamptz": "9999-12-31 23:59:59.999999+00",
}


@dataclass(frozen=True)
class Cursor:
    """The cursor column of a read, with its conditions over the table's alias ``t``."""

    column: SourceColumn
    ordered: str
    """True for rows that have a place in the order, at or after the lower bound."""
    unordered: str
    """True for rows without one."""
    max_rows: int | None
    include_nulls: bool
    lower: str | None
    """Where it begins; rows that have this very value come again."""

    @property
    def resumed(self) -> bool:
        return self.lower is not None

    @property
    def counted(self) -> str:
        return self.unordered

    def at_most(self, edge: str) -> str:
        return f"{reference(self.column.name)} <= {literal(edge, self.column.cast)}"

    def beyond(self, edge: str) -> str:
        return f"{reference(self.column.name)} > {literal(edge, self.column.cast)}"


@dataclass(frozen=True)
class ReadQuery(Selection[SourceTable, Cursor]):
    @property
    def source(self) -> str:
        return f"{relation(self.table.schema, self.table.name)} AS t"

    def select_ordered(self, plans: Sequence[ColumnPlan]) -> str:
        """The part of a cursor read that is in order."""
        assert self.cursor is not None
        order = f" ORDER BY {reference(self.cursor.column.name)}"
        if self.cursor.max_rows is None:
            return self.select(plans, self.cursor.ordered) + order
        # The inner query chooses the rows before anything is computed of them; its order is not sorted again.
        return f"SELECT {outputs([plan.expression for plan in plans])} FROM {self._next_rows()}{order}"

    def aggregate_next(self, expressions: Sequence[str]) -> str:
        """As ``aggregate``, over the rows that the ordered part of a cursor read will give, and no others."""
        return f"SELECT {outputs(expressions)} FROM {self._next_rows()}"

    def count_at_edge(self) -> str:
        """How many rows have the value that the read begins at."""
        assert self.cursor is not None
        assert self.cursor.lower is not None
        return self.aggregate(["count(*)"], f"{self.cursor.ordered} AND {self.cursor.at_most(self.cursor.lower)}")

    def past_the_edge(self, again: int) -> "ReadQuery":
        """The query with room for more than so many rows that come again, where it has none: it would never get past
        them.
        """
        assert self.cursor is not None
        assert self.cursor.max_rows is not None
        if again < self.cursor.max_rows:
            return self
        return replace(self, cursor=replace(self.cursor, max_rows=self.cursor.max_rows + again))

    def _next_rows(self) -> str:
        assert self.cursor is not None
        columns = ", ".join(reference(column.name) for column in self.table.columns)
        order = f" ORDER BY {reference(self.cursor.column.name)}"
        limit = "" if self.cursor.max_rows is None else f" FETCH FIRST {self.cursor.max_rows} ROWS WITH TIES"
        return f"(SELECT {columns} FROM {self.source}{self.where(self.cursor.ordered)}{order}{limit}) AS t"


def cursor_of(table: SourceTable, wanted: CursorRange, version: int) -> Cursor:
    column, field_type = cursor_column(table, wanted, cursor_type)
    usable, unusable = _order_conditions(column, version)
    ordered = usable
    if wanted.lower is not None:
        # Only that it is one: the server reads the text itself.
        bound_value(table, column, field_type, wanted.lower)
        ordered = f"{usable} AND {reference(column.name)} >= {literal(wanted.lower, column.cast)}"
    return Cursor(
        column=column,
        ordered=ordered,
        unordered=unusable,
        max_rows=most_rows(table, wanted),
        include_nulls=wanted.include_nulls,
        lower=wanted.lower,
    )


def _order_conditions(column: SourceColumn, version: int) -> tuple[str, str]:
    here = reference(column.name)
    if column.base in FIRST_TIME:
        first = literal(FIRST_TIME[column.base], column.cast)
        last = literal(LAST_TIME[column.base], column.cast)
        return f"{here} BETWEEN {first} AND {last}", f"{here} IS NULL OR {here} NOT BETWEEN {first} AND {last}"
    if column.base == "numeric":
        wrong = list(not_a_value(column, version).values())
        return (
            f"{here} IS NOT NULL AND NOT ({' OR '.join(wrong)})",
            " OR ".join([f"{here} IS NULL", *wrong]),
        )
    return f"{here} IS NOT NULL", f"{here} IS NULL"
