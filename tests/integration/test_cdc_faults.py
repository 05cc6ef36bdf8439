"""Whatever is killed, lost or away while changes are captured: the lake equals the source, and the slot moves."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from local.postgres import PostgresServer
from scheduling.contract import WATCH_CAPTURES
from tests.integration.capturing import Captured, begin, capture_database, change, drop_slots, swell, watched, writing
from tests.integration.conftest import SourceDatabase
from tests.integration.test_frozen import frozen
from tests.kit.compare import storage_options
from tests.kit.operator import Operator
from tests.kit.platform import Platform, eventually, run_platform
from tests.kit.servers import (
    MetadataTemplates,
    RunningStore,
    RunningTemporal,
    run_object_store,
    run_postgres,
    run_standby,
    run_temporal,
)

# Killed workers


@pytest.fixture(scope="module")
def shared_platform(
    temporal: RunningTemporal,
    object_store: RunningStore,
    metadata_templates: MetadataTemplates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    url = metadata_templates.sqlite_copy(folder / "metadata.db")
    with run_platform(folder, url, object_store.new_url(), temporal, object_store, worker=False) as running:
        yield running


@pytest.fixture
def platform(shared_platform: Platform) -> Iterator[Platform]:
    """With no worker yet, and none of its test's afterwards."""
    yield shared_platform
    shared_platform.kill_workers()


@pytest.fixture
def database(postgres18: PostgresServer, object_store: RunningStore) -> Iterator[SourceDatabase]:
    with capture_database(postgres18, object_store) as database:
        yield database


STEPS = [
    "before-entry",
    "after-entry",
    "reading",
    "staged",
    "folding",
    "before-commit",
    "after-commit",
    "after-publish",
]


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_in_a_first_load_and_in_a_later_run(
    platform: Platform, database: SourceDatabase, step: str
) -> None:
    """Of capture, of reading, of folding and of commits, whatever comes to that step first; one table has a history."""
    platform.start_worker("doomed", FAILPOINT=step)
    captured = begin(platform, database, "t", "u", table_settings={"u": {"cdc_table_mode": "both"}})
    with writing(database, "t", "u"):
        platform.wait_killed("doomed")
        platform.start_worker()
        for table in ("t", "u"):
            platform.wait_for_jobs(captured.source, captured.schema(table))
    captured.assert_settled("t", "u")
    captured.assert_recorded("u")
    reads = [captured.reads(table) for table in ("t", "u")]
    if step != "reading":
        platform.kill()
        change(database, "t", "u")
        platform.start_worker("doomed", FAILPOINT=step)
        before = {table: len(captured.jobs(table)) for table in ("t", "u")}
        for table in before:
            platform.reload(captured.schema(table))
        platform.wait_killed("doomed")
        platform.start_worker()
        for table, runs in before.items():
            job = platform.wait_for_jobs(captured.source, captured.schema(table), runs + 1)[0]
            assert job["status"] == "Completed", job["latest_error"]
        captured.assert_equal("t", "u")
        change(database, "t", "u")
        captured.assert_settled("t", "u")
        captured.assert_recorded("u")
    assert [captured.reads(table) for table in ("t", "u")] == reads
    assert "renewed" not in captured.events()
    end(captured)


def end(captured: Captured) -> None:
    """So that no other test's worker has to do with it."""
    captured.delete()
    eventually(lambda: captured.at_source() == (0, 0), "slot and publication to go")


@pytest.mark.long
def test_a_worker_killed_as_it_has_made_a_slot_anew(platform: Platform, database: SourceDatabase) -> None:
    platform.start_worker()
    captured = begin(platform, database, "t")
    captured.loaded("t")
    platform.kill()
    drop_slots(database)
    change(database, "t")
    platform.start_worker("doomed", FAILPOINT="before-renewed")
    platform.reload(captured.schema("t"))
    platform.wait_killed("doomed")
    change(database, "t")
    platform.start_worker()
    platform.wait_for_jobs(captured.source, captured.schema("t"), 2)
    captured.assert_settled("t")
    assert captured.events() == ["enabled", "renewed"]
    end(captured)


