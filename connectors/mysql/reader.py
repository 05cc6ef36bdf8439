"""One read of one table, from the catalogue to its last batch.

Everything happens on one session, in one transaction with a consistent snapshot. The table is touched before the
catalogue is asked for it: from then on the server lets nobody change its shape, so what the read is planned by holds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pymysql

from connectors.base import GONE, DiscoveredTable, ReadReport, ReadRequest, ValueWarning
from connectors.batches import GATHERED_BYTES, ahead, joined
from connectors.errors import SchemaChangedError
from connectors.mysql.catalogue import SourceColumn, SourceTable, tables
from connectors.mysql.chosen import planned
from connectors.mysql.columns import is_unbounded, misfits, named
from connectors.mysql.config import MySqlConfig
from connectors.mysql.discovery import described
from connectors.mysql.filters import filter_condition
from connectors.mysql.query import ReadQuery, cursor_of, edge_constant
from connectors.mysql.session import Reading, Session, connect, mark_of
from connectors.mysql.sql import relation
from connectors.mysql.values import ValueCheck, arrow_schema
from connectors.reads import check_cursor_is_read, column_names, columns_as_text, rows_left_out

CHUNK_BYTES = 2 * 1024 * 1024
"""Of what the server sends, at work at once."""
NARROW_BYTES = 256 * 1024
LARGEST_GROWTH = 8
"""By how much a chunk grows at the most when its texts become numbers."""


@contextmanager
def open_read(config: MySqlConfig, request: ReadRequest) -> Iterator["MySqlRead"]:
    reading = Reading(mark_of(request.read_id), request.table, filtered=bool(request.row_filters))
    with connect(config, reading.mark, request.statement_seconds) as session:
        try:
            session.begin()
            session.rows(f"SELECT 1 FROM {relation(config.database, request.table)} LIMIT 0")
            found = tables(session, config.database, [request.table])
            if not found:
                raise SchemaChangedError(f"{request.table} is gone from the source, or the user may no longer read it.")
            yield MySqlRead(session, found[0], reading, request)
        except (pymysql.Error, OSError) as error:
            raise reading.error(error) from error


class MySqlRead:
    """An open read: ``connectors.base.TableRead``."""

    def __init__(self, session: Session, table: SourceTable, reading: Reading, request: ReadRequest) -> None:
        self._session = session
        self._reading = reading
        self._request = request
        names, self._gone = column_names(table.columns, request)
        self._query = _query(table, names, request)
        self._edge = self._edge_of_read()
        decimals = [each for each in named(table, set(names) - set(request.type_overrides)) if each.base == "decimal"]
        text = columns_as_text(self._query, decimals, request.text_columns, is_unbounded, self._misfitting)
        plans = planned(table, names, text, request.type_overrides)
        self._check = ValueCheck(plans, arrow_schema(plans))
        self._rows = 0
        self.table: DiscoveredTable = described(table)
        self.report = ReadReport(text_columns=tuple(sorted(text)))

    @property
    def schema(self) -> pa.Schema:
        return self._check.schema

    @property
    def row_estimate(self) -> int | None:
        return self._query.row_estimate

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of ``batch_bytes`` at the most, or of one row. The next is fetched while one is worked on."""
        try:
            yield from joined(ahead(self._chunks()), min(self._request.batch_bytes, GATHERED_BYTES))
            self.report.warnings += [
                *self._check.warnings(),
                *rows_left_out(self._session, self._query, self._query.cursor),
            ]
            self.report.warnings += [ValueWarning(name, GONE, self._rows) for name in self._gone if self._rows]
            self.report.more = self._edge is not None and bool(self._answer(self._query.beyond(self._edge)))
        except (pymysql.Error, OSError, IndexError, ValueError) as error:
            raise self._reading.error(error) from error

    def _chunks(self) -> Iterator[pa.RecordBatch]:
        query, cursor = self._query, self._query.cursor
        if cursor is None:
            yield from self._read(query.select(self._check.plans))
            return
        if cursor.include_nulls:
            yield from self._read(query.select(self._check.plans, cursor.unordered))
        yield from self._read(query.select_ordered(self._check.plans, self._edge))

    def _read(self, sql: str) -> Iterator[pa.RecordBatch]:
        size_bytes = NARROW_BYTES if self._request.narrow else CHUNK_BYTES
        for rows in self._session.stream(sql, min(size_bytes, max(self._request.batch_bytes // LARGEST_GROWTH, 1024))):
            batch = self._check.batch(rows)
            self._rows += batch.num_rows
            yield batch

    def _edge_of_read(self) -> str | None:
        """The cursor's value at which a read of ``max_rows`` ends; None where it goes on to the last row."""
        cursor = self._query.cursor
        if cursor is None or cursor.max_rows is None:
            return None
        edge = self._session.rows(self._query.edge())
        return edge_constant(cursor.column, edge[0][0]) if edge else None

    def _misfitting(self, columns: list[SourceColumn]) -> tuple[Any, ...]:
        """Of each whether a row of this read has a value in it that ``decimal(38,18)`` cannot hold."""
        cursor = self._query.cursor
        extent = self._query.until(self._edge) if cursor is not None and cursor.resumed else None
        (answer,) = self._session.rows(self._query.aggregate([f"MAX({misfits(each)})" for each in columns], extent))
        return answer

    def _answer(self, sql: str) -> Any:
        ((answer,),) = self._session.rows(sql)
        return answer


def _query(table: SourceTable, names: tuple[str, ...], request: ReadRequest) -> ReadQuery:
    cursor = cursor_of(table, request.cursor) if request.cursor else None
    check_cursor_is_read(cursor, names)
    return ReadQuery(table, tuple(filter_condition(table, each) for each in request.row_filters), cursor)
