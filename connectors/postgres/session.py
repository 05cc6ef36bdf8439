"""Sessions at the source: how every connection is made, marked and set up."""

import hashlib
import os
import re
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from connectors.base import Snapshot
from connectors.deadline import remaining
from connectors.errors import ConfigurationError, SnapshotLostError, SourceError
from connectors.outbound import resolve
from connectors.postgres.config import PostgresConfig
from connectors.postgres.errors import login_error, query_error
from connectors.postgres.sql import literal

CONNECT_TIMEOUT_SECONDS = 10
LOCK_TIMEOUT_SECONDS = 30
MINIMUM_VERSION = 130000
CANCEL_PATIENCE_SECONDS = 0.5
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


@contextmanager
def conninfo(config: PostgresConfig, name: str) -> Iterator[str]:
    """libpq's connection string, to addresses that were checked; the certificate's file lasts as long as the context.

    ``SourceError`` where the host has no such address.
    """
    attempts = _attempts(config)
    with _authority(config) as ca_file:
        yield make_conninfo(
            **attempts,
            port=config.port,
            dbname=config.database,
            user=config.user,
            password=config.password,
            sslmode=config.sslmode,
            sslrootcert=ca_file or "",
            application_name=name,
            # Without it the server would speak in the encoding of its database.
            client_encoding="UTF8",
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            gssencmode="disable",
            # Nothing of the worker's own environment may be sent to a host that a user names.
            passfile=os.devnull + "/none",
            options="",
        )


@contextmanager
def connect(config: PostgresConfig, name: str, **parameters: str) -> Iterator[psycopg.Connection]:
    """A session in autocommit; what fails at the login or in the block comes out as a ``SourceError``.

    ``parameters``: more of libpq's, such as ``replication``.

    Where there is a deadline, neither the login nor the block outlasts it by more than a moment, whatever the server
    does.
    """
    with conninfo(config, name) as info:
        given: dict[str, Any] = {"client_encoding": "utf8", **parameters}
        try:
            connection = psycopg.connect(info, autocommit=True, **given)
        except psycopg.Error as error:
            # Its frames would keep the half-open connection until the next garbage collection.
            error.__context__ = None
            raise login_error(error, config) from error.with_traceback(None)
    with closing(connection), _ended_in_time(connection):
        try:
            yield connection
        except psycopg.Error as error:
            raise query_error(error) from error


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


def _attempts(config: PostgresConfig) -> dict[str, Any]:
    """Where and how long to try. By itself the driver gives each address of a name all of its time."""
    addresses = resolve(config.outbound, config.host, config.port)
    left = remaining()
    seconds = CONNECT_TIMEOUT_SECONDS if left is None else min(CONNECT_TIMEOUT_SECONDS, left / len(addresses))
    return {
        # The name for each of them: certificates are held against it.
        "host": ",".join([config.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "connect_timeout": max(1, int(seconds)),
    }


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


@contextmanager
def _authority(config: PostgresConfig) -> Iterator[str | None]:
    """The file of the authorities to trust: the user's own, else the system's."""
    if not config.sslmode.startswith("verify"):
        yield None
    elif config.ssl_ca is None:
        bundle = ssl.get_default_verify_paths().cafile
        if bundle is None:
            raise ConfigurationError(
                "This system has no list of trusted authorities: give the authority's certificate.", attr="ssl_ca"
            )
        yield bundle
    else:
        with tempfile.NamedTemporaryFile("w", prefix="syncline-ca-", suffix=".pem") as file:
            file.write(config.ssl_ca)
            file.flush()
            yield file.name


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
