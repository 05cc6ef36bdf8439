"""Reads that are cancelled, given up, or lose their server: an error in good time, never rows left out in silence."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.base import CursorRange, ReadRequest
from connectors.deadline import patience
from connectors.errors import BusyError, ReadCancelledError, UnreachableError
from connectors.mysql import session
from tests.connectors.cancelling import check_cancel_of_a_statement, check_cancel_of_a_stream, give_up_after_a_batch
from tests.connectors.mysql.source import MYSQL, Source
from tests.connectors.reading_process import reading_elsewhere
from tests.kit.bad_sources import bad_source, silent
from tests.kit.platform import eventually

LONG = (
    "CREATE TABLE long_one (id int PRIMARY KEY, t varchar(700))",
    "INSERT INTO long_one SELECT seq, REPEAT(MD5(seq), 20) FROM seq_1_to_100000",
)
SLEEPY = (
    "CREATE TABLE two (id int)",
    "INSERT INTO two VALUES (1), (2)",
    "CREATE VIEW sleepy AS SELECT id, SLEEP(120) AS t FROM two",
)


def await_statement(source: Source, pattern: str) -> None:
    """Until a session of a read runs a statement like that."""
    sql = f"SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '/* syncline-%' AND INFO LIKE '{pattern}'"
    eventually(lambda: source.rows(sql), "a statement", patience_seconds=60)


def threads(source: Source) -> list[int]:
    sql = f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{source.database}' AND ID <> CONNECTION_ID()"
    return [thread for (thread,) in source.rows(sql)]


def await_no_session(source: Source) -> None:
    """A session outlives its connection by a moment."""
    eventually(lambda: not threads(source), "the server to end the session", patience_seconds=5)


def test_cancel_in_the_middle_of_a_sleeping_query(source: Source) -> None:
    source.execute(*SLEEPY)
    check_cancel_of_a_statement(source, "sleepy", lambda: await_statement(source, "%AS c1%"))
    await_no_session(source)


def test_cancel_while_rows_stream(source: Source) -> None:
    source.execute(*LONG)
    check_cancel_of_a_stream(source, "long_one")
    await_no_session(source)


def test_a_cancel_without_a_read_is_no_error(source: Source) -> None:
    MYSQL.cancel(source.config(), "never-was")
    MYSQL.cancel(source.config(), "ü'*/" * 100)


def test_a_read_id_of_any_kind_is_found(source: Source) -> None:
    source.execute(*SLEEPY)
    strange = "ü' */ DROP"
    with ThreadPoolExecutor() as pool, MYSQL.read(source.config(), ReadRequest("sleepy", strange)) as read:
        found = pool.submit(list, read.batches())
        await_statement(source, "%AS c1%")
        MYSQL.cancel(source.config(), strange)
        with pytest.raises(ReadCancelledError):
            found.result(timeout=5)


def test_a_read_that_is_given_up_ends_at_the_server(source: Source) -> None:
    source.execute(*LONG)
    give_up_after_a_batch(source, "long_one")
    await_no_session(source)
    assert source.read("long_one", cursor=CursorRange("id", "100000")).column("id") == [100000]


@pytest.fixture
def reading(source: Source) -> Iterator["subprocess.Popen[str]"]:
    """A process that has read its first batch and waits."""
    source.execute(*LONG)
    with reading_elsewhere("MySQL", source.inputs(), "long_one") as child:
        yield child


def test_a_connection_killed_in_the_middle(source: Source, reading: "subprocess.Popen[str]") -> None:
    (thread,) = threads(source)
    source.execute(f"KILL CONNECTION {thread}")
    assert reading.communicate("go on\n", timeout=60) == ("UnreachableError True\n", None)


def test_a_query_killed_in_the_middle(source: Source, reading: "subprocess.Popen[str]") -> None:
    (thread,) = threads(source)
    source.execute(f"KILL QUERY {thread}")
    assert reading.communicate("go on\n", timeout=60) == ("ReadCancelledError False\n", None)


def test_a_server_killed_in_the_middle(source: Source, reading: "subprocess.Popen[str]") -> None:
    source.server.kill()
    try:
        end, _ = reading.communicate("go on\n", timeout=60)
    finally:
        source.server.restart()
    assert end == "UnreachableError True\n"


def test_a_lock_that_does_not_become_free(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(session._SETTINGS, "lock_wait_timeout", "1")
    source.execute("CREATE TABLE held (id int)")
    with source.server.connect(source.database) as connection:
        connection.cursor().execute("LOCK TABLES held WRITE")
        with pytest.raises(BusyError, match="did not become free"):
            source.read("held")


def test_a_table_that_was_changed_after_the_snapshot(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.execute("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
    begin = session.Session.begin

    def begun(self: session.Session) -> None:
        begin(self)
        source.execute("ALTER TABLE things ADD COLUMN b int FIRST, ALGORITHM = COPY")

    with monkeypatch.context() as patched:
        patched.setattr(session.Session, "begin", begun)
        with pytest.raises(BusyError, match="things was changed just as it was to be read") as caught:
            source.read("things")
    assert caught.value.retry_after_seconds == 1
    assert source.read("things").table.to_pylist() == [{"b": None, "id": 1}]


def test_a_statement_ends_by_itself_in_time(source: Source) -> None:
    source.execute(*SLEEPY)
    with pytest.raises(BusyError, match="took longer"):
        source.read("sleepy", statement_seconds=1)


def test_whoever_waits_waits_no_longer_than_said(source: Source) -> None:
    begun = time.monotonic()
    with bad_source(silent) as bad, pytest.raises(UnreachableError, match="did not answer in time"), patience(0.5):
        MYSQL.validate(source.config(port=bad.port))
    source.execute(*SLEEPY)
    with pytest.raises(UnreachableError), patience(1):
        source.read("sleepy")
    assert time.monotonic() - begun < 5
