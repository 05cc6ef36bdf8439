"""A schema that was synced often: its next run maintains the table, and says so in its log."""

import time
from typing import Any

import pyarrow as pa
import pytest

from lake.compaction import FILES_PER_TIER
from lake.manifest import RunRef
from lake.storage import LakeStore
from lake.table import open_table
from tests.integration.conftest import SourceDatabase
from tests.integration.test_run_logs import events, lines
from tests.kit.platform import Platform, eventually, named
from tests.lake.copier import Copier, orders

SETTINGS = {
    "should_sync": True,
    "sync_type": "incremental",
    "incremental_field": "id",
    "incremental_field_type": "integer",
}
SCHEMA = pa.schema([("id", pa.int32()), ("v", pa.string())])


def test_small_files_of_many_runs_become_one(platform: Platform, database: SourceDatabase) -> None:
    source, schema = with_a_table(platform, database)
    [job] = platform.wait_for_jobs(source, schema)
    assert "maintained" not in events(lines(platform, schema, job))
    copy_often(platform, database, schema)

    database.execute("INSERT INTO t VALUES (1000, 'one more')")
    job = platform.sync(source, schema)

    told = {line["fields"]["event"]: line["message"] for line in lines(platform, schema, job)}
    assert told["maintained"] == f"Table maintained: {FILES_PER_TIER} small files became 1."
    assert list(told)[-2:] == ["maintained", "finished"]
    assert (job["status"], job["rows_synced"]) == ("Completed", 1)
    database.assert_in_lake(platform, schema)
    assert platform.sync(source, schema)["rows_synced"] == 0
    database.assert_in_lake(platform, schema)


@pytest.mark.parametrize("place", ["compacting", "compacted"])
@pytest.mark.long
def test_a_run_that_is_stopped_or_dies_while_it_merges_files_keeps_its_rows(
    idle_platform: Platform, database: SourceDatabase, place: str
) -> None:
    platform = idle_platform
    source, schema = with_a_table(platform, database)
    platform.start_worker()
    platform.wait_for_jobs(source, schema)
    platform.kill()
    copy_often(platform, database, schema)
    database.execute("INSERT INTO t VALUES (1000, 'one more')")

    platform.start_worker(FAILPOINT=f"{place}:hang")
    platform.reload(schema)
    eventually(lambda: len(platform.jobs(source, schema)) == 2, "the second run")
    eventually(lambda: "published" in story(platform, schema, platform.jobs(source, schema)[0]), "its commit")
    time.sleep(2)
    asked = time.monotonic()
    platform.call("POST", f"/external_data_schemas/{schema['id']}/cancel/")
    job = platform.wait_for_jobs(source, schema, 2)[0]
    assert time.monotonic() - asked < 5
    assert (job["status"], job["rows_synced"]) == ("Cancelled", 1)
    database.assert_in_lake(platform, schema)
    platform.kill()

    copy_often(platform, database, schema, first=2000)
    database.execute("INSERT INTO t VALUES (3000, 'one more')")
    platform.start_worker(FAILPOINT=place)
    platform.reload(schema)
    platform.wait_killed()
    platform.start_worker()
    job = platform.wait_for_jobs(source, schema, 3)[0]
    assert (job["status"], job["rows_synced"]) == ("Completed", 1)
    database.assert_in_lake(platform, schema)

    database.execute("INSERT INTO t VALUES (4000, 'the last')")
    job = platform.sync(source, schema)
    assert place == "compacted" or "maintained" in story(platform, schema, job), "what was not done is done now"
    database.assert_in_lake(platform, schema)


def with_a_table(platform: Platform, database: SourceDatabase) -> tuple[dict[str, Any], dict[str, Any]]:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (0, 'first')")
    source = platform.create_source(database.inputs, [{"name": "t", **SETTINGS}])
    return source, named(source, "t")


def copy_often(platform: Platform, database: SourceDatabase, schema: dict[str, Any], first: int = 1) -> None:
    """So that one more run is due to merge files."""
    copier = in_the_lake(platform, database, schema["id"])
    fence = open_table(copier.store, copier.table).position.fence
    for number in range(first, first + FILES_PER_TIER - 2):
        database.execute(f"INSERT INTO t VALUES ({number}, 'many runs')")
        run = RunRef(f"run-{number}", fence, 1)
        copier.copy("incremental", orders([(number, "many runs")], SCHEMA), run=run)


def story(platform: Platform, schema: dict[str, Any], job: dict[str, Any]) -> list[str]:
    return events(lines(platform, schema, job))


def in_the_lake(platform: Platform, database: SourceDatabase, schema_id: str) -> Copier:
    """Copies as the runs would that this test need not wait for."""
    server, root = database.store, platform.environment["SYNCLINE_LAKE_URL"]
    store = LakeStore(root, server.endpoint, server.access_key_id, server.secret_access_key, server.region)
    path = platform.schema(schema_id)["table"]["url_pattern"].removeprefix(f"{root}/")
    return Copier(store, path.rstrip("/"), primary_key=("id",), cursor_field="id")
