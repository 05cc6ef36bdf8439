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
from connectors.errors import ConfigurationError, SchemaChangedError
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

CHUNK_BYTES = 2 * 1024 * 1024
"""Of what the server sends, at work at once."""
NARROW_BYTES = 256 * 1024
LARGEST_GROWTH = 8
"""By how much a chunk grows at the most when its texts become numbers."""
WITHOUT_CURSOR = "no cursor value: read by the first load only"


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
        names, self._gone = _column_names(table, request)
        self._query = _query(table, names, request)
        self._edge = self._edge_of_read()
        text = self._text_columns(named(table, names), set(request.text_columns))
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
        """Known for whole tables only."""
        resumed = self._query.cursor is not None and self._query.cursor.resumed
        return None if resumed or self._query.filters else self._query.table.row_estimate

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of ``batch_bytes`` at the most, or of one row. The next is fetched while one is worked on."""
        try:
            yield from joined(ahead(self._chunks()), min(self._request.batch_bytes, GATHERED_BYTES))
            self.report.warnings += [*self._check.warnings(), *self._rows_left_out()]
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

    def _text_columns(self, columns: list[SourceColumn], stored_as_text: set[str]) -> set[str]:
        """Decimals that travel as text: those the lake holds so, and those whose values fit no decimal of the lake."""
        decimals = [
            each for each in columns if each.base == "decimal" and each.name not in self._request.type_overrides
        ]
        known = {each.name for each in decimals} & stored_as_text
        found = known | self._misfitting([each for each in decimals if is_unbounded(each) and each.name not in known])
        cursor = self._query.cursor
        if cursor is not None and cursor.column.name in found:
            raise SchemaChangedError(
                f"The incremental field {cursor.column.name} of {self._query.table.name} holds numbers of more than "
                "20 digits before or 18 after the point: choose another field."
            )
        return found

    def _misfitting(self, columns: list[SourceColumn]) -> set[str]:
        """Those with a value that ``decimal(38,18)`` cannot hold, among the rows of this read."""
        if not columns:
            return set()
        cursor = self._query.cursor
        extent = self._query.until(self._edge) if cursor is not None and cursor.resumed else None
        (answer,) = self._session.rows(self._query.aggregate([f"MAX({misfits(each)})" for each in columns], extent))
        return {column.name for column, misfit in zip(columns, answer, strict=True) if misfit}

    def _rows_left_out(self) -> list[ValueWarning]:
        """Rows without a cursor value that this read passes over. Counted where an index makes it cheap."""
        cursor = self._query.cursor
        if cursor is None or cursor.include_nulls or not self._query.table.is_indexed(cursor.column.name):
            return []
        count = self._answer(self._query.aggregate(["COUNT(*)"], cursor.counted))
        return [ValueWarning(cursor.column.name, WITHOUT_CURSOR, int(count))] if count else []

    def _answer(self, sql: str) -> Any:
        ((answer,),) = self._session.rows(sql)
        return answer


def _query(table: SourceTable, names: tuple[str, ...], request: ReadRequest) -> ReadQuery:
    cursor = cursor_of(table, request.cursor) if request.cursor else None
    if cursor is not None and cursor.column.name not in names:
        raise ConfigurationError(f"The incremental field {cursor.column.name} must be among the columns of the read.")
    return ReadQuery(table, tuple(filter_condition(table, each) for each in request.row_filters), cursor)


def _column_names(table: SourceTable, request: ReadRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the columns that are asked for, those that the table has, and those that it does not."""
    available = tuple(column.name for column in table.columns)
    if request.columns is None:
        return available, ()
    found = tuple(name for name in request.columns if name in available)
    if not found:
        raise SchemaChangedError(f"{request.table} no longer has any of the columns that are enabled.")
    return found, tuple(name for name in request.columns if name not in available)
