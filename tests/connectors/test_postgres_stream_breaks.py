"""Streams that cannot be opened, or end: each with an error that says what to do, and in good time."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from connectors.capture import Boundary, FollowedTable
from connectors.errors import AccessError, BusyError, ConfigurationError, LogLostError, SourceError
from connectors.postgres.replication import stream as streaming
from connectors.postgres.session import application_name
from tests.connectors.following import CAPTURE_ID, PUBLICATION, Followed, collect
from tests.connectors.source import POSTGRES, Source
from tests.connectors.tls import tls_front
from tests.kit.platform import eventually
from tests.kit.servers import run_postgres, run_standby

ITEMS = "CREATE TABLE items (id int PRIMARY KEY, t text)"
MUCH = "INSERT INTO items SELECT n, repeat('x', 500) FROM generate_series(1, 50000) AS n"
LOGICAL = {"wal_level": "logical", "hot_standby_feedback": "on"}


@pytest.fixture
def followed(source: Source) -> Iterator[Followed]:
    source.execute(ITEMS)
    with Followed.begin(source, ("items", "id")) as followed:
        yield followed


def read_on(followed: Followed, started: threading.Event | None = None) -> None:
    """Until it breaks."""
    with followed.open() as stream:
        for _ in stream.changes():
            if started:
                started.set()


def sessions(source: Source) -> int:
    name = application_name(CAPTURE_ID)
    ((count,),) = source.rows(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'")
    return int(count)


def test_the_slot_is_gone(source: Source, followed: Followed) -> None:
    begin = followed.confirmed
    source.execute(f"SELECT pg_drop_replication_slot('{followed.slot}')")
    with pytest.raises(LogLostError, match=r"slot .* is gone"), followed.open(begin):
        pass
    source.rows(f"SELECT pg_create_logical_replication_slot('{followed.slot}', 'pgoutput')")


def test_the_slot_is_dropped_between_the_look_and_the_start(
    source: Source, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_check_slot", lambda *_: None)
    followed.slot, real = "never_was", followed.slot
    with pytest.raises(LogLostError), followed.open(1):
        pass
    followed.slot = real


def test_the_publication_is_gone(source: Source, followed: Followed) -> None:
    source.execute(f'DROP PUBLICATION "{PUBLICATION}"')
    with pytest.raises(LogLostError, match="publication test publication is gone"), followed.open():
        pass


def test_the_publication_is_dropped_while_changes_come(source: Source, followed: Followed) -> None:
    """Version 18 leaves its tables out from then on, and only warns of it in its log."""
    with followed.open() as stream:
        begin = collect(stream).end
        source.execute(f'DROP PUBLICATION "{PUBLICATION}"')
        source.execute("INSERT INTO items VALUES (1)")
        behind = sum(source.rows("SELECT (pg_current_wal_lsn() - '0/0')::int8")[0])
        if source.server.version < 18:
            with pytest.raises(LogLostError):
                collect(stream, lambda _: False)
        else:
            assert collect(stream, lambda boundary: boundary.position >= behind).batches == []
    with pytest.raises(LogLostError), followed.open(begin):
        pass


def test_the_slot_was_read_beyond_where_we_are(source: Source, followed: Followed) -> None:
    begin = followed.confirmed
    source.execute("INSERT INTO items VALUES (1)")
    source.rows(f"SELECT pg_replication_slot_advance('{followed.slot}', pg_current_wal_lsn())")
    with pytest.raises(LogLostError, match="read beyond"), followed.open(begin):
        pass


def test_the_slot_lost_its_log() -> None:
    with run_postgres(18, wal_level="logical", max_slot_wal_keep_size="1MB", min_wal_size="32MB") as server:
        source = Source(server, server.create_database())
        source.execute(ITEMS)
        with Followed.begin(source, ("items", "id")) as followed:
            begin = followed.confirmed

            def is_lost() -> bool:
                source.execute(
                    "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000)); SELECT pg_switch_wal()"
                )
                source.execute("CHECKPOINT")
                return source.rows("SELECT wal_status FROM pg_replication_slots") == [("lost",)]

            eventually(is_lost, "the slot to be invalidated", patience_seconds=30)
            with pytest.raises(LogLostError, match="no longer has the log"), followed.open(begin):
                pass


def test_another_session_reads_the_slot(source: Source, followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    with followed.open() as stream:
        with pytest.raises(BusyError, match="Another session reads the slot"), followed.open():
            pass
        monkeypatch.setattr(streaming, "_check_slot", lambda *_: None)
        with pytest.raises(BusyError, match="Another session reads the slot"), followed.open():
            pass
        source.execute("INSERT INTO items VALUES (1)")
        assert len(collect(stream).batches) <= 1


def test_a_slot_of_something_else(source: Source, followed: Followed) -> None:
    source.rows(f"SELECT pg_create_physical_replication_slot('other_{source.database}')")
    followed.slot, real = f"other_{source.database}", followed.slot
    with pytest.raises(ConfigurationError, match="not one of pgoutput in this database"), followed.open(1):
        pass
    source.execute(f"SELECT pg_drop_replication_slot('{followed.slot}')")
    followed.slot = real


def test_a_role_that_may_not_replicate(source: Source, followed: Followed) -> None:
    role = f"reader_{source.database}"
    source.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'pass'; GRANT SELECT ON items TO {role}")
    with pytest.raises(AccessError, match="may not replicate"), followed.open(user=role, password="pass"):
        pass
    source.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_the_connection_is_cut_in_the_middle(source: Source, followed: Followed) -> None:
    source.execute(MUCH)
    with followed.open() as stream:
        next(stream.changes())
        source.execute(
            f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{followed.slot}'"
        )
        with pytest.raises(SourceError) as caught:
            collect(stream, lambda _: False)
    assert caught.value.retryable
    found = followed.collect()
    assert [change.row["id"] for change in found.changes()] == list(range(1, 50_001))


def test_the_server_is_killed(followed: Followed, source: Source) -> None:
    source.execute(MUCH)
    with followed.open() as stream:
        next(stream.changes())
        source.server.kill()
        try:
            with pytest.raises(SourceError) as caught:
                collect(stream, lambda _: False)
        finally:
            source.server.restart()
    assert caught.value.retryable
    assert len(followed.collect().changes()) == 50_000


def test_the_server_shuts_down_while_all_is_confirmed(followed: Followed, source: Source) -> None:
    """It waits for who follows it to have everything: a reader that goes on keeps nobody waiting."""
    source.execute("INSERT INTO items VALUES (1)")
    ended: list[SourceError] = []

    def go_on() -> None:
        try:
            with followed.open() as stream:
                for item in stream.changes():
                    if isinstance(item, Boundary):
                        stream.confirm(item.position)
                        started.set()
        except SourceError as error:
            ended.append(error)

    started = threading.Event()
    reader = threading.Thread(target=go_on)
    reader.start()
    assert started.wait(10)
    begun = time.monotonic()
    source.server.restart()
    assert time.monotonic() - begun < 20
    reader.join(10)
    assert [error.retryable for error in ended] == [True]


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_cancel_stops_it_in_good_time(source: Source, followed: Followed, busy: bool) -> None:
    if busy:
        source.execute(MUCH)
    started, ended = threading.Event(), []

    def run() -> None:
        try:
            read_on(followed, started)
        except SourceError as error:
            ended.append(error)

    reader = threading.Thread(target=run)
    reader.start()
    assert started.wait(10)
    POSTGRES.cancel(source.config(), "another-capture")
    assert reader.is_alive()
    begun = time.monotonic()
    POSTGRES.cancel(source.config(), CAPTURE_ID)
    reader.join(5)
    assert time.monotonic() - begun < 5
    assert not reader.is_alive()
    assert len(ended) == 1
    eventually(lambda: sessions(source) == 0, "the server to end the sessions", patience_seconds=5)


def test_a_stream_that_is_given_up_frees_its_slot(source: Source, followed: Followed) -> None:
    source.execute(MUCH)
    with followed.open() as stream:
        next(stream.changes())
    eventually(lambda: sessions(source) == 0, "the server to end the sessions", patience_seconds=5)
    with followed.open() as stream:
        assert collect(stream).end >= stream.target


def test_the_session_beside_the_stream_is_ended(source: Source, followed: Followed) -> None:
    """It is opened again."""
    source.execute("CREATE TYPE mood AS ENUM ('happy'); ALTER TABLE items ADD l int[]")
    with followed.open() as stream:
        collect(stream)
        source.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name = '{application_name(CAPTURE_ID)}' AND backend_type = 'client backend'"
        )
        source.execute("INSERT INTO items VALUES (1, 'x', '{1}')")
        for item in stream.changes():
            if not isinstance(item, Boundary):
                break
    assert item.rows.to_pylist() == [{"id": 1, "t": "x", "l": "[1]"}]


def test_much_comes_through_tls(source: Source, followed: Followed, tmp_path: Path) -> None:
    source.execute(MUCH)
    with tls_front(tmp_path, (source.server.host, source.server.port)) as front:
        found = followed.collect(port=front.port, sslmode="verify-full", ssl_ca=front.certificate)
    assert [change.row["id"] for change in found.changes()] == list(range(1, 50_001))


def test_a_standby_can_be_followed() -> None:
    with run_postgres(18, wal_level="logical") as primary, run_standby(primary, **LOGICAL) as standby:
        source = Source(primary, primary.create_database())
        source.execute(f'{ITEMS}; CREATE PUBLICATION "{PUBLICATION}" FOR TABLE items')
        followed = Followed(Source(standby, source.database), "s", [FollowedTable("items", "items", ("id",))])
        make_slot(source, followed)
        source.execute("INSERT INTO items VALUES (1, 'x')")
        eventually(lambda: followed.source.rows("SELECT id FROM items") == [(1,)], "the row to be there")
        assert followed.collect().story() == [("INSERT", {"id": 1, "t": "x"})]


def make_slot(primary: Source, followed: Followed) -> None:
    """It waits for the primary to say which transactions run."""
    statement = f"SELECT pg_create_logical_replication_slot('{followed.slot}', 'pgoutput')"
    eventually(lambda: has_database(followed.source), "the standby to have the database")
    with ThreadPoolExecutor() as pool:
        made = pool.submit(followed.source.rows, statement)
        while not made.done():
            primary.execute("SELECT pg_log_standby_snapshot()")
            wait([made], timeout=0.1)
        made.result()


def has_database(source: Source) -> bool:
    with source.server.connect() as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [source.database])
        return found.fetchone() is not None
