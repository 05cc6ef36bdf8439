"""Sessions that change what a source keeps for us."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psycopg

from connectors.capture import CaptureSetup
from connectors.errors import BusyError, ConfigurationError, SourceError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.session import connect, session_settings

SESSION_NAME = "syncline-capture-control"
LOCK_PATIENCE_SECONDS = 5
"""How long a change waits for a lock. None of the locks that we wait for is in the way of who writes rows."""
STATEMENT_PATIENCE_SECONDS = 60

Meanings = Mapping[str, Callable[[], SourceError]]
"""What errors of a statement mean, by SQLSTATE."""

_STANDBY = "This server is a read replica, on which nothing can be captured: give the address of its primary."
_MEANINGS: Meanings = {
    "25006": lambda: ConfigurationError(_STANDBY, attr="host"),
    "0A000": lambda: ConfigurationError(_STANDBY, attr="host"),
    "55P03": lambda: BusyError("A lock on what is captured did not become free in time."),
}


@contextmanager
def alone(config: PostgresConfig, setup: CaptureSetup) -> Iterator[None]:
    """Nobody else of us changes what this setup has: the others wait, and get ``BusyError`` where it takes long.

    In a session of its own, for a slot is made in a transaction apart from the publication's.
    """
    with changing(config) as connection:
        claim(connection, setup)
        yield


def claim(connection: psycopg.Connection, setup: CaptureSetup) -> None:
    """As ``alone``, until this transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('syncline'), hashtext(%s))", [setup.slot])


@contextmanager
def changing(config: PostgresConfig) -> Iterator[psycopg.Connection]:
    """A transaction that may write, whatever the role's defaults, and that waits for nothing without an end."""
    with connect(config, SESSION_NAME) as connection:
        connection.read_only = False
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        with meaning({}), connection.transaction():
            connection.execute(session_settings(STATEMENT_PATIENCE_SECONDS).encode())
            wait_for_locks(connection, LOCK_PATIENCE_SECONDS)
            yield connection


def wait_for_locks(connection: psycopg.Connection, seconds: float) -> None:
    """For no longer, in this transaction."""
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{max(1, int(seconds * 1000))}ms"])


@contextmanager
def meaning(meanings: Meanings) -> Iterator[None]:
    """Errors of Postgres within come out as what they mean here, where that is known."""
    try:
        yield
    except psycopg.Error as error:
        known = {**_MEANINGS, **meanings}.get(error.sqlstate or "")
        if known is None:
            raise
        raise known() from error
