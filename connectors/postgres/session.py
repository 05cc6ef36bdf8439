"""Sessions at the source: how every connection is made, marked and set up."""

import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from connectors.base import Snapshot
from connectors.deadline import remaining
from connectors.errors import SnapshotLostError, SourceError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.errors import login_error, query_error
from connectors.postgres.handshake import certificate_error
from connectors.postgres.sql import literal
from connectors.tls import Files, files
from connectors.tunnels import Endpoint, reach

CONNECT_TIMEOUT_SECONDS = 10
LOCK_TIMEOUT_SECONDS = 30
MINIMUM_VERSION = 130000
CANCEL_PATIENCE_SECONDS = 0.5
NO_FILE = os.devnull + "/none"
"""A path that nothing can be at: for an empty one libpq takes its own default."""
GONE = "The snapshot that the table is read in is no longer held."
_PASSING = ("08", "40", "53", "57")
"""States that say nothing of the statement: connection, conflict, resources, an operator's hand."""

_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
    # The server waits for us while a batch is being written; that is no idleness.
    "idle_in_transaction_session_timeout": "0",
}
_LATER_SETTINGS = {
    # A server that sorts for minutes notices within seconds that a killed reader is gone.
    "client_connection_check_interval": "10s",
    "transaction_timeout": "0",
}


@dataclass(frozen=True)
class Reading:
    """The read that a session serves: where, under which mark, and how errors speak of it."""

    config: PostgresConfig
    name: str
    what: str
    filtered: bool = False
    statement_seconds: int | None = None
    snapshot: Snapshot | None = None
    """The state to be read; None for the one that the read finds."""

    def error(self, error: psycopg.Error) -> SourceError:
        return query_error(error, self.what, filtered=self.filtered)


def application_name(read_id: str) -> str:
    """The mark of a read's sessions, in the 63 bytes of ASCII that Postgres keeps of one."""
    name = f"syncline-{read_id}"
    if len(name) <= 63 and name.isascii() and name.isprintable():
        return name
    return f"syncline-{hashlib.sha256(read_id.encode()).hexdigest()[:48]}"


def session_settings(statement_seconds: int | None = None) -> str:
    """A query that sets up a reading transaction, the same for every driver and through a pooler, too."""
    settings = _SETTINGS | {"statement_timeout": f"{statement_seconds or 0}s"}
    columns = ", ".join(
        f"set_config({literal(name)}, {literal(value)}, true) AS s{number}"
        for number, (name, value) in enumerate(settings.items())
    )
    later = " UNION ALL ".join(
        f"SELECT {literal(name)} AS name, {literal(value)} AS value" for name, value in _LATER_SETTINGS.items()
    )
    # Servers on systems without POLLRDHUP refuse the interval, and older ones do not know these at all.
    return (
        f"SELECT {columns}, (SELECT count(set_config(later.name, later.value, true)) FROM ({later}) AS later "
        "JOIN pg_settings USING (name) WHERE version() ~* 'linux') AS known"
    )


@dataclass(frozen=True)
class Way:
    """How a session gets to the server: where to, with which certificates, and libpq's string that says so."""

    endpoint: Endpoint
    files: Files
    conninfo: str


@contextmanager
def way(config: PostgresConfig, name: str) -> Iterator[Way]:
    """To addresses that were checked, through a tunnel where there is to be one, while the context lasts: every session
    that goes by it ends before. ``SourceError`` where the host has no such address, or no tunnel opens.
    """
    with (
        reach(config.bastion, config.outbound, config.host, config.port) as endpoint,
        files(config.sslmode, config.certificates) as pems,
    ):
        yield Way(endpoint, pems, _conninfo(config, name, endpoint, pems))


def _conninfo(config: PostgresConfig, name: str, endpoint: Endpoint, pems: Files) -> str:
    return make_conninfo(
        # The name for each of them: certificates are held against it.
        host=",".join([config.host] * len(endpoint.addresses)),
        hostaddr=",".join(endpoint.addresses),
        connect_timeout=_seconds_each(endpoint),
        port=endpoint.port,
        dbname=config.database,
        user=config.user,
        password=config.password,
        sslmode=config.sslmode,
        # Nothing of the worker's own account may be sent to a host that a user names, or decide whom to trust.
        sslrootcert=pems.authority or NO_FILE,
        sslcert=pems.own or NO_FILE,
        sslkey=pems.key or NO_FILE,
        passfile=NO_FILE,
        options="",
        gssencmode="disable",
        application_name=name,
        # Without it the server would speak in the encoding of its database.
        client_encoding="UTF8",
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
    )


