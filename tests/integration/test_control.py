"""Schedules, reload, cancel, resync and deletes: while runs happen."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import SourceDatabase
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, eventually, named

FULL = {"sync_type": "full_refresh"}
KEYED = {"sync_type": "incremental", "incremental_field": "id", "incremental_field_type": "integer"}


MANY = 1_000_000
"""Rows that take seconds to read: PostgreSQL is slow at writing arrays as text."""


def sources_of(database: SourceDatabase, rows: int = 1000) -> None:
    database.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text, a int[])",
        f"INSERT INTO t SELECT n, 'v' || n, array_fill(n, ARRAY[40]) FROM generate_series(1, {rows}) n",
    )


def with_table(platform: Platform, database: SourceDatabase, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, **settings}])
    return source, named(source, "t")


def path(schema: dict[str, Any], action: str = "") -> str:
    return f"/external_data_schemas/{schema['id']}/{action}"


def reading(platform: Platform, source: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The running job, once it has read something."""

    def look() -> dict[str, Any] | None:
        found = [job for job in platform.jobs(source, schema) if job["status"] == "Running" and job["rows_synced"]]
        return found[0] if found else None

    return eventually(look, "a run that reads")  # type: ignore[return-value]


def test_the_shortest_interval_fires_by_itself(platform: Platform, database: SourceDatabase) -> None:
    sources_of(database)
    source, schema = with_table(platform, database, **KEYED, sync_frequency="5min")
    platform.wait_for_jobs(source, schema)
    database.execute("INSERT INTO t VALUES (5000, 'new')")
    soon = (datetime.now(UTC) + timedelta(seconds=10)).strftime("%H:%M:%S")
    platform.call("PATCH", path(schema), {"sync_time_of_day": soon})
    jobs = platform.wait_for_jobs(source, schema, 2, patience_seconds=330)
    assert [job["trigger"] for job in jobs] == ["schedule", "manual"]
    assert jobs[0]["rows_synced"] == 1
    database.assert_in_lake(platform, schema)


def test_a_large_read_is_cancelled_within_five_seconds(platform: Platform, database: SourceDatabase) -> None:
    sources_of(database, 2 * MANY)
    source, schema = with_table(platform, database, **FULL)
    reading(platform, source, schema)
    asked = time.monotonic()
    platform.call("POST", path(schema, "cancel/"))
    (job,) = platform.wait_for_jobs(source, schema)
    assert time.monotonic() - asked < 5
    assert job["status"] == "Cancelled"
    found = platform.schema(schema["id"])
    assert (found["status"], found["table"]) == ("Cancelled", None)
    platform.call("POST", path(schema, "cancel/"), status=409)
    with database.server.connect(database.name) as connection:
        others = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'syncline%' "
            "AND state = 'active' AND datname = current_database()"
        )
        eventually(lambda: connection.execute(others).fetchone() == (0,), "the source's session to end")


@pytest.mark.parametrize("later_run", [False, pytest.param(True, marks=pytest.mark.long)])
def test_every_stage_is_cancelled_within_five_seconds(
    idle_platform: Platform, database: SourceDatabase, later_run: bool
) -> None:
    """Waiting for a lock, streaming, after the upload, in the commit: of a first load, and of an upsert."""
    platform = idle_platform
    sources_of(database)
    source, schema = with_table(platform, database, **KEYED)
    runs = 0
    if later_run:
        platform.start_worker()
        platform.wait_for_jobs(source, schema)
        platform.kill()
        database.execute("INSERT INTO t SELECT n, 'new', NULL FROM generate_series(2000, 2100) n")
        runs = 1
    for stage in ("", "reading:hang", "staged:hang", "before-commit:hang"):
        platform.start_worker(FAILPOINT=stage or "none")
        with database.server.connect(database.name) as connection, connection.transaction():
            if not stage:
                connection.execute("LOCK TABLE t")
            if runs:
                platform.reload(schema)
            runs += 1
            eventually(lambda: is_running(platform, source, schema), "a run")
            time.sleep(2)
            assert is_running(platform, source, schema)
            asked = time.monotonic()
            platform.call("POST", path(schema, "cancel/"))
            job = platform.wait_for_jobs(source, schema, runs)[0]
            assert time.monotonic() - asked < 5, stage
            assert job["status"] == "Cancelled", stage
        platform.kill()
    platform.start_worker()
    assert platform.sync(source, schema)["status"] == "Completed"
    database.assert_in_lake(platform, schema)