@pytest.mark.long
def test_a_log_that_is_lost_in_the_middle_of_a_first_load(platform: Platform, database: SourceDatabase) -> None:
    """What was read already stands at a place of the log that is gone: the load begins anew."""
    platform.start_worker("doomed", FAILPOINT="after-publish")
    captured = begin(platform, database, "t")
    platform.wait_killed("doomed")
    drop_slots(database)
    change(database, "t")
    platform.start_worker()
    job = platform.wait_for_jobs(captured.source, captured.schema("t"))[0]
    assert job["status"] == "Completed", job["latest_error"]
    captured.assert_equal("t")
    assert captured.reads("t") == 2
    assert captured.events() == ["enabled", "renewed"]
    change(database, "t")
    captured.assert_settled("t")
    end(captured)


@contextmanager
def frozen_between_transactions(platform: Platform, name: str) -> Iterator[None]:
    """In the middle of one it would keep the metadata, which is SQLite here, locked for everybody."""
    path = platform.environment["SYNCLINE_DATABASE_URL"].removeprefix("sqlite:///")
    while True:
        with frozen(platform.pid(name)), closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as metadata:
            try:
                metadata.execute("BEGIN IMMEDIATE")
                metadata.execute("ROLLBACK")
            except sqlite3.OperationalError:
                continue
            yield
            return


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_frozen_worker_that_comes_back_writes_nothing(platform: Platform, database: SourceDatabase) -> None:
    platform.start_worker("frozen")
    captured = begin(platform, database, "t", "u", cdc_continuous=True)
    captured.loaded("t", "u")
    with writing(database, "t", "u"):
        for table in ("t", "u"):
            platform.reload(captured.schema(table))
        with frozen_between_transactions(platform, "frozen"):
            platform.start_worker()
            # What Temporal has given to the frozen one's pollers comes back when its time is over, one after the other.
            for table in ("t", "u"):
                platform.wait_for_jobs(captured.source, captured.schema(table), 2, patience_seconds=240)
            captured.settle("t", "u")
        # Both work now, the one that was frozen on what it had begun.
        captured.settle("t", "u")
    captured.assert_settled("t", "u")
    platform.kill()
    change(database, "t", "u")
    captured.assert_settled("t", "u")
    assert [captured.reads(table) for table in ("t", "u")] == [1, 1]
    assert "renewed" not in captured.events()
    end(captured)


@pytest.mark.long
def test_the_disk_of_a_source_is_saved_where_that_is_allowed(
    platform: Platform, temporal: RunningTemporal, postgres18: PostgresServer, object_store: RunningStore
) -> None:
    """Nothing is captured for a while: a managed slot goes where its owner allows that, another's never does."""
    thresholds = {"cdc_lag_warning_threshold_mb": 1, "cdc_lag_critical_threshold_mb": 2}
    own = {"cdc_management_mode": "self_managed", "cdc_slot_name": "not_to_go", "cdc_publication_name": "mine"}
    with (
        capture_database(postgres18, object_store) as first,
        capture_database(postgres18, object_store) as second,
        capture_database(postgres18, object_store) as third,
    ):
        third.execute(
            "CREATE PUBLICATION mine FOR ALL TABLES",
            "SELECT pg_create_logical_replication_slot('not_to_go', 'pgoutput')",
        )
        platform.start_worker()
        dropped = begin(platform, first, "t", **thresholds, cdc_auto_drop_slot=True)
        kept = begin(platform, second, "t", **thresholds, cdc_auto_drop_slot=False)
        owned = begin(platform, third, "t", **thresholds, **own, cdc_auto_drop_slot=True)
        for each in (dropped, kept, owned):
            each.loaded("t")
        platform.kill()
        swell(first, "t")
        platform.start_worker(FAILPOINT="before-entry:hang")
        operator = Operator(temporal, platform.environment["SYNCLINE_TASK_QUEUE"])
        assert operator.upkeep(WATCH_CAPTURES, int) == 3
        assert [each.at_source() for each in (dropped, kept, owned)] == [(0, 0), (1, 1), (1, 1)]
        assert "it was dropped to save its disk" in str(dropped.latest_error())
        for each in (kept, owned):
            assert "the critical threshold is 2 MB" in str(each.latest_error())
            assert each.status()["retained_bytes"] > 2 * 2**20
        platform.kill()
        platform.start_worker()
        for each in (dropped, kept, owned):
            with watched(lambda each=each: rows(each, "t"), 1000):  # type: ignore[misc]
                each.settle("t")
            each.assert_equal("t")
        first.execute("CHECKPOINT")
        assert operator.upkeep(WATCH_CAPTURES, int) == 3
        assert [each.latest_error() for each in (dropped, kept, owned)] == [None, None, None]
        assert [each.reads("t") for each in (dropped, kept, owned)] == [2, 1, 1]
        assert ["renewed" in each.events() for each in (dropped, kept, owned)] == [True, False, False]
        for each in (dropped, kept):
            end(each)
        owned.delete()