def _seconds_each(endpoint: Endpoint) -> int:
    """By itself the driver gives each address of a name all of its time."""
    left = remaining()
    seconds = CONNECT_TIMEOUT_SECONDS if left is None else min(CONNECT_TIMEOUT_SECONDS, left / len(endpoint.addresses))
    return max(1, int(seconds))


@contextmanager
def connect(config: PostgresConfig, name: str, **parameters: str) -> Iterator[psycopg.Connection]:
    """A session in autocommit; what fails at the login or in the block comes out as a ``SourceError``.

    ``parameters``: more of libpq's, such as ``replication``.

    Where there is a deadline, neither the login nor the block outlasts it by more than a moment, whatever the server
    does.
    """
    with way(config, name) as taken:
        connection = _logged_in(config, taken, parameters)
        with closing(connection), _ended_in_time(connection):
            try:
                yield connection
            except psycopg.Error as error:
                raise query_error(error) from error


def _logged_in(config: PostgresConfig, taken: Way, parameters: Mapping[str, str]) -> psycopg.Connection:
    given: dict[str, Any] = {"client_encoding": "utf8", **parameters}
    try:
        return psycopg.connect(taken.conninfo, autocommit=True, **given)
    except psycopg.Error as error:
        # Its frames would keep the half-open connection until the next garbage collection.
        error.__context__ = None
        why = taken.endpoint.failure or certificate_error(error, config, taken.endpoint, taken.files)
        raise (why or login_error(error, config)) from error.with_traceback(None)


@contextmanager
def transaction(config: PostgresConfig, name: str) -> Iterator[psycopg.Connection]:
    """As ``connect``, in a transaction with the settings of a read."""
    with connect(config, name) as connection, settled(connection):
        yield connection


@contextmanager
def settled(connection: psycopg.Connection) -> Iterator[None]:
    """A transaction with the settings of a read: no lock is waited for without an end."""
    with connection.transaction():
        connection.execute(session_settings().encode())
        yield


def begin(connection: psycopg.Connection, snapshot: Snapshot | None = None) -> None:
    """Have the connection's next transaction read one state, that of the snapshot where one is given."""
    connection.autocommit = False
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    if snapshot is None:
        return
    try:
        connection.execute(join_statement(snapshot).encode())
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate.startswith(_PASSING):
            raise
        raise SnapshotLostError(GONE) from error


def join_statement(snapshot: Snapshot) -> str:
    """Must be the first statement of a transaction, of isolation level repeatable read."""
    return f"SET TRANSACTION SNAPSHOT {literal(snapshot.name)}"


def startup_options(**more: str) -> str:
    """The settings of a read as libpq's ``options``, for a session that can run no ``session_settings``."""
    settings = _SETTINGS | {"statement_timeout": "0"} | more
    escaped = {name: re.sub(r"([\\\s])", r"\\\1", value) for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


@contextmanager
def _ended_in_time(connection: psycopg.Connection) -> Iterator[None]:
    """At the deadline cancel what the server does, and hang up: a server that does not even hear that keeps nobody."""
    left = remaining()
    if left is None:
        yield
        return
    # A descriptor of our own for the same socket: the driver may close its own at any time.
    with socket.socket(fileno=os.dup(connection.fileno())) as line:

        def hang_up() -> None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=CANCEL_PATIENCE_SECONDS)
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(left, hang_up)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


_SESSIONS = "FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"


def cancel(config: PostgresConfig, name: str) -> None:
    """Cancel what sessions of that name do; end those that are still at it half a second later."""
    with connect(config, "syncline-cancel") as connection:
        busy = f"SELECT pid {_SESSIONS} AND state <> 'idle'".encode()
        connection.execute(f"SELECT pg_cancel_backend(pid) {_SESSIONS}".encode(), [name])
        deadline = time.monotonic() + CANCEL_PATIENCE_SECONDS
        while connection.execute(busy, [name]).fetchone():
            if time.monotonic() > deadline:
                connection.execute(f"SELECT pg_terminate_backend(pid) {_SESSIONS}".encode(), [name])
                return
            time.sleep(0.02)