def is_running(platform: Platform, source: dict[str, Any], schema: dict[str, Any]) -> bool:
    return [job["status"] for job in platform.jobs(source, schema)[:1]] == ["Running"]


def test_a_query_that_hangs_at_the_source_is_cancelled(platform: Platform, database: SourceDatabase) -> None:
    database.execute("CREATE VIEW t AS SELECT 1 AS id FROM pg_sleep(600)")
    source, schema = with_table(platform, database, **FULL)
    eventually(lambda: platform.jobs(source, schema), "the run")
    with database.server.connect(database.name) as connection:
        connection.autocommit = True
        sleeping = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'syncline%' "
            "AND wait_event = 'PgSleep' AND datname = current_database()"
        )
        eventually(lambda: connection.execute(sleeping).fetchone() != (0,), "the query to sleep")
        asked = time.monotonic()
        platform.call("POST", path(schema, "cancel/"))
        (job,) = platform.wait_for_jobs(source, schema)
        assert job["status"] == "Cancelled"
        assert time.monotonic() - asked < 5
        eventually(lambda: connection.execute(sleeping).fetchone() == (0,), "the query to stop")


def test_ten_reloads_at_once_give_one_further_run(platform: Platform, database: SourceDatabase) -> None:
    sources_of(database, MANY)
    source, schema = with_table(platform, database, **FULL)
    reading(platform, source, schema)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: platform.reload(schema), range(10)))
    jobs = platform.wait_for_jobs(source, schema, 2)
    assert [job["status"] for job in jobs] == ["Completed", "Completed"]
    assert platform.sync(source, schema)["status"] == "Completed"
    assert len(platform.jobs(source, schema)) == 3


@pytest.mark.parametrize(
    "settings", [pytest.param(FULL, marks=pytest.mark.long), KEYED], ids=["full_refresh", "incremental"]
)
def test_a_resync_during_a_run_stops_it_and_rebuilds(
    platform: Platform, database: SourceDatabase, settings: dict[str, Any]
) -> None:
    sources_of(database, MANY)
    source, schema = with_table(platform, database, **settings)
    reading(platform, source, schema)
    platform.call("POST", path(schema, "resync/"))
    jobs = platform.wait_for_jobs(source, schema, 2)
    assert [job["status"] for job in jobs] == ["Completed", "Cancelled"]
    frame = lake_frame(platform.schema(schema["id"])["table"]["url_pattern"], database.store)
    assert (frame.height, frame["id"].n_unique()) == (MANY, MANY)


def test_readers_keep_the_old_rows_until_a_resync_is_whole(platform: Platform, database: SourceDatabase) -> None:
    sources_of(database)
    source, schema = with_table(platform, database, **KEYED)
    platform.wait_for_jobs(source, schema)
    url = platform.schema(schema["id"])["table"]["url_pattern"]
    # A delete that an incremental run cannot see: only the rebuild shows it.
    database.execute("DELETE FROM t WHERE id <= 500")
    heights: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            heights.add(lake_frame(url, database.store).height)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        platform.call("POST", path(schema, "resync/"))
        assert platform.wait_for_jobs(source, schema, 2)[0]["status"] == "Completed"
    finally:
        done.set()
        watcher.join()
    assert heights <= {1000, 500}
    database.assert_in_lake(platform, schema)
    database.execute("INSERT INTO t VALUES (7000, 'after')")
    assert platform.sync(source, schema)["rows_synced"] == 1
    database.assert_in_lake(platform, schema)


@pytest.mark.parametrize("while_running", [True, False], ids=["during a run", "at rest"])
def test_delete_data_forgets_everything_and_the_next_run_is_a_first_load(
    platform: Platform, database: SourceDatabase, while_running: bool
) -> None:
    sources_of(database, MANY if while_running else 1000)
    source, schema = with_table(platform, database, **KEYED)
    if while_running:
        reading(platform, source, schema)
    else:
        platform.wait_for_jobs(source, schema)
    platform.call("DELETE", path(schema, "delete_data/"), status=204)
    found = platform.schema(schema["id"])
    assert (found["table"], found["should_sync"]) == (None, True)
    database.execute("DELETE FROM t WHERE id > 100")
    job = platform.sync(source, schema)
    assert (job["status"], job["rows_synced"]) == ("Completed", 100)
    database.assert_in_lake(platform, schema)


