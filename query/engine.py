"""The engine: DuckDB, closed to everything but the tables that one query names.

The guard alone should be enough, and so should the engine's own locks: no file, no address, no extension, no look at
Python's variables, and no way to change that.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from lake.dataset import open_dataset
from lake.duck import quoted
from lake.errors import LakeError
from lake.storage import LakeStore
from query.errors import (
    InvalidQueryError,
    QueryError,
    QueryMemoryError,
    SourceQueryError,
    TableUnreadableError,
)
from query.live import LiveStream, open_live
from query.messages import LiveTable, ManagedView, NamedTable, QueryLimits
from query.pushdown import needed_columns, row_filters
from query.scans import WideRows
from query.views.catalogue import view_named
from query.views.statements import macros, view_query

THREADS = 2
_OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "threads": THREADS,
    # Nothing is written anywhere: what does not fit into memory is refused.
    "temp_directory": "",
    "max_temp_directory_size": "0KB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
_LOCKS = (
    "SET TimeZone = 'UTC'",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_ABOUT_THE_QUERY = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.TypeMismatchException,
    duckdb.NotImplementedException,
    duckdb.SyntaxException,
    duckdb.ConstraintException,
    duckdb.SequenceException,
)
_INNER_WORDS = re.compile(r"arrow_scan|arrow_array|Python|Traceback|/|__table_", re.IGNORECASE)
_MOST_WORDS = 1000


@dataclass
class Engine:
    """One connection for one query."""

    connection: duckdb.DuckDBPyConnection
    streams: list[LiveStream] = field(default_factory=list)

    @classmethod
    def start(cls, limits: QueryLimits) -> "Engine":
        memory = {"memory_limit": f"{limits.memory_mb // 2}MB"}
        return cls(duckdb.connect(config={**_OPTIONS, **memory}))

    def give(self, tables: Iterable[NamedTable], tree: dict[str, Any], store: LakeStore, seconds: float) -> None:
        """Make the tables visible by their names, each as it is now, and lock all else."""
        made: set[str] = set()
        for table in tables:
            if isinstance(table, ManagedView):
                self._give_view(table, store, made)
                continue
            rows = (
                self._live_rows(table, tree, seconds)
                if isinstance(table, LiveTable)
                else _lake_rows(store, table.name, table.path)
            )
            self.connection.execute(_view(table.name, self._hide(rows), rows.schema))
        for lock in _LOCKS:
            self.connection.execute(lock)

    def _give_view(self, view: ManagedView, store: LakeStore, made: set[str]) -> None:
        """``made``: the source types whose views have what they share."""
        if view.source_type not in made:
            self.connection.execute(macros(view.source_type))
            made.add(view.source_type)
        found = {table: _lake_rows(store, f"{table} of {view.name}", path) for table, path in view.paths.items()}
        places = {table: (self._hide(WideRows.of(rows)), rows.schema) for table, rows in found.items()}
        named = view_named(view.source_type, view.view)
        query = view_query(view.source_type, named, places, with_charges=view.with_charges)
        self.connection.execute(f"CREATE TEMP VIEW {quoted(view.name)} AS {query}")

    def _hide(self, rows: Any) -> str:
        """The name by which the engine, and no query, knows the rows."""
        hidden = f"__table_{secrets.token_hex(8)}"
        self.connection.register(hidden, rows)
        return hidden

    def _live_rows(self, table: LiveTable, tree: dict[str, Any], seconds: float) -> LiveStream:
        columns = needed_columns(tree, table.column_types)
        filters = row_filters(tree, table.name, table.column_types, table.source_type)
        stream = open_live(table, columns, filters, seconds)
        self.streams.append(stream)
        return stream

    def run(self, sql: str, batch_rows: int) -> tuple[list[str], pa.RecordBatchReader]:
        """The engine's names for the types of the result, and its rows as they are computed."""
        result = self.connection.execute(sql)
        return [str(column[1]) for column in self.connection.description or ()], result.to_arrow_reader(batch_rows)

    def explained(self, error: Exception) -> QueryError:
        """What went wrong, in words that tell nothing of what lies around the query."""
        for stream in self.streams:
            if stream.error is not None:
                return SourceQueryError(stream.error.message)
        text = str(error)
        if (
            isinstance(error, duckdb.OutOfMemoryException | MemoryError | pa.ArrowMemoryError)
            or "Out of Memory" in text
        ):
            return QueryMemoryError("The query needs more memory than a query may use.")
        if isinstance(error, _ABOUT_THE_QUERY) or (
            isinstance(error, OSError | pa.ArrowInvalid) and text.startswith(_NAMES_OF_ERRORS)
        ):
            first = text.partition("\n\nLINE ")[0].strip()
            if not _INNER_WORDS.search(first):
                return InvalidQueryError(_sentence(first))
        if isinstance(error, OSError) or "arrow_scan" in text:
            return TableUnreadableError("A table could not be read to its end: try again.")
        return QueryError("The engine could not answer this query.")


_NAMES_OF_ERRORS = ("Invalid Input Error", "Conversion Error", "Out of Range Error")


def _sentence(text: str) -> str:
    """One line that ends."""
    line = " ".join(text[:_MOST_WORDS].split())
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _lake_rows(store: LakeStore, name: str, path: str) -> Any:
    try:
        rows = open_dataset(store, path)
    except LakeError as error:
        raise TableUnreadableError(f"The table {name} cannot be read from the lake now.") from error
    if rows is None:
        raise TableUnreadableError(f"The table {name} holds no data now.")
    return rows


def _view(name: str, hidden: str, schema: pa.Schema) -> str:
    """Floats go through an expression: pushed down as a filter to Arrow, NaN would not be the greatest of them."""
    columns = [
        f"CASE WHEN isnan({quoted(column.name)}) THEN 'NaN' ELSE {quoted(column.name)} END AS {quoted(column.name)}"
        if pa.types.is_floating(column.type)
        else quoted(column.name)
        for column in schema
    ]
    return f"CREATE TEMP VIEW {quoted(name)} AS SELECT {', '.join(columns)} FROM {hidden}"
