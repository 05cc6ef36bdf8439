"""Change data capture from its beginning to its end, as a user turns it on, changes it and turns it off."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack

import polars as pl
import psycopg
import pytest

from local.postgres import PostgresServer
from tests.integration.capturing import CDC, Captured, begin, capture_database, change, fill, statuses, writing
from tests.integration.conftest import SourceDatabase
from tests.kit.compare import storage_options
from tests.kit.platform import Platform, eventually
from tests.kit.servers import RunningStore, run_postgres


@pytest.fixture
def database(postgres18: PostgresServer, object_store: RunningStore) -> Iterator[SourceDatabase]:
    with capture_database(postgres18, object_store) as database:
        yield database


@pytest.fixture(params=["postgres18", pytest.param("postgres16", marks=pytest.mark.long)])
def any_database(request: pytest.FixtureRequest, object_store: RunningStore) -> Iterator[SourceDatabase]:
    with capture_database(request.getfixturevalue(request.param), object_store) as database:
        yield database


PGBENCH = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"]


def test_a_busy_database_and_a_table_that_comes_later(platform: Platform, any_database: SourceDatabase) -> None:
    """Read, captured and applied while pgbench runs; it adds to the history, which is followed later, all the time."""
    database = any_database
    pgbench = str(database.server.program("pgbench"))
    subprocess.run([pgbench, "--initialize", "--quiet", database.dsn], check=True, capture_output=True)
    database.execute("ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY")
    captured = Captured(platform, database, platform.create_source(database.inputs, []))
    load = [pgbench, "--no-vacuum", "--client=2", "--rate=200", "--time=600", database.dsn]
    with subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as busy:
        platform.call("POST", f"{captured.path}enable_cdc/", {"cdc_continuous": True})
        captured.follow(*PGBENCH[:3])
        for table in PGBENCH[:3]:
            platform.wait_for_jobs(captured.source, captured.schema(table))
        captured.follow(PGBENCH[3])
        captured.settle(*PGBENCH[:3])
        platform.wait_for_jobs(captured.source, captured.schema(PGBENCH[3]))
        assert busy.poll() is None, "all of that happened meanwhile"
        busy.terminate()
    captured.assert_settled(*PGBENCH)
    assert [captured.reads(table) for table in PGBENCH] == [1] * len(PGBENCH)
    captured.delete()


def test_one_table_of_several(platform: Platform, database: SourceDatabase) -> None:
    """Off and on, resync, another sync type and back: each is read anew, and no other one."""
    captured = begin(platform, database, "a", "b", "c", "d")
    captured.loaded("a", "b", "c", "d")
    with writing(database, "a", "b", "c", "d"):
        captured.patch("a", should_sync=False)
        platform.call("POST", f"/external_data_schemas/{captured.schema('b')['id']}/resync/")
        captured.patch("c", sync_type="full_refresh")
        captured.settle("d", "c")
        platform.wait_for_jobs(captured.source, captured.schema("b"), 2)
        captured.follow("a", "c")
        for table, runs in (("a", 2), ("c", 3)):
            platform.wait_for_jobs(captured.source, captured.schema(table), runs)
        captured.settle("d")
    captured.assert_settled("a", "b", "c", "d")
    assert [captured.reads(table) for table in ("a", "b", "c", "d")] == [2, 2, 3, 1]
    captured.delete()


def test_deleted_rows_are_marked_where_that_is_wanted(platform: Platform, database: SourceDatabase) -> None:
    captured = begin(platform, database, "soft", "hard", cdc_delete_mode="soft")
    captured.patch("hard", cdc_delete_mode="hard")
    captured.loaded("soft", "hard")
    for table in ("soft", "hard"):
        database.execute(f"DELETE FROM {table} WHERE id <= 10", f"INSERT INTO {table} VALUES (5, 'again', 0)")
    captured.settle("soft", "hard")
    captured.assert_equal("hard")
    frame = pl.read_delta(captured.url("soft"), storage_options=storage_options(database.store))
    marked = frame.filter(pl.col("_sync_deleted"))
    assert sorted(marked["id"]) == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert frame.height == 1000
    assert frame.filter(pl.col("id") == 5)["v"].to_list() == ["again"]
    captured.delete()


def test_what_is_over_leaves_nothing_at_a_source_that_was_away(platform: Platform, object_store: RunningStore) -> None:
    """Deleted, or only disabled: then the data stay, and it can be enabled again."""
    with run_postgres(18, wal_level="logical") as server:
        databases = [SourceDatabase(server, server.create_database(), object_store) for _ in range(2)]
        deleted, disabled = (begin(platform, database, "t") for database in databases)
        deleted.loaded("t")
        disabled.loaded("t")
        url, store = disabled.url("t"), object_store
        assert [each.at_source() for each in (deleted, disabled)] == [(1, 1), (1, 1)]
        server.kill()
        deleted.delete()
        assert platform.call("POST", f"{disabled.path}disable_cdc/")["already_disabled"] is False
        platform.call("POST", f"{disabled.path}enable_cdc/", {}, status=409)
        time.sleep(2)
        server.start()
        for each in (deleted, disabled):
            eventually(lambda each=each: each.at_source() == (0, 0), "slot and publication to go")  # type: ignore[misc]
        schema = platform.schema(disabled.schema("t")["id"])
        assert (schema["sync_type"], schema["should_sync"]) == (None, False)
        assert schema["table"]["row_count"] == pl.read_delta(url, storage_options=storage_options(store)).height == 1000

        change(databases[1], "t")
        eventually(lambda: enabled(disabled), "what was left to be forgotten")
        disabled.follow("t")
        platform.wait_for_jobs(disabled.source, disabled.schema("t"), 2)
        disabled.assert_settled("t")
        epochs = [event["fields"].get("epoch") for event in disabled.status()["events"]]
        assert [epoch for epoch in epochs if epoch] == [2, 1]
        disabled.delete()
        eventually(lambda: disabled.at_source() == (0, 0), "slot and publication to go")


def enabled(captured: Captured) -> bool:
    """Enabled again, once the last of the earlier one is gone."""
    response = captured.platform.client.post(f"{captured.path}enable_cdc/", json={})
    assert response.status_code in (200, 409), response.text
    return response.status_code == 200


def test_two_sources_of_one_cluster(platform: Platform, database: SourceDatabase, postgres18: PostgresServer) -> None:
    """One is born with it, the other has a slot and a publication of its owner, which stay as they are."""
    with capture_database(postgres18, database.store) as other, ExitStack() as ends:
        fill(database, "t", "u")
        settings = {"cdc_enabled": True, "schemas": [{"name": name, **CDC} for name in ("t", "u")]}
        source = platform.call(
            "POST",
            "/external_data_sources/",
            {"source_type": "Postgres", "prefix": "born_with_it_", "payload": {**database.inputs, **settings}},
            status=201,
        )
        born = Captured(platform, database, source)
        ends.callback(born.delete)
        for table in ("t", "u"):
            platform.reload(born.schema(table))
        mine = f"mine_{other.name}"
        fill(other, "t")
        other.execute(
            "CREATE PUBLICATION mine FOR ALL TABLES", f"SELECT pg_create_logical_replication_slot('{mine}', 'pgoutput')"
        )
        own = Captured(platform, other, platform.create_source(other.inputs, []))
        names = {"cdc_slot_name": mine, "cdc_publication_name": "mine"}
        platform.call("POST", f"{own.path}enable_cdc/", {"cdc_management_mode": "self_managed", **names})
        own.follow("t")
        born.loaded("t", "u")
        own.loaded("t")
        change(database, "t", "u")
        change(other, "t")
        born.assert_settled("t", "u")
        before = own.confirmed(mine)
        own.settle("t")
        own.assert_equal("t")
        assert own.confirmed(mine) > before
        own.delete()
        stopped = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{mine}' AND NOT active"
        eventually(lambda: own.number(stopped) == 1, "the slot to be left alone")
        assert own.at_source() == (1, 1)
        assert own.number("SELECT count(*) FROM pg_publication WHERE puballtables AND NOT pubviaroot") == 1
        change(database, "t")
        born.assert_settled("t")


def test_a_first_load_waits_for_who_has_written_before(platform: Platform, database: SourceDatabase) -> None:
    captured = begin(platform, database, "first")
    captured.loaded("first")
    fill(database, "t")
    platform.call("POST", f"{captured.path}refresh_schemas/")
    captured.source = platform.call("GET", captured.path)
    with psycopg.connect(database.dsn) as writer:
        writer.execute("INSERT INTO t VALUES (-1, 'long', 0)")
        captured.follow("t")
        eventually(lambda: "waiting" in captured.told("t"), "the load to wait")
        waiting = next(line for line in captured.lines("t") if line["fields"].get("event") == "waiting")
        assert "1 transaction" in waiting["message"]

        asked = time.monotonic()
        platform.call("POST", f"/external_data_schemas/{captured.schema('t')['id']}/cancel/")
        platform.wait_for_jobs(captured.source, captured.schema("t"))
        assert time.monotonic() - asked < 5
        assert statuses(captured.jobs("t")) == ["Cancelled"]

        platform.reload(captured.schema("t"))
        eventually(lambda: captured.told("t").count("waiting") == 2, "the second load to wait")
        change(database, "first")
        captured.settle("first")
        captured.assert_equal("first")
        assert statuses(captured.jobs("t")) == ["Running", "Cancelled"]
        writer.execute("INSERT INTO t VALUES (-2, 'long', 0)")
        writer.commit()
    job = platform.wait_for_jobs(captured.source, captured.schema("t"), 2)[0]
    assert job["status"] == "Completed", job["latest_error"]
    captured.assert_equal("t")
    change(database, "t")
    captured.assert_settled("t", "first")
    captured.delete()


def test_a_table_that_cannot_be_published_keeps_no_other_one(platform: Platform, database: SourceDatabase) -> None:
    captured = begin(platform, database, "a", "b")
    captured.loaded("a", "b")
    database.execute("ALTER TABLE a REPLICA IDENTITY NOTHING")
    change(database, "b")
    captured.assert_settled("b")
    # Nobody who writes suffers for it: the table is out of the publication.
    change(database, "a")
    job = platform.sync(captured.source, captured.schema("a"))
    assert (job["status"], "REPLICA IDENTITY" in job["latest_error"]) == ("Failed", True), job["latest_error"]
    assert platform.schema(captured.schema("a")["id"])["latest_error"] == job["latest_error"]
    database.execute("ALTER TABLE a REPLICA IDENTITY DEFAULT")
    change(database, "a", "b")
    captured.assert_settled("a", "b")
    assert captured.reads("b") == 1
    captured.delete()


@pytest.mark.long
def test_what_is_wanted_each_minute_is_brought_by_the_capture(platform: Platform, database: SourceDatabase) -> None:
    """The log has news of them: their runs start at once, and those of others do not."""
    captured = begin(platform, database, "quick", "slow", cdc_continuous=True)
    captured.patch("quick", sync_frequency="1min")
    captured.loaded("quick", "slow")
    runs = len(captured.jobs("slow"))
    for _ in range(2):
        change(database, "quick", "slow")
        begun = time.monotonic()
        eventually(lambda: is_equal(captured, "quick"), "the table to follow")
        assert time.monotonic() - begun < 20, "its own schedule would have been later"
    assert len(captured.jobs("slow")) == runs
    captured.assert_settled("slow")
    captured.delete()


def is_equal(captured: Captured, table: str) -> bool:
    try:
        captured.assert_equal(table)
    except AssertionError:
        return False
    return True
