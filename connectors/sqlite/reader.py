"""One read of one table, from its declaration to its last batch, all in one transaction: it sees one state."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from connectors.base import GONE, DiscoveredTable, ReadReport, ReadRequest, ValueWarning
from connectors.batches import GATHERED_BYTES, joined
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.sqlite.catalogue import SourceTable, tables
from connectors.sqlite.config import SqliteConfig
from connectors.sqlite.discovery import described
from connectors.sqlite.filters import filter_condition
from connectors.sqlite.pace import Pace
from connectors.sqlite.query import read_query, unordered
from connectors.sqlite.session import Session, transaction
from connectors.sqlite.shapes import planned
from connectors.sqlite.sql import all_of
from connectors.sqlite.values import Values

WITHOUT_CURSOR = "no cursor value: read by the first load only"
_SHARES = 4
"""Rows, what is made of them, the batch that they go to and the one before share what a batch may hold."""


@contextmanager
def open_read(config: SqliteConfig, request: ReadRequest) -> Iterator["SqliteRead"]:
    """Open a read. Its types are decided here, by the rows that it will give."""
    with transaction(config, request.table, request.statement_seconds) as session:
        found = tables(session, [request.table])
        if not found:
            raise SchemaChangedError(f"{request.table} is gone from the source, or is a view of what is gone.")
        yield SqliteRead(session, found[0], request)


class SqliteRead:
    """An open read: ``connectors.base.TableRead``."""

    def __init__(self, session: Session, table: SourceTable, request: ReadRequest) -> None:
        self._session = session
        self._request = request
        names, self._gone = _column_names(table, request)
        filters = all_of(filter_condition(table, each) for each in request.row_filters)
        if request.cursor is not None and table.column(request.cursor.field) and request.cursor.field not in names:
            raise ConfigurationError(
                f"The incremental field {request.cursor.field} must be among the columns of the read."
            )
        self._query = read_query(session, table, filters, request.cursor)
        plans = planned(session, self._query, names, request.text_columns, request.type_overrides)
        self._values = Values(plans)
        self._rows = 0
        self.table: DiscoveredTable = described(table)
        self.report = ReadReport()
        self._check_cursor()

    @property
    def schema(self) -> pa.Schema:
        return self._values.schema

    @property
    def row_estimate(self) -> int | None:
        """Known for whole tables only."""
        whole = self._request.cursor is None or self._request.cursor.lower is None
        return self.table.row_estimate if whole and not self._request.row_filters else None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of ``batch_bytes`` at the most, or of one row."""
        yield from joined(self._chunks(), min(self._request.batch_bytes, GATHERED_BYTES))
        self.report.warnings += [*self._values.warnings(), *self._rows_left_out()]
        self.report.warnings += [ValueWarning(name, GONE, self._rows) for name in self._gone if self._rows]
        self.report.more = self._query.more
        self._session.check_steady()

    def _chunks(self) -> Iterator[pa.RecordBatch]:
        pace = Pace(min(self._request.batch_bytes, GATHERED_BYTES) // _SHARES, self._request.narrow)
        for sql, condition in self._query.parts(self.schema.names):
            for rows in self._session.chunks(sql, condition.values, pace):
                chunk = self._values.batch(rows)
                self._rows += chunk.num_rows
                pace.saw(chunk)
                yield chunk

    def _check_cursor(self) -> None:
        cursor = self._query.cursor
        if cursor is not None and pa.types.is_string(self.schema.field(cursor.column.name).type):
            raise unordered(self._query.table, cursor.column)

    def _rows_left_out(self) -> list[ValueWarning]:
        """Rows without a cursor value that this read passes over. Counted where an index makes it cheap."""
        cursor = self._query.cursor
        if cursor is None or cursor.include_nulls or not self._query.table.is_indexed(cursor.column.name):
            return []
        rows = all_of([self._query.filters, cursor.unordered])
        ((count,),) = self._session.rows(f"SELECT count(*) FROM {self._query.source} WHERE {rows.sql}", rows.values)
        return [ValueWarning(cursor.column.name, WITHOUT_CURSOR, count)] if count else []


def _column_names(table: SourceTable, request: ReadRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the columns that are asked for, those that the table has, and those that it does not."""
    available = tuple(column.name for column in table.columns)
    if request.columns is None:
        return available, ()
    found = tuple(name for name in available if name in request.columns)
    if not found:
        raise SchemaChangedError(f"{request.table} no longer has any of the columns that are enabled.")
    return found, tuple(name for name in request.columns if name not in available)
