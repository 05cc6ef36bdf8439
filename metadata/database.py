"""The metadata database, SQLite or PostgreSQL: one engine, and transactions on it.

A transaction that reads before it writes takes the write lock of SQLite at its start (``BEGIN IMMEDIATE``): a
later one could not wait, since what was read might be stale by then. On PostgreSQL it locks the rows that it
will write with ``for_update``; everybody locks a schema before its state, so nobody waits in a circle.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from pydantic_core import from_json
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    cast,
    create_engine,
    event,
    extract,
    func,
    literal,
    make_url,
    select,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.sql.selectable import GenerativeSelect
from sqlmodel import Session

from metadata.errors import UnsupportedDatabaseError

BUSY_TIMEOUT_SECONDS = 30
READ_ONLY = "syncline_read_only"
LASTING = "syncline_lasting"
GONE_WITHOUT_A_WORD = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""After half a minute of silence the connection to PostgreSQL counts as broken."""

AnySelect = TypeVar("AnySelect", bound=GenerativeSelect)


class Database:
    """Transactions on the metadata. Safe to share between threads, not between forked processes."""

    def __init__(self, url: str) -> None:
        parsed = supported_url(url)
        if parsed.get_backend_name() == "sqlite":
            self._engine = sqlite_engine(parsed, foreign_keys=True, pool_size=10, max_overflow=40)
            self._reader = self._engine.execution_options(**{READ_ONLY: True})
            self._lasting = self._engine.execution_options(**{LASTING: True})
        else:
            self._engine = postgres_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=20, pool_recycle=1800)
            self._reader = self._engine.execution_options(postgresql_readonly=True)
            self._lasting = self._engine.execution_options()

    @contextmanager
    def transaction(self, *, lasting: bool = False) -> Iterator[Session]:
        """Commits at the end, rolls back on any error. Its objects stay readable afterwards.

        ``lasting``: not even a machine that loses its power takes back what is committed, for which SQLite waits.
        """
        engine = self._lasting if lasting else self._engine
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that takes no lock and can write nothing. Its objects stay readable afterwards."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    def ping(self) -> None:
        """Ask the database for an answer; raises whatever stands in the way."""
        with self.read() as session:
            session.connection().execute(select(1))

    def dispose(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


def for_update(statement: AnySelect) -> AnySelect:
    """Lock the rows that the statement finds until the transaction ends, and read them afresh.

    On SQLite the transaction itself is the lock.
    """
    unlocked: Any = statement
    locked: AnySelect = unlocked.with_for_update(key_share=True).execution_options(populate_existing=True)
    return locked


@cache
def database_of_process(url: str) -> Database:
    """For what finds itself in a process that was given no database, but its address."""
    return Database(url)


def clock(session: Session) -> ColumnElement[float]:
    """Seconds since 1970, by a clock that all share.

    Of SQLite it is this machine's, once the transaction has its lock; PostgreSQL looks at its own once it has the row.
    """
    if session.connection().dialect.name == "sqlite":
        return literal(time.time())
    return cast(extract("epoch", func.clock_timestamp()), Float)


def supported_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The cause would show the address, password and all.
        raise UnsupportedDatabaseError("The address of the metadata database is no URL.") from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise UnsupportedDatabaseError(f"The metadata lives in PostgreSQL or SQLite, not in {backend}.")
    if parsed.database in (None, "", ":memory:"):
        raise UnsupportedDatabaseError("The metadata needs an SQLite file: threads cannot share one in memory.")
    return parsed


def postgres_engine(url: URL, **options: Any) -> Engine:
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        # A page of the API is mostly JSON columns: read by the fastest parser at hand.
        json_deserializer=from_json,
        connect_args={"connect_timeout": 10, "application_name": "syncline", **GONE_WITHOUT_A_WORD},
        hide_parameters=True,
        **options,
    )


def sqlite_engine(url: URL, *, foreign_keys: bool, **options: Any) -> Engine:
    """The driver's own transactions are off; ours begin where SQLAlchemy begins them."""
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}, hide_parameters=True, **options)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        asked = connection.get_execution_options()
        read_only = asked.get(READ_ONLY, False)
        if not read_only:
            connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if asked.get(LASTING, False) else 'NORMAL'}")
        connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
        connection.exec_driver_sql("BEGIN DEFERRED" if read_only else "BEGIN IMMEDIATE")

    return engine
