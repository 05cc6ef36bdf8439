"""SIGKILL at every step, and servers that go away: afterwards the contents are equal, and no job is stuck."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from deltalake import DeltaTable

from tests.integration.conftest import SourceDatabase
from tests.kit.compare import lake_frame, storage_options
from tests.kit.platform import Platform, eventually, named, run_platform
from tests.kit.servers import (
    MetadataTemplates,
    RunningStore,
    RunningTemporal,
    run_object_store,
    run_postgres,
    run_temporal,
)

CURSOR = {"incremental_field": "updated_at", "incremental_field_type": "datetime"}
MODES: dict[str, dict[str, Any]] = {
    "whole": {"sync_type": "full_refresh"},
    "keyed": {"sync_type": "incremental", **CURSOR},
    "appended": {"sync_type": "append", **CURSOR},
}
STEPS = [
    "before-commit",
    *(
        pytest.param(step, marks=pytest.mark.long)
        for step in ("after-begin", "reading", "staged", "after-commit", "after-publish", "before-finish")
    ),
]


def fill(database: SourceDatabase) -> list[dict[str, Any]]:
    for name in MODES:
        database.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, v text, updated_at timestamptz)",
            f"INSERT INTO {name} SELECT n, 'v' || n, timestamptz '2026-01-01' + n / 5 * interval '1 minute' "
            "FROM generate_series(1, 20000) n",
        )
    return [{"name": name, "should_sync": True, **settings} for name, settings in MODES.items()]


def change(database: SourceDatabase) -> None:
    """New rows everywhere, also at the edge; changed ones where the mode keeps up with them."""
    for name in MODES:
        database.execute(
            f"INSERT INTO {name} SELECT 100000, 'tie', max(updated_at) FROM {name}",
            f"INSERT INTO {name} SELECT n, 'new', timestamptz '2026-03-01' + n / 5 * interval '1 minute' "
            "FROM generate_series(20001, 25000) n",
        )
    for name in ("whole", "keyed"):
        database.execute(f"UPDATE {name} SET v = 'changed', updated_at = '2026-05-01' WHERE id % 97 = 0")


def assert_all_equal(platform: Platform, database: SourceDatabase, source: dict[str, Any], runs: int) -> None:
    for name in MODES:
        schema = named(source, name)
        jobs = platform.wait_for_jobs(source, schema, runs, patience_seconds=120)
        assert jobs[0]["status"] == "Completed", (name, jobs[0]["latest_error"])
        assert platform.schema(schema["id"])["status"] == "Completed"
        database.assert_in_lake(platform, schema)


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_in_a_first_load_and_in_a_later_run(
    idle_platform: Platform, database: SourceDatabase, step: str
) -> None:
    platform = idle_platform
    platform.start_worker("doomed", FAILPOINT=step)
    source = platform.create_source(database.inputs, fill(database))
    platform.wait_killed("doomed")
    platform.start_worker()
    assert_all_equal(platform, database, source, 1)
    change(database)
    platform.kill()
    platform.start_worker("doomed", FAILPOINT=step)
    for name in MODES:
        platform.reload(named(source, name))
    platform.wait_killed("doomed")
    platform.start_worker()
    assert_all_equal(platform, database, source, 2)


@pytest.mark.parametrize("step", ["after-commit", pytest.param("after-publish", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "mode", ["whole", *(pytest.param(mode, marks=pytest.mark.long) for mode in ("keyed", "appended"))]
)
def test_a_short_batch_is_committed_once_and_told_whole(
    idle_platform: Platform, database: SourceDatabase, mode: str, step: str
) -> None:
    """Plan, read and commit are one step: its next attempt finds the commit, and what the first one knew of it."""
    platform = idle_platform
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, born timestamptz, updated_at timestamptz)",
        "INSERT INTO t SELECT n, timestamptz '2026-01-01', timestamptz '2026-01-01' + n * interval '1 s' "
        "FROM generate_series(1, 500) n",
        "UPDATE t SET born = 'infinity' WHERE id <= 7",
        "CREATE VIEW expected AS SELECT id, nullif(born, 'infinity') AS born, updated_at FROM t",
    )
    platform.start_worker("doomed", FAILPOINT=step)
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, **MODES[mode]}])
    schema = named(source, "t")

    def assert_told_whole(job: dict[str, Any], root: str, commits: int) -> None:
        assert (job["status"], job["rows_synced"], job["bytes_written"] > 0) == ("Completed", 500, True)
        assert [(each["column"], each["count"]) for each in job["warnings"]] == [("born", 7)]
        table = DeltaTable(root, storage_options=storage_options(database.store))
        assert [entry["operation"] for entry in table.history()] == ["WRITE"] * (commits - 1) + ["CREATE TABLE"]
        database.assert_in_lake(platform, schema, "expected")

    platform.wait_killed("doomed")
    platform.start_worker()
    [job] = platform.wait_for_jobs(source, schema)
    root = platform.schema(schema["id"])["table"]["url_pattern"]
    assert_told_whole(job, root, commits=1)
    if mode == "whole":
        return

    platform.kill()
    platform.start_worker("doomed", FAILPOINT=step)
    platform.call("POST", f"/external_data_schemas/{schema['id']}/resync/")
    platform.wait_killed("doomed")
    platform.start_worker()
    rebuilt = platform.wait_for_jobs(source, schema, 2)[0]
    assert_told_whole(rebuilt, root, commits=2)
    assert_told_whole(rebuilt, f"{root}/g2", commits=1)


def test_a_worker_told_to_stop_hands_its_work_over(own_platform: Platform, database: SourceDatabase) -> None:
    platform = own_platform
    database.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text)",
        "INSERT INTO t SELECT n, repeat('x', 50) FROM generate_series(1, 2000000) n",
    )
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, **MODES["whole"]}])
    schema = named(source, "t")
    eventually(lambda: platform.jobs(source, schema) and platform.jobs(source, schema)[0]["rows_synced"], "rows")
    assert platform.stop() == 0
    platform.start_worker("second")
    (job,) = platform.wait_for_jobs(source, schema)
    assert (job["status"], job["rows_synced"]) == ("Completed", 2_000_000)
    database.assert_in_lake(platform, schema)


def test_two_workers_share_the_work(own_platform: Platform, database: SourceDatabase) -> None:
    platform = own_platform
    platform.start_worker("second")
    source = platform.create_source(database.inputs, fill(database))
    assert_all_equal(platform, database, source, 1)


def begin_large(platform: Platform, database: SourceDatabase) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run that is reading and has something staged."""
    database.execute(
        "CREATE TABLE large (id bigint PRIMARY KEY, v text, updated_at timestamptz)",
        "INSERT INTO large SELECT n, repeat(md5(n::text), 4), timestamptz '2026-01-01' + n * interval '1 second' "
        "FROM generate_series(1, 1500000) n",
    )
    wanted = {"name": "large", "should_sync": True, **MODES["appended"]}
    source = platform.create_source(database.inputs, [wanted])
    schema = named(source, "large")
    eventually(lambda: platform.jobs(source, schema) and platform.jobs(source, schema)[0]["rows_synced"], "rows")
    return source, schema


