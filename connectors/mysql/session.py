"""Sessions at the source: how every connection is made, marked and set up."""

import hashlib
import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql

from connectors.deadline import remaining
from connectors.errors import SourceError
from connectors.mysql.config import MySqlConfig
from connectors.mysql.errors import number, query_error
from connectors.mysql.login import logged_in
from connectors.mysql.sql import literal
from connectors.mysql.wire import Rows, stream

LOCK_TIMEOUT_SECONDS = 30
STALL_SECONDS = 3600
"""How long the server waits for us while a batch is being written, before it takes us for dead."""
CANCEL_PATIENCE_SECONDS = 0.5
_NO_SUCH_THREAD = 1094

_SETTINGS = {
    "time_zone": "'+00:00'",
    # Constants are written for it; and the server neither pads nor refuses what it shows.
    "sql_mode": "''",
    "lock_wait_timeout": str(LOCK_TIMEOUT_SECONDS),
    "net_write_timeout": str(STALL_SECONDS),
    "wait_timeout": str(STALL_SECONDS),
    # An account may have a limit of its own, which would cut the rows of a table without a word.
    "sql_select_limit": "18446744073709551615",
    "sql_big_selects": "1",
}


@dataclass(frozen=True)
class Reading:
    """The read that a session serves: its mark, and how errors speak of it."""

    mark: str
    what: str
    filtered: bool = False

    def error(self, error: Exception) -> SourceError:
        return query_error(error, self.what, filtered=self.filtered)


def mark_of(read_id: str) -> str:
    """What the statements of a read carry as a comment, and are found by."""
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", read_id):
        return f"syncline-{read_id}"
    return f"syncline-{hashlib.sha256(read_id.encode()).hexdigest()[:48]}"


class Session:
    """A session at the source, under a mark. Not safe to share between threads; raises PyMySQL's errors and ours."""

    def __init__(self, connection: Any, mark: str) -> None:
        self.connection = connection
        self._mark = mark

    @property
    def version(self) -> str:
        """As the server has it: ``8.0.36`` or ``10.11.6-MariaDB``."""
        return str(self.connection.get_server_info()).removeprefix("5.5.5-")

    @property
    def is_mariadb(self) -> bool:
        return "mariadb" in self.version.lower()

    def marked(self, sql: str) -> str:
        """The statement with the mark by which ``cancel`` finds it."""
        return f"/* {self._mark} */ {sql}"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        with self.connection.cursor() as cursor:
            cursor.execute(self.marked(sql))
            return list(cursor.fetchall())

    def stream(self, sql: str, size_bytes: int) -> Iterator[Rows]:
        """As ``connectors.mysql.wire.stream``; other statements may follow only when it has ended."""
        return stream(self.connection, self.marked(sql), size_bytes)

    def begin(self) -> None:
        """Have all that follows see one state."""
        self.rows("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.rows("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def set_up(self, seconds: int) -> None:
        """The settings of a read, whatever the server's own are; ``seconds`` for each statement, 0 for no limit."""
        limits = (
            {"max_statement_time": str(seconds), "idle_transaction_timeout": "0"}
            if self.is_mariadb
            else {"max_execution_time": str(seconds * 1000)}
        )
        settings = [f"SESSION {name} = {value}" for name, value in (_SETTINGS | limits).items()]
        self.rows(f"SET {', '.join(settings)}")


@contextmanager
def connect(config: MySqlConfig, mark: str, statement_seconds: int | None = None) -> Iterator[Session]:
    """A session in autocommit; what fails at the login or in the block comes out as a ``SourceError``.

    Where there is a deadline, neither the login nor the block outlasts it by more than a moment, whatever the server
    does.
    """
    with logged_in(config) as connection:
        try:
            session = Session(connection, mark)
            session.set_up(_limit(statement_seconds))
            yield session
        except pymysql.Error as error:
            raise query_error(error) from error


def _limit(statement_seconds: int | None) -> int:
    """After how many seconds the server itself ends a statement that nobody waits for any more; 0 for none."""
    left = remaining()
    limits = [statement_seconds, None if left is None else math.ceil(left) + 1]
    return min((limit for limit in limits if limit), default=0)


def cancel(config: MySqlConfig, mark: str) -> None:
    """Cancel the statements under that mark; end the sessions of those that are still at it half a second later."""
    with connect(config, "syncline-cancel") as session:
        found, deadline = False, time.monotonic() + CANCEL_PATIENCE_SECONDS
        while (running := _running(session, mark)) or not found:
            found = found or bool(running)
            over = time.monotonic() > deadline
            for thread in running:
                _kill(session, "CONNECTION" if over else "QUERY", thread)
            if over:
                return
            time.sleep(0.02)


def _running(session: Session, mark: str) -> list[int]:
    """Between two statements of a read there is nothing to be found for a moment."""
    sql = (
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE LOCATE({literal(f'/* {mark} */')}, INFO) = 1 "
        "AND ID <> CONNECTION_ID()"
    )
    return [int(thread) for (thread,) in session.rows(sql)]


def _kill(session: Session, what: str, thread: int) -> None:
    try:
        session.rows(f"KILL {what} {thread}")
    except pymysql.Error as error:
        if number(error) != _NO_SUCH_THREAD:
            raise
