"""What a read of a table decides and reports in one way, whichever server it is of."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import pyarrow as pa

from connectors.base import ReadRequest, ValueWarning
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.overrides import OverrideError, override_type
from connectors.statements import Selection, SqlCursor
from connectors.tables import ColumnT, SqlColumn, SqlTable

WITHOUT_CURSOR = "no cursor value: read by the first load only"


class Session(Protocol):
    """The reading transaction."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...


def column_names(columns: Sequence[SqlColumn], request: ReadRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the columns that are asked for, those that the table has, and those that it does not."""
    available = tuple(column.name for column in columns)
    if request.columns is None:
        return available, ()
    found = tuple(name for name in request.columns if name in available)
    if not found:
        raise SchemaChangedError(f"{request.table} no longer has any of the columns that are enabled.")
    return found, tuple(name for name in request.columns if name not in available)


def check_cursor_is_read(cursor: SqlCursor | None, names: Collection[str]) -> None:
    """``ConfigurationError`` where the read leaves out its own cursor."""
    if cursor is not None and cursor.column.name not in names:
        raise ConfigurationError(f"The incremental field {cursor.column.name} must be among the columns of the read.")


def chosen_type(table: SqlTable[Any], column: SqlColumn, kind: str, wanted: str) -> pa.DataType:
    """The lake type that was chosen for a column of the kind. ``SchemaChangedError`` where it became impossible."""
    try:
        return override_type(column.name, kind, wanted)
    except OverrideError as error:
        raise SchemaChangedError(
            f"The column {column.name} of {table.name} is now of type {column.type}, which cannot be copied as "
            f"{wanted}: change its type override.",
            attr="type_overrides",
        ) from error


def columns_as_text(
    query: Selection[Any, Any],
    decimals: Sequence[ColumnT],
    stored_as_text: Collection[str],
    is_unbounded: Callable[[ColumnT], bool],
    misfitting: Callable[[list[ColumnT]], Sequence[Any]],
) -> set[str]:
    """The decimals that travel as text: those the lake holds so, and those whose values fit no decimal of the lake.

    ``misfitting`` says of each of some columns whether a row of the read has such a value. It is asked where the
    declaration alone does not say it.
    """
    found = {each.name for each in decimals if each.name in stored_as_text}
    undecided = [each for each in decimals if is_unbounded(each) and each.name not in found]
    if undecided:
        found |= {each.name for each, misfits in zip(undecided, misfitting(undecided), strict=True) if misfits}
    if query.cursor is not None and query.cursor.column.name in found:
        raise SchemaChangedError(
            f"The incremental field {query.cursor.column.name} of {query.table.name} holds numbers of more than "
            "20 digits before or 18 after the point: choose another field."
        )
    return found


def rows_left_out(session: Session, query: Selection[Any, Any], cursor: SqlCursor | None) -> list[ValueWarning]:
    """Rows without a cursor value that this read passes over. Counted where an index makes it cheap."""
    if cursor is None or cursor.include_nulls or not query.table.is_indexed(cursor.column.name):
        return []
    ((count,),) = session.rows(query.aggregate(["count(*)"], cursor.counted))
    return [ValueWarning(cursor.column.name, WITHOUT_CURSOR, int(count))] if count else []