def rows(captured: Captured, table: str) -> int:
    """As any reader sees them."""
    options = storage_options(captured.database.store)
    return int(pl.scan_delta(captured.url(table), storage_options=options).select(pl.len()).collect().item())


# Servers that go away


@dataclass
class Fragile:
    """An installation all of whose servers a test may kill, and bring back."""

    platform: Platform
    server: PostgresServer
    store: RunningStore
    temporal: RunningTemporal


@pytest.fixture(scope="module")
def fragile(metadata_templates: MetadataTemplates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fragile]:
    folder = Path(tmp_path_factory.mktemp("fragile"))
    url = metadata_templates.sqlite_copy(folder / "metadata.db")
    with (
        run_postgres(18, wal_level="logical", max_wal_size="128MB", min_wal_size="32MB") as server,
        run_object_store() as store,
        run_temporal(in_memory=False) as temporal,
        run_platform(folder, url, store.new_url(), temporal, store) as platform,
    ):
        yield Fragile(platform, server, store, temporal)


@pytest.fixture
def own_database(fragile: Fragile) -> Iterator[SourceDatabase]:
    with capture_database(fragile.server, fragile.store) as database:
        yield database


@pytest.mark.long
def test_what_was_away_for_a_while(fragile: Fragile, own_database: SourceDatabase) -> None:
    """Each server, and the stream itself: nothing that comes back has its tables read anew."""
    captured = begin(fragile.platform, own_database, "t", "u", cdc_continuous=True)
    captured.loaded("t", "u")
    for away in (fragile.server, fragile.store, fragile.temporal, None):
        with writing(own_database, "t", "u"):
            captured.settle("t")
            fragile.platform.reload(captured.schema("u"))
            if away is None:
                cut(captured)
            else:
                away.kill()
                time.sleep(2)
                away.restart()
            eventually(lambda: over(captured, "u"), "the run that was under way")
        captured.assert_settled("t", "u")
    assert [captured.reads(table) for table in ("t", "u")] == [1, 1]
    assert "renewed" not in captured.events()
    end(captured)


def over(captured: Captured, table: str) -> bool:
    return all(job["status"] != "Running" for job in captured.jobs(table))


def cut(captured: Captured) -> None:
    """The stream, while it is read."""
    end = (
        "SELECT count(pg_terminate_backend(active_pid)) FROM pg_replication_slots "
        "WHERE database = current_database() AND active"
    )
    eventually(lambda: captured.number(end), "a stream")


# Logs that are gone


def drop(fragile: Fragile, database: SourceDatabase) -> None:
    drop_slots(database)


def invalidate(fragile: Fragile, database: SourceDatabase) -> None:
    """The source keeps no more of its log than it was told to."""
    database.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'", "SELECT pg_reload_conf()")
    with database.server.connect(database.name) as connection:
        lost = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND wal_status = 'lost'"

        def is_lost() -> bool:
            for _ in range(3):
                connection.execute("UPDATE t SET n = n WHERE id = 500")
                connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")
            return connection.execute(lost).fetchone() == (1,)

        eventually(is_lost, "the slot to be lost")
    database.execute("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")


