"""One read of one table, from the catalogue to its last batch. The drivers below it are interchangeable.

Everything happens in one transaction at the server (repeatable read), so all parts of a read see one state.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import psycopg
import pyarrow as pa

from connectors.base import GONE, DiscoveredTable, Division, Part, ReadReport, ReadRequest, Snapshot, ValueWarning
from connectors.batches import GATHERED_BYTES, ahead, joined
from connectors.cursor import encode
from connectors.errors import SchemaChangedError
from connectors.postgres import partitions
from connectors.postgres.catalogue import SourceColumn, expected_rows, row_width_bytes
from connectors.postgres.chosen import planned
from connectors.postgres.columns import ColumnPlan, Server, is_unbounded, misfits
from connectors.postgres.config import PostgresConfig
from connectors.postgres.discovery import described, find
from connectors.postgres.errors import query_error
from connectors.postgres.fast import VECTOR_ROWS, FastSession
from connectors.postgres.filters import filter_condition
from connectors.postgres.narrow import NarrowSession
from connectors.postgres.partitions import check_state, divide, state_query
from connectors.postgres.query import ReadQuery, cursor_of
from connectors.postgres.session import Reading, application_name, connect, settled
from connectors.postgres.steady import check_steady, rewritten_query
from connectors.postgres.values import ValueCheck, arrow_schema
from connectors.reads import check_cursor_is_read, column_names, columns_as_text, rows_left_out

CHUNKS_AT_ONCE = 4
"""In the driver, on their way, at work and in the writer: so many share what a batch may hold."""
UNKNOWN_WIDTH = 4096
FEW_VALUES = 10_000
"""Psycopg has them read by the time that DuckDB is set up."""
ESTIMATES_ERR = 8
"""How many times more rows a table may have than the planner makes of its size."""


class Session(Protocol):
    """A reading transaction of either driver; both give the same rows. Raises ``SourceError`` only."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...

    def chunks(self, sql: str, plans: Sequence[ColumnPlan]) -> Iterator[pa.RecordBatch]: ...


@dataclass(frozen=True)
class _Outline:
    """What the catalogue says of the table before the reading transaction begins."""

    query: ReadQuery
    names: tuple[str, ...]
    gone: tuple[str, ...]
    """Columns that were asked for and that the table does not have."""
    server: Server
    width: float
    """Bytes of a row, roughly."""
    few: bool = False
    """So few rows are expected that setting up the fast driver would take longer than reading them."""
    parts: tuple[Part, ...] = ()
    """Those that the table had better be read in."""
    may_be_held: bool = False
    """As many rows as one read may give may have the value that it begins at."""


@contextmanager
def open_read(config: PostgresConfig, request: ReadRequest) -> Iterator["PostgresRead"]:
    """Open a read over the driver that fits the width of the rows, and how many they are."""
    with ExitStack() as catalogue:
        connection = catalogue.enter_context(connect(config, application_name(request.read_id)))
        outline = _outline(connection, config, request)
        with _opened(catalogue, connection, config, request, outline) as read:
            yield read


@contextmanager
def read_or_divide(
    config: PostgresConfig, request: ReadRequest, part_bytes: int
) -> Iterator["PostgresRead | Division"]:
    """As ``open_read``, but for a table of more than so many bytes."""
    with ExitStack() as catalogue:
        connection = catalogue.enter_context(connect(config, application_name(request.read_id)))
        outline = _outline(connection, config, request, part_bytes)
        if len(outline.parts) > 1:
            catalogue.close()
            table = outline.query.table
            yield Division(
                outline.parts, described(table, config), None if outline.query.filters else table.row_estimate
            )
            return
        with _opened(catalogue, connection, config, request, outline) as read:
            yield read


def is_unchanged(config: PostgresConfig, request: ReadRequest, since: Snapshot, rows: int) -> bool:
    """Whether the requested part has the rows of an earlier snapshot still."""
    if request.snapshot is None:
        return False
    with connect(config, application_name(request.read_id)) as connection:
        query = _outline(connection, config, request).query
    return partitions.is_unchanged(config, application_name(request.read_id), query, request.snapshot, since, rows)


