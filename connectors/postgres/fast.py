"""The fast driver: DuckDB reads binary ``COPY`` into Arrow, one connection, one transaction.

A transaction whose connection has died aborts the whole process when it is collected, so it is always rolled back
by hand. What DuckDB raises is nothing but text, and where it speaks of connecting it holds the password: that never
leaves this module. Why a read failed is found out over a connection of psycopg, which has codes for it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_postgres_scanner
import psycopg
import pyarrow as pa

from connectors.errors import ReadCancelledError, SnapshotLostError, SourceError, UnreachableError
from connectors.postgres.columns import ColumnPlan
from connectors.postgres.session import Reading, begin, cancel, connect, join_statement, session_settings, way

VECTOR_ROWS = 2048
MAXIMUM_ROWS = 8 * VECTOR_ROWS
TRIAL_SECONDS = 20
"""How long a statement that broke off is run again to learn why: DuckDB tells nothing that could be gone by."""

_EXTENSION = next(
    (Path(duckdb_extension_postgres_scanner.__path__[0]) / "extensions" / f"v{duckdb.__version__}").glob(
        "postgres_scanner.duckdb_extension*"
    )
)
_OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    # Nothing is fetched at run time; and the extension, locked by its package's hash, loads in a hundredth of the time
    # when its signature is not computed again for every read.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_unsigned_extensions": True,
}


class DriverError(Exception):
    """DuckDB's own words on what went wrong, for the log. Never its words on connecting: they hold the password."""


class FastSession:
    """One reading transaction through DuckDB."""

    def __init__(self, reading: Reading, rows: int) -> None:
        self._reading = reading
        self._chunk_rows = min(max(rows // VECTOR_ROWS, 1) * VECTOR_ROWS, MAXIMUM_ROWS)
        self._duckdb = duckdb.connect(config=_OPTIONS)
        self._streaming = False

    @classmethod
    @contextmanager
    def open(cls, reading: Reading, rows: int) -> Iterator["FastSession"]:
        """``rows``: how many a chunk may hold; DuckDB takes no fewer than a vector of them."""
        with way(reading.config, reading.name) as taken:
            session = cls(reading, rows)
            try:
                session._attach(taken.conninfo)
                yield session
            finally:
                session._close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        try:
            return self._query(sql).fetchall()
        except duckdb.Error as error:
            raise self._translated(error, sql) from _driver_error(error)

    def chunks(self, sql: str, plans: Sequence[ColumnPlan]) -> Iterator[pa.RecordBatch]:
        """Rows in the order of the query, in chunks of a fixed number of rows."""
        expected = [plan.carried for plan in plans]
        try:
            reader = self._query(sql).to_arrow_reader(self._chunk_rows)
            if reader.schema.types != expected:
                raise SourceError(f"A column of {self._reading.what} arrives in another type than planned.")
            self._streaming = True
            yield from reader
            self._streaming = False
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._translated(error, sql) from _driver_error(error)

    def _attach(self, info: str) -> None:
        quoted = info.replace("'", "''")
        try:
            self._duckdb.execute(f"LOAD '{_EXTENSION}'")
            self._duckdb.execute("SET TimeZone = 'UTC'")
            self._duckdb.execute(f"ATTACH '{quoted}' AS source (TYPE postgres, READ_ONLY)")
            self._duckdb.execute("BEGIN")
            if self._reading.snapshot is not None:
                self._duckdb.execute("CALL postgres_execute('source', ?)", [join_statement(self._reading.snapshot)])
            self._query(session_settings(self._reading.statement_seconds)).fetchall()
        except duckdb.Error:
            raise self._verdict("SELECT") or UnreachableError("The connection to Postgres failed.") from None

    def _query(self, sql: str) -> duckdb.DuckDBPyConnection:
        return self._duckdb.execute("SELECT * FROM postgres_query('source', ?)", [sql])

    def _translated(self, error: Exception, sql: str) -> SourceError:
        """Ask the server what is wrong with the statement; if nothing is, the connection was what failed."""
        if "canceling statement due to user request" in str(error):
            return ReadCancelledError(f"The read of {self._reading.what} was cancelled.")
        verdict = self._verdict(sql, run_seconds=TRIAL_SECONDS)
        return verdict or UnreachableError(f"The read of {self._reading.what} broke off at the source.")

    def _verdict(self, sql: str, run_seconds: int = 0) -> SourceError | None:
        """What the server has against the statement, or against our login; None if nothing.

        Values of the rows may be to blame as well: for ``run_seconds`` the statement is run, and its rows thrown away.
        """
        try:
            with connect(self._reading.config, self._reading.name) as connection:
                begin(connection, self._reading.snapshot)
                connection.execute(session_settings().encode())
                connection.execute(f"EXPLAIN {sql}".encode())
                if run_seconds:
                    _try(connection, sql, run_seconds)
        except SnapshotLostError as error:
            return error
        except SourceError as error:
            cause = error.__cause__
            return self._reading.error(cause) if isinstance(cause, psycopg.Error) and cause.sqlstate else error
        return None

    def _close(self) -> None:
        if self._streaming:
            # Without it the rollback would wait for the rest of the rows.
            with suppress(SourceError):
                cancel(self._reading.config, self._reading.name)
        with suppress(duckdb.Error):
            self._duckdb.execute("ROLLBACK")
        with suppress(duckdb.Error):
            self._duckdb.close()


def _try(connection: psycopg.Connection, sql: str, seconds: int) -> None:
    connection.execute(f"SET LOCAL statement_timeout = '{seconds}s'".encode())
    copy_sql = f"COPY ({sql}) TO STDOUT (FORMAT binary)".encode()
    with suppress(psycopg.errors.QueryCanceled), connection.cursor() as cursor, cursor.copy(copy_sql) as copy:
        for _ in copy:
            pass


def _driver_error(error: Exception) -> DriverError:
    text = str(error)
    return DriverError("DuckDB could not connect." if "password" in text else text)
