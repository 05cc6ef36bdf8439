"""Sessions at the source: how every connection is made, marked and set up."""

import hashlib
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pymysql

from connectors.deadline import remaining
from connectors.errors import SourceError
from connectors.mysql.config import MySqlConfig
from connectors.mysql.errors import late_login, login_error, number, query_error, unreachable
from connectors.mysql.sql import literal
from connectors.mysql.wire import Rows, stream
from connectors.tls import Files, files
from connectors.tunnels import Endpoint, reach

CONNECT_TIMEOUT_SECONDS = 10
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
    """The read that a session serves: where, under which mark, and how errors speak of it."""

    config: MySqlConfig
    mark: str
    what: str
    filtered: bool = False
    statement_seconds: int | None = None

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
    with (
        reach(config.bastion, config.outbound, config.host, config.port) as endpoint,
        files(config.sslmode, config.certificates) as pems,
        _line(config, endpoint) as line,
    ):
        connection = _connection(config, pems)
        try:
            _log_in(connection, line, config, endpoint)
            with _hung_up_after(line, remaining()):
                session = Session(connection, mark)
                session.set_up(_limit(statement_seconds))
                yield session
        except pymysql.Error as error:
            raise query_error(error) from error
        finally:
            _hang_up(connection)


def _limit(statement_seconds: int | None) -> int:
    """After how many seconds the server itself ends a statement that nobody waits for any more; 0 for none."""
    left = remaining()
    limits = [statement_seconds, None if left is None else math.ceil(left) + 1]
    return min((limit for limit in limits if limit), default=0)


@contextmanager
def _line(config: MySqlConfig, endpoint: Endpoint) -> Iterator[socket.socket]:
    """An open connection to the first of the addresses that takes one. They share the time."""
    left = remaining()
    until = time.monotonic() + (CONNECT_TIMEOUT_SECONDS if left is None else min(left, CONNECT_TIMEOUT_SECONDS))
    failure = OSError("no time was left")
    for place, address in enumerate(endpoint.addresses):
        share = (until - time.monotonic()) / (len(endpoint.addresses) - place)
        try:
            line = socket.create_connection((address, endpoint.port), timeout=max(share, 0.001))
            break
        except OSError as error:
            failure = error
    else:
        why = late_login(config) if isinstance(failure, TimeoutError) else unreachable(config)
        raise endpoint.failure or why from failure
    with line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        yield line


def _connection(config: MySqlConfig, pems: Files) -> Any:
    tls: dict[str, Any] = {}
    if config.sslmode == "disable":
        tls = {"ssl_disabled": True}
    elif config.sslmode != "prefer":
        tls = {"ssl": _tls(config, pems)}
    connection: Any = pymysql.Connection(
        host=config.host,
        port=config.port,
        user=config.user,
        # The driver would write a text in latin1.
        password=config.password.encode(),
        database=config.database,
        charset="utf8mb4",
        autocommit=True,
        defer_connect=True,
        **tls,
    )
    if config.sslmode == "prefer":
        # Told nothing, the driver encrypts where the server offers it.
        connection.ctx = _tls(config, pems)
    return connection


def _tls(config: MySqlConfig, pems: Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = config.sslmode == "verify-full"
    if pems.authority is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(pems.authority)
    if pems.own is not None:
        context.load_cert_chain(pems.own, pems.key)
    return context


def _log_in(connection: Any, line: socket.socket, config: MySqlConfig, endpoint: Endpoint) -> None:
    left = remaining()
    seconds = CONNECT_TIMEOUT_SECONDS if left is None else min(left, CONNECT_TIMEOUT_SECONDS)
    with _hung_up_after(line, seconds) as late:
        try:
            # The driver closes what it is given at times of its own.
            connection.connect(line.dup())
        except Exception as error:
            # Whatever answers there may be no MySQL at all, and confuse the driver in any way.
            why = late_login(config) if late.is_set() else login_error(error, config)
            raise endpoint.failure or why from error


@contextmanager
def _hung_up_after(line: socket.socket, seconds: float | None) -> Iterator[threading.Event]:
    """Whoever waits for the server in the block waits no longer than that. The event tells that it came to it."""
    late = threading.Event()
    if seconds is None:
        yield late
        return

    def hang_up() -> None:
        late.set()
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()


def _hang_up(connection: Any) -> None:
    if connection.open:
        with suppress(pymysql.Error):
            connection.close()


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
