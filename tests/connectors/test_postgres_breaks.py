"""Reads that are cancelled, given up, or lose their server: an error in good time, never the end of the process."""

import subprocess
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from connectors.base import CursorRange
from connectors.errors import SourceError
from connectors.postgres import session
from tests.connectors.cancelling import check_cancel_of_a_statement, check_cancel_of_a_stream, give_up_after_a_batch
from tests.connectors.reading_process import reading_elsewhere
from tests.connectors.source import POSTGRES, Source
from tests.kit.platform import eventually

DRIVERS = pytest.mark.parametrize("narrow", [False, True], ids=["fast", "narrow"])

LONG = "CREATE TABLE long AS SELECT n AS id, repeat(md5(n::text), 20) AS t FROM generate_series(1, 300000) AS n"
SLEEPY = "CREATE VIEW sleepy AS SELECT n AS id, pg_sleep(120)::text AS t FROM generate_series(1, 2) AS n"


def await_activity(source: Source, pattern: str) -> None:
    """Until a session of a read runs a statement like that."""
    deadline = time.monotonic() + 60
    with source.server.connect(source.database) as connection:
        while not connection.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE application_name ~ '^syncline-' AND state = 'active' AND query ~ %s",
            [pattern],
        ).fetchone():
            assert time.monotonic() < deadline
            connection.execute("SELECT pg_sleep(0.02)")


def sessions(source: Source) -> int:
    ((count,),) = source.rows(
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{source.database}' AND application_name ~ '^syncline'"
    )
    return int(count)


def await_no_session(source: Source) -> None:
    """A backend outlives its connection by a moment."""
    eventually(lambda: sessions(source) == 0, "the server to end the session", patience_seconds=5)


@DRIVERS
def test_cancel_in_the_middle_of_a_sleeping_query(
    source: Source, narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine it may take a while: the session is not to be ended meanwhile.
    monkeypatch.setattr(session, "CANCEL_PATIENCE_SECONDS", 4)
    source.execute(SLEEPY)
    check_cancel_of_a_statement(source, "sleepy", lambda: await_activity(source, "^COPY"), narrow=narrow)
    await_no_session(source)


@DRIVERS
def test_cancel_while_rows_stream(source18: Source, narrow: bool) -> None:
    source18.execute(LONG)
    check_cancel_of_a_stream(source18, "long", narrow=narrow)
    await_no_session(source18)


@DRIVERS
def test_a_read_that_is_given_up_ends_at_the_server(source18: Source, narrow: bool) -> None:
    source18.execute(LONG)
    give_up_after_a_batch(source18, "long", narrow=narrow)
    await_no_session(source18)
    assert source18.read("long", cursor=CursorRange("id", "300000")).column("id") == [300000]


@pytest.fixture
def reading(source18: Source, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """A process that has read its first batch and waits."""
    source18.execute(LONG)
    with reading_elsewhere("Postgres", source18.inputs(), "long", narrow=request.param == "narrow") as child:
        yield child


@pytest.mark.parametrize("reading", ["fast", "narrow"], indirect=True)
def test_a_connection_killed_in_the_middle(source18: Source, reading: "subprocess.Popen[str]") -> None:
    source18.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncline-r' "
        f"AND datname = '{source18.database}'"
    )
    assert reading.communicate("go on\n", timeout=60) == ("UnreachableError True\n", None)
    assert reading.returncode == 0, "the process must outlive its connection"


@pytest.mark.parametrize("reading", ["fast", "narrow"], indirect=True)
def test_a_server_killed_in_the_middle(source18: Source, reading: "subprocess.Popen[str]") -> None:
    source18.server.kill()
    try:
        end, _ = reading.communicate("go on\n", timeout=60)
    finally:
        source18.server.restart()
    assert end in ("UnreachableError True\n", "BusyError True\n")
    assert reading.returncode == 0


@DRIVERS
def test_a_lock_that_does_not_become_free(source18: Source, narrow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(session._SETTINGS, "lock_timeout", "1s")
    source18.execute("CREATE TABLE held (id int)")
    with source18.server.connect(source18.database) as connection, connection.transaction():
        connection.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceError) as caught:
            source18.read("held", narrow=narrow)
    assert caught.value.retryable


def test_a_cancel_without_a_read_is_no_error(source18: Source) -> None:
    POSTGRES.cancel(source18.config(), "never-was")
    POSTGRES.cancel(source18.config(), "ü" * 100)


def test_what_does_not_heed_a_cancel_is_ended(source18: Source) -> None:
    """A session that catches the cancellation and goes on is thrown out."""
    dsn = source18.server.dsn(source18.database)
    stubborn = (
        "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"
    )
    ended = threading.Event()

    def run() -> None:
        with psycopg.connect(dsn, application_name="syncline-deaf", autocommit=True) as connection:
            with pytest.raises(psycopg.OperationalError):
                connection.execute(stubborn.encode())
            ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    await_activity(source18, "^DO")
    POSTGRES.cancel(source18.config(), "deaf")
    assert ended.wait(5)
    thread.join()
