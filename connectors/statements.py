"""What the statements of a read have in common, whichever server is asked: their columns, rows and cursors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from connectors.base import CursorRange
from connectors.cursor import CursorValue, decode
from connectors.errors import SchemaChangedError
from connectors.tables import ColumnT, SqlColumn, SqlTable

PASSES_WITHOUT_INDEX = 8
"""Into how many reads a table without an index on its cursor is cut at the most: each of them sorts all of it."""


class Plan(Protocol):
    """What is to be selected for one column."""

    @property
    def expression(self) -> str: ...


class SqlCursor(Protocol):
    """The cursor column of a read, with its conditions over the table's alias ``t``."""

    @property
    def column(self) -> SqlColumn: ...

    @property
    def counted(self) -> str:
        """True for rows without a place in the order, but for those that no index finds."""

    @property
    def include_nulls(self) -> bool: ...

    @property
    def resumed(self) -> bool:
        """It begins at a lower bound."""


TableT = TypeVar("TableT", bound=SqlTable[Any])
CursorT = TypeVar("CursorT", bound=SqlCursor)


@dataclass(frozen=True)
class Selection(ABC, Generic[TableT, CursorT]):
    """What one read asks of one table."""

    table: TableT
    filters: tuple[str, ...] = ()
    cursor: CursorT | None = None

    @property
    @abstractmethod
    def source(self) -> str:
        """The table, under the alias ``t``."""

    @property
    def row_estimate(self) -> int | None:
        """Known for whole tables only."""
        resumed = self.cursor is not None and self.cursor.resumed
        return None if resumed or self.filters else self.table.row_estimate

    def select(self, plans: Sequence[Plan], condition: str | None = None) -> str:
        """Rows in no order."""
        return self.aggregate([plan.expression for plan in plans], condition)

    def aggregate(self, expressions: Sequence[str], condition: str | None = None) -> str:
        return f"SELECT {outputs(expressions)} FROM {self.source}{self.where(condition)}"

    def where(self, condition: str | None = None) -> str:
        conditions = [*self.filters, *([condition] if condition else [])]
        return " WHERE " + " AND ".join(f"({each})" for each in conditions) if conditions else ""


def outputs(expressions: Sequence[str]) -> str:
    """Output columns are named ``c0, c1, …``: a driver may know no two names that differ by case only."""
    return ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(expressions))


def cursor_column(
    table: SqlTable[ColumnT], wanted: CursorRange, cursor_type: Callable[[ColumnT], str | None]
) -> tuple[ColumnT, str]:
    """The cursor's column and the type of its values. ``SchemaChangedError`` where it is gone, or is no cursor."""
    column = table.column(wanted.field)
    if column is None:
        raise SchemaChangedError(f"The incremental field {wanted.field} of {table.name} is gone.")
    field_type = cursor_type(column)
    if field_type is None:
        raise SchemaChangedError(
            f"The incremental field {wanted.field} of {table.name} is of type {column.type}, "
            "which has no order to follow: choose another field."
        )
    return column, field_type


def bound_value(table: SqlTable[ColumnT], column: ColumnT, field_type: str, text: str) -> CursorValue:
    """The value at which a cursor read begins; ``SchemaChangedError`` where the text is none of the column's type."""
    try:
        return decode(text, field_type)
    except ValueError as error:
        raise SchemaChangedError(
            f"The incremental field {column.name} of {table.name} is now of type {column.type}, which does not "
            "go on from where the copy stands: resync the table."
        ) from error


def most_rows(table: SqlTable[Any], wanted: CursorRange) -> int | None:
    """After how many rows a cursor read may stop, such that a table without an index is not sorted too often."""
    if wanted.max_rows is None or table.is_indexed(wanted.field) or table.row_estimate is None:
        return wanted.max_rows
    return max(wanted.max_rows, table.row_estimate // PASSES_WITHOUT_INDEX)