def assert_large_equal(platform: Platform, database: SourceDatabase, schema: dict[str, Any]) -> None:
    frame = lake_frame(platform.schema(schema["id"])["table"]["url_pattern"], database.store)
    with psycopg.connect(database.dsn) as connection:
        expected = connection.execute(
            "SELECT count(*), count(DISTINCT id), sum(id), min(v), max(v) FROM large"
        ).fetchone()
    found = (frame.height, frame["id"].n_unique(), frame["id"].sum(), frame["v"].min(), frame["v"].max())
    assert found == expected


@pytest.mark.long
def test_a_first_load_goes_on_where_it_stopped(own_platform: Platform, database: SourceDatabase) -> None:
    """Killed after its first batch: what was committed stays, and a later run reads only the rest."""
    platform = own_platform
    database.execute(
        "CREATE TABLE large (id bigint PRIMARY KEY, v text)",
        "INSERT INTO large SELECT n, 'v' || n FROM generate_series(1, 4500000) n",
    )
    by_id = {"sync_type": "append", "incremental_field": "id", "incremental_field_type": "integer"}
    source = platform.create_source(database.inputs, [{"name": "large", "should_sync": True, **by_id}])
    schema = named(source, "large")
    eventually(lambda: platform.schema(schema["id"])["table"], "the first batch")
    first = platform.schema(schema["id"])["table"]["row_count"]
    assert 0 < first < 4_500_000
    platform.call("POST", f"/external_data_schemas/{schema['id']}/cancel/")
    assert platform.wait_for_jobs(source, schema)[0]["status"] == "Cancelled"
    committed = platform.schema(schema["id"])["table"]["row_count"]
    platform.reload(schema)
    eventually(lambda: platform.jobs(source, schema)[0]["rows_synced"], "the second run to read")
    platform.kill()
    platform.start_worker()
    job = platform.wait_for_jobs(source, schema, 2, patience_seconds=120)[0]
    assert (job["status"], job["rows_synced"]) == ("Completed", 4_500_000 - committed)
    assert_large_equal(platform, database, schema)


@pytest.mark.long
def test_postgres_restarted_while_it_is_read(
    temporal: RunningTemporal,
    object_store: RunningStore,
    sqlite_metadata_url: str,
    lake_url: str,
    tmp_path: Path,
) -> None:
    with (
        run_postgres(18) as server,
        run_platform(tmp_path, sqlite_metadata_url, lake_url, temporal, object_store) as platform,
    ):
        database = SourceDatabase(server, server.create_database(), object_store)
        source, schema = begin_large(platform, database)
        server.kill()
        server.start()
        assert platform.wait_for_jobs(source, schema, patience_seconds=120)[0]["status"] == "Completed"
        assert_large_equal(platform, database, schema)


def test_the_object_store_killed_while_it_is_written_to(
    temporal: RunningTemporal, database: SourceDatabase, sqlite_metadata_url: str, tmp_path: Path
) -> None:
    with (
        run_object_store() as store,
        run_platform(tmp_path, sqlite_metadata_url, store.new_url(), temporal, store) as platform,
    ):
        own = SourceDatabase(database.server, database.name, store)
        source, schema = begin_large(platform, own)
        store.kill()
        store.restart()
        assert platform.wait_for_jobs(source, schema, patience_seconds=180)[0]["status"] == "Completed"
        assert_large_equal(platform, own, schema)


def test_temporal_killed_in_the_middle_of_a_run(
    object_store: RunningStore,
    database: SourceDatabase,
    metadata_templates: MetadataTemplates,
    lake_url: str,
    tmp_path: Path,
) -> None:
    url = metadata_templates.sqlite_copy(tmp_path / "metadata.db")
    with (
        run_temporal(in_memory=False) as temporal,
        run_platform(tmp_path, url, lake_url, temporal, object_store) as platform,
    ):
        source, schema = begin_large(platform, database)
        temporal.kill()
        temporal.restart()
        assert platform.wait_for_jobs(source, schema, patience_seconds=180)[0]["status"] == "Completed"
        assert_large_equal(platform, database, schema)