def test_delete_data_does_not_wait_for_a_run_that_waits_for_it(platform: Platform, database: SourceDatabase) -> None:
    sources_of(database, MANY)
    source, schema = with_table(platform, database, **KEYED)
    reading(platform, source, schema)
    # Starts as soon as the active run is stopped, and so before the data is deleted.
    platform.reload(schema)
    platform.call("DELETE", path(schema, "delete_data/"), status=204)
    jobs = platform.wait_for_jobs(source, schema, 2)
    assert [(job["status"], job["rows_synced"]) for job in jobs][:1] == [("Completed", MANY)]
    assert jobs[1]["status"] == "Cancelled"
    frame = lake_frame(platform.schema(schema["id"])["table"]["url_pattern"], database.store)
    assert (frame.height, frame["id"].n_unique()) == (MANY, MANY)


@pytest.mark.parametrize("while_running", [True, False], ids=["during a run", "at rest"])
def test_deleting_a_schema_leaves_nothing_in_the_lake(
    platform: Platform, database: SourceDatabase, while_running: bool
) -> None:
    sources_of(database, MANY if while_running else 1000)
    source, schema = with_table(platform, database, **FULL)
    if while_running:
        reading(platform, source, schema)
    else:
        platform.wait_for_jobs(source, schema)
    platform.call("DELETE", path(schema), status=204)
    platform.call("GET", path(schema), status=404)
    eventually(lambda: all(job["status"] != "Running" for job in platform.jobs(source)), "the run to end")
    eventually(lambda: not objects_of(platform, database, schema), "the lake to be empty")


def test_deleting_a_source_deletes_its_tables(platform: Platform, database: SourceDatabase) -> None:
    sources_of(database)
    source, schema = with_table(platform, database, **FULL)
    platform.wait_for_jobs(source, schema)
    assert objects_of(platform, database, schema)
    platform.call("DELETE", f"/external_data_sources/{source['id']}/", status=204)
    platform.call("GET", f"/external_data_sources/{source['id']}/", status=404)
    eventually(lambda: not objects_of(platform, database, schema), "the lake to be empty")


def test_disabling_stops_the_run_and_enabling_starts_one(platform: Platform, database: SourceDatabase) -> None:
    sources_of(database, 2 * MANY)
    source, schema = with_table(platform, database, **FULL)
    reading(platform, source, schema)
    platform.call("PATCH", path(schema), {"should_sync": False})
    assert platform.wait_for_jobs(source, schema)[0]["status"] == "Cancelled"
    platform.call("POST", path(schema, "reload/"), status=400)
    database.execute("DELETE FROM t WHERE id > 100")
    platform.call("PATCH", path(schema), {"should_sync": True})
    assert platform.wait_for_jobs(source, schema, 2)[0]["status"] == "Completed"
    database.assert_in_lake(platform, schema)


def test_three_failures_that_time_cannot_mend_disable_the_schema(platform: Platform, database: SourceDatabase) -> None:
    sources_of(database)
    source, schema = with_table(platform, database, **FULL)
    platform.wait_for_jobs(source, schema)
    database.execute("DROP TABLE t")
    for _ in range(3):
        job = platform.sync(source, schema)
        assert job["status"] == "Failed"
        assert "t" in job["latest_error"]
    found = platform.schema(schema["id"])
    assert (found["status"], found["should_sync"]) == ("Failed", False)
    assert found["latest_error"] == job["latest_error"]
    assert found["table"]["row_count"] == 1000


def objects_of(platform: Platform, database: SourceDatabase, schema: dict[str, Any]) -> list[str]:
    """What lies in the lake under the schema's folder."""
    short = schema["id"].replace("-", "")[:12]
    return [key for key in database.store.keys(platform.environment["SYNCLINE_LAKE_URL"]) if short in key]