@contextmanager
def _opened(
    catalogue: ExitStack,
    connection: psycopg.Connection,
    config: PostgresConfig,
    request: ReadRequest,
    outline: _Outline,
) -> Iterator["PostgresRead"]:
    """``connection`` has looked at the catalogue; it is closed, with its context, before the rows are read."""
    name = application_name(request.read_id)
    reading = Reading(
        config,
        name,
        request.table,
        filtered=bool(request.row_filters),
        statement_seconds=request.statement_seconds,
        snapshot=request.snapshot,
    )
    opened: AbstractContextManager[Session]
    if request.narrow or outline.few or outline.width * VECTOR_ROWS > request.batch_bytes:
        opened = NarrowSession.open(reading, min(request.batch_bytes // 2, GATHERED_BYTES))
    else:
        opened = FastSession.open(reading, int(request.batch_bytes / CHUNKS_AT_ONCE / outline.width))
    with opened as session:
        ((rewritten,),) = session.rows(rewritten_query(outline.query.source))
        now = check_steady(connection, config, request, outline.query.table, rewritten)
        catalogue.close()
        if outline.may_be_held:
            ((again,),) = session.rows(outline.query.count_at_edge())
            outline = replace(outline, query=outline.query.past_the_edge(again))
        yield PostgresRead(session, described(now, config), outline, request)


class PostgresRead:
    """An open read: ``connectors.base.TableRead``."""

    def __init__(self, session: Session, table: DiscoveredTable, outline: _Outline, request: ReadRequest) -> None:
        self._session = session
        self.table = table
        self._query = outline.query
        self._gone = outline.gone
        self._server = outline.server
        self._batch_bytes = request.batch_bytes
        self._snapshot = request.snapshot
        # A part has no order, and no row's place in it depends on the cursor.
        self._cursor = None if request.part else outline.query.cursor
        open_to_choice = set(outline.names) - set(request.type_overrides)
        numerics = [
            each for each in self._query.table.columns if each.name in open_to_choice and each.base == "numeric"
        ]
        text = columns_as_text(self._query, numerics, request.text_columns, is_unbounded, self._misfitting)
        self._plans = planned(outline.query.table, outline.names, outline.server, text, request.type_overrides)
        self._check = ValueCheck(self._plans, arrow_schema(self._plans))
        self._rows = 0
        self._ordered_rows = 0
        self._edge: str | None = None
        self.report = ReadReport(text_columns=tuple(sorted(text)))

    @property
    def schema(self) -> pa.Schema:
        return self._check.schema

    @property
    def row_estimate(self) -> int | None:
        return self._query.row_estimate

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of ``batch_bytes`` at the most, or of one row. The next is fetched while one is worked on."""
        yield from joined(ahead(self._chunks()), min(self._batch_bytes, GATHERED_BYTES))
        self.report.warnings += [
            *self._check.warnings(),
            *self._values_nulled(),
            *rows_left_out(self._session, self._query, self._cursor),
        ]
        self.report.warnings += [ValueWarning(name, GONE, self._rows) for name in self._gone if self._rows]
        self.report.more = self._is_more()
        if self._snapshot is not None:
            (state,) = self._session.rows(state_query(self._query.table, self._snapshot))
            self.report.lasting = check_state(self._query.table, self._snapshot, state)

    def _chunks(self) -> Iterator[pa.RecordBatch]:
        query, cursor = self._query, self._cursor
        if cursor is None:
            yield from self._read(query.select(self._plans))
            return
        if cursor.include_nulls:
            yield from self._read(query.select(self._plans, cursor.unordered))
        place = self.schema.names.index(cursor.column.name)
        for chunk in self._read(query.select_ordered(self._plans)):
            self._ordered_rows += chunk.num_rows
            self._edge = encode(chunk.column(place)[-1])
            yield chunk

    def _read(self, sql: str) -> Iterator[pa.RecordBatch]:
        for chunk in self._session.chunks(sql, self._plans):
            if chunk.num_rows:
                self._rows += chunk.num_rows
                yield self._check.clean(chunk)

    def _misfitting(self, columns: list[SourceColumn]) -> tuple[Any, ...]:
        """Of each whether a row of this read has a value in it that ``decimal(38,18)`` cannot hold."""
        conditions = [f"bool_or({misfits(column, self._server.version)})" for column in columns]
        cursor = self._query.cursor
        if cursor is not None and cursor.resumed:
            sql = self._query.aggregate_next(conditions)
        else:
            sql = self._query.aggregate(conditions)
        (answer,) = self._session.rows(sql)
        return answer

    def _values_nulled(self) -> list[ValueWarning]:
        """Counted at the source, and only where nulls arrived: a value that became one leaves no other trace."""
        cursor = self._cursor
        reasons = [
            (plan.name, reason, condition)
            for plan in self._plans
            if plan.name in self._check.with_nulls
            for reason, condition in plan.nulled
        ]
        if not reasons:
            return []
        extent = None
        if cursor is not None:
            parts = [cursor.unordered] if cursor.include_nulls else []
            if self._edge is not None:
                parts.append(f"{cursor.ordered} AND {cursor.at_most(self._edge)}")
            extent = " OR ".join(f"({part})" for part in parts)
        counts = [f"count(*) FILTER (WHERE {condition})" for _, _, condition in reasons]
        (answer,) = self._session.rows(self._query.aggregate(counts, extent))
        return [
            ValueWarning(column, reason, count)
            for (column, reason, _), count in zip(reasons, answer, strict=True)
            if count
        ]

    def _is_more(self) -> bool:
        cursor = self._cursor
        if cursor is None or cursor.max_rows is None or self._edge is None or self._ordered_rows < cursor.max_rows:
            return False
        rest = self._query.where(f"{cursor.ordered} AND {cursor.beyond(self._edge)}")
        ((more,),) = self._session.rows(f"SELECT EXISTS (SELECT FROM {self._query.source}{rest}) AS c0")
        return bool(more)


def _outline(
    connection: psycopg.Connection, config: PostgresConfig, request: ReadRequest, part_bytes: int | None = None
) -> _Outline:
    with _failures_named(request), settled(connection):
        server = Server(connection.info.server_version, _is_raw(connection))
        found = find(connection, config, [request.table])
        if not found:
            raise SchemaChangedError(f"{request.table} is gone from the source, or the user may no longer read it.")
        table = found[0]
        names, gone = column_names(table.columns, request)
        width = row_width_bytes(connection, table, names)
        parts = divide(connection, table, part_bytes) if part_bytes else ()
        cursor = cursor_of(table, request.cursor, server.version) if request.cursor else None
        undecided = not (request.narrow or parts or request.part)
        few = undecided and _are_few(connection, ReadQuery(table, cursor=cursor), len(names))
        may_be_held = _may_be_held(connection, ReadQuery(table, cursor=cursor))
    check_cursor_is_read(cursor, names)
    filters = tuple(filter_condition(table, each) for each in request.row_filters)
    if request.part is not None:
        filters += (partitions.condition(request.part),)
    return _Outline(
        ReadQuery(table, filters, cursor), names, gone, server, width or UNKNOWN_WIDTH, few, parts, may_be_held
    )


@contextmanager
def _failures_named(request: ReadRequest) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise query_error(error, request.table, filtered=bool(request.row_filters)) from error


def _are_few(connection: psycopg.Connection, query: ReadQuery, columns: int) -> bool:
    """By the planner, who knows how large a table is now. Only an index tells it what came since its last look."""
    cursor, condition = query.cursor, "true"
    if cursor is not None and cursor.resumed and query.table.is_indexed(cursor.column.name):
        condition = cursor.ordered
    return expected_rows(connection, query.source, condition) * columns < FEW_VALUES


def _may_be_held(connection: psycopg.Connection, query: ReadQuery) -> bool:
    """Without an index it takes a scan to know: then only of tables that may have so many rows."""
    cursor = query.cursor
    if cursor is None or not cursor.resumed or cursor.max_rows is None:
        return False
    if query.table.is_indexed(cursor.column.name):
        return True
    return ESTIMATES_ERR * expected_rows(connection, query.source, "true") >= cursor.max_rows


def _is_raw(connection: psycopg.Connection) -> bool:
    return connection.info.parameter_status("server_encoding") == "SQL_ASCII"