@pytest.mark.parametrize("lose", [drop, pytest.param(invalidate, marks=pytest.mark.long)])
def test_a_log_that_is_gone_is_begun_anew(
    fragile: Fragile, own_database: SourceDatabase, lose: Callable[[Fragile, SourceDatabase], None]
) -> None:
    """The tables are read anew, and nobody who reads them notices."""
    captured = begin(fragile.platform, own_database, "t", "u")
    captured.loaded("t", "u")
    own_database.execute("DELETE FROM t WHERE id <= 10")
    lose(fragile, own_database)
    change(own_database, "t", "u")
    with watched(lambda: rows(captured, "t"), 900), writing(own_database, "u"):
        captured.settle("t", "u")
    captured.assert_settled("t", "u")
    assert [captured.reads(table) for table in ("t", "u")] == [2, 2]
    assert captured.events() == ["enabled", "renewed"]
    assert captured.latest_error() is None
    end(captured)


def test_a_standby_that_takes_over(fragile: Fragile, own_database: SourceDatabase) -> None:
    """It never had what the lake has already: its history is another one, and the lake follows that."""
    captured = begin(fragile.platform, own_database, "t", "u")
    captured.loaded("t", "u")
    with failed_over(fragile.server, own_database) as promoted:
        captured.database = SourceDatabase(promoted, own_database.name, fragile.store)
        change(captured.database, "t", "u")
        with watched(lambda: rows(captured, "t"), 900):
            captured.settle("t", "u")
        captured.assert_equal("t", "u")
        change(captured.database, "t", "u")
        captured.assert_settled("t", "u")
        assert [captured.reads(table) for table in ("t", "u")] == [2, 2]
        assert captured.events() == ["enabled", "renewed"]
        end(captured)


@contextmanager
def failed_over(primary: PostgresServer, database: SourceDatabase) -> Iterator[PostgresServer]:
    """A standby in the place of its primary, without what was written there last. Afterwards the old one is back."""
    with run_standby(primary, wal_level="logical") as standby:
        standby.stop()
        database.execute("INSERT INTO t VALUES (5000, 'lost', 0)", "DELETE FROM u WHERE id > 100")
        primary.kill()
        standby.port = primary.port
        standby.start()
        standby.execute("SELECT pg_promote()")
        try:
            yield standby
        finally:
            standby.kill()
            primary.restart()


@pytest.mark.long
def test_a_slot_that_its_owner_must_make_anew(fragile: Fragile, own_database: SourceDatabase) -> None:
    database = own_database
    make = "SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')"
    database.execute("CREATE PUBLICATION mine FOR ALL TABLES", make)
    names = {"cdc_slot_name": "theirs", "cdc_publication_name": "mine"}
    captured = begin(fragile.platform, database, "t", cdc_management_mode="self_managed", **names)
    captured.loaded("t")
    drop_slots(database)
    change(database, "t")
    fragile.platform.reload(captured.schema("t"))
    eventually(
        lambda: "pg_create_logical_replication_slot('theirs', 'pgoutput')" in str(captured.latest_error()), "help"
    )
    assert captured.at_source() == (0, 1)
    fragile.platform.wait_for_jobs(captured.source, captured.schema("t"), 2)
    database.execute(make)
    change(database, "t")
    with watched(lambda: rows(captured, "t"), 900):
        captured.settle("t")
    captured.assert_equal("t")
    assert captured.latest_error() is None
    assert captured.events() == ["enabled", "failed", "renewed"]
    captured.delete()


@pytest.mark.long
def test_the_log_that_is_kept_stays_small_though_nothing_is_applied(
    fragile: Fragile, own_database: SourceDatabase
) -> None:
    captured = begin(fragile.platform, own_database, "t", "u", cdc_continuous=True)
    captured.loaded("t", "u")
    captured.patch("u", should_sync=False)
    runs = len(captured.jobs("t"))
    for _ in range(3):
        swell(own_database, "t")
        swell(own_database, "u")
        eventually(lambda: retained(captured) < 2**20, "the source to forget", 30)
    assert len(captured.jobs("t")) == runs
    captured.assert_settled("t")
    end(captured)


def retained(captured: Captured) -> int:
    """As soon as the server has looked how far it is."""
    captured.database.execute("CHECKPOINT")
    kept = captured.status()["retained_bytes"]
    assert kept is not None
    return int(kept)
