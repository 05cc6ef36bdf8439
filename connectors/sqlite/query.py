"""The statements of a read: which rows, and where a cursor read begins and ends.

A cursor read has two parts. First, where they are wanted, the rows without a cursor value; then the rest in order of
the cursor. ``max_rows`` counts the second part only, and the rows that share the last value come with it.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from connectors.base import CursorRange
from connectors.cursor import decode
from connectors.errors import SchemaChangedError
from connectors.sqlite.catalogue import SourceColumn, SourceTable
from connectors.sqlite.declared import Rule
from connectors.sqlite.discovery import CURSOR_TYPES
from connectors.sqlite.session import Session
from connectors.sqlite.sql import Condition, all_of, identifier, reference
from connectors.sqlite.times import FIRST, LAST, canonical, canonical_text

_INT8 = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Cursor:
    """The cursor column of a read. ``key``: the expression in whose order the rows come."""

    column: SourceColumn
    key: str
    ordered: Condition
    """True for rows that have a place in the order, from the lower bound to the upper."""
    lower: Any
    """The lower bound, as ``key`` gives it; None where there is none."""
    include_nulls: bool

    @property
    def unordered(self) -> Condition:
        return Condition(f"{reference(self.column.name)} IS NULL")


@dataclass(frozen=True)
class ReadQuery:
    """What one read asks of one table."""

    table: SourceTable
    filters: Condition
    cursor: Cursor | None = None
    more: bool = False
    """Rows remain beyond the upper bound of the cursor."""
    source: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", f"main.{identifier(self.table.name)} AS t")

    @property
    def extent(self) -> Condition:
        """True for all rows of the read."""
        if self.cursor is None:
            return self.filters
        ordered, unordered = self.cursor.ordered, self.cursor.unordered
        rows = Condition(f"{ordered.sql} OR {unordered.sql}", ordered.values) if self.cursor.include_nulls else ordered
        return all_of([self.filters, rows])

    def select(self, columns: list[str], condition: Condition) -> str:
        return f"SELECT {', '.join(map(reference, columns))} FROM {self.source} WHERE {condition.sql}"

    def parts(self, columns: list[str]) -> list[tuple[str, Condition]]:
        """The statements that give all rows of the read, one after the other, with their parameters."""
        if self.cursor is None:
            return [(self.select(columns, self.filters), self.filters)]
        ordered = all_of([self.filters, self.cursor.ordered])
        parts = [(f"{self.select(columns, ordered)} ORDER BY {self.cursor.key}", ordered)]
        if self.cursor.include_nulls:
            unordered = all_of([self.filters, self.cursor.unordered])
            parts.insert(0, (self.select(columns, unordered), unordered))
        return parts


def read_query(session: Session, table: SourceTable, filters: Condition, wanted: CursorRange | None) -> ReadQuery:
    """The query of a read, whose cursor ends where ``max_rows`` has it end."""
    if wanted is None:
        return ReadQuery(table, filters)
    query = ReadQuery(table, filters, _cursor(table, wanted))
    _check_order(session, query)
    return query if wanted.max_rows is None else _cut(session, query, wanted.max_rows)


def _cursor(table: SourceTable, wanted: CursorRange) -> Cursor:
    column = table.column(wanted.field)
    if column is None:
        raise SchemaChangedError(f"The incremental field {wanted.field} of {table.name} is gone.")
    if column.rule not in CURSOR_TYPES:
        raise SchemaChangedError(
            f"The incremental field {wanted.field} of {table.name} is declared {column.type or 'without a type'}, "
            "which has no order to follow: choose another field."
        )
    here = reference(column.name)
    key = canonical(here) if column.rule is Rule.MOMENT else here
    lower = None if wanted.lower is None else _bound(table, column, wanted.lower)
    if lower is None:
        ordered = Condition(f"{here} IS NOT NULL")
    elif column.rule is Rule.MOMENT:
        # The day alone is before all spellings of its times, and can be looked up in an index.
        ordered = Condition(f"{here} >= ? AND {key} >= ?", (lower[:10], lower))
    else:
        ordered = Condition(f"{key} >= ?", (lower,))
    return Cursor(column, key, ordered, lower, wanted.include_nulls)


def _bound(table: SourceTable, column: SourceColumn, text: str) -> Any:
    try:
        value = decode(text, CURSOR_TYPES[column.rule])
        if isinstance(value, datetime) and value.tzinfo is not None:
            raise ValueError("times have no zone here")
    except ValueError as error:
        raise SchemaChangedError(
            f"The incremental field {column.name} of {table.name} is now declared {column.type}, which does not go on "
            "from where the copy stands: resync the table."
        ) from error
    return canonical_text(value) if isinstance(value, date) else value


def _check_order(session: Session, query: ReadQuery) -> None:
    """Numbers stand before texts, and blobs behind: what is not of the cursor's type lies beyond its first and last."""
    assert query.cursor is not None
    column = query.cursor.column
    if column.settled:
        return
    first, last = _INT8 if column.rule is Rule.WHOLE else (FIRST, LAST)
    here = reference(column.name)
    outside = all_of([query.filters, Condition(f"{here} < ? OR {here} > ?", (first, last))])
    if session.rows(f"SELECT 1 FROM {query.source} WHERE {outside.sql} LIMIT 1", outside.values):
        raise unordered(query.table, column)


def unordered(table: SourceTable, column: SourceColumn) -> SchemaChangedError:
    """The cursor column has values that are not of the cursor's type."""
    what = {Rule.WHOLE: "whole numbers", Rule.DATE: "dates (2026-01-31)"}
    return SchemaChangedError(
        f"The incremental field {column.name} of {table.name} holds values that are no "
        f"{what.get(column.rule, 'times without a zone (2026-01-31 12:00:00)')}: choose another field."
    )


def _cut(session: Session, query: ReadQuery, most: int) -> ReadQuery:
    """The query up to the value of the cursor that the last of so many rows has, which is not the lower bound."""
    cursor = query.cursor
    assert cursor is not None
    rows = all_of([query.filters, cursor.ordered])
    edge = _nth(session, query, rows, most)
    if edge is not None and edge == cursor.lower:
        edge = _nth(session, query, all_of([rows, Condition(f"{cursor.key} > ?", (edge,))]), 1)
    if edge is None:
        return query
    more = _nth(session, query, all_of([rows, Condition(f"{cursor.key} > ?", (edge,))]), 1)
    ordered = all_of([cursor.ordered, Condition(f"{cursor.key} <= ?", (edge,))])
    return replace(query, cursor=replace(cursor, ordered=ordered), more=more is not None)


def _nth(session: Session, query: ReadQuery, rows: Condition, place: int) -> Any:
    """The value of the cursor in the row at this place of the order; None where there are not so many rows."""
    assert query.cursor is not None
    key = query.cursor.key
    found = session.rows(
        f"SELECT {key} FROM {query.source} WHERE {rows.sql} ORDER BY {key} LIMIT 1 OFFSET {place - 1}", rows.values
    )
    return found[0][0] if found else None
