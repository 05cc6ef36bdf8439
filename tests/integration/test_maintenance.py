"""A schema that was synced often: its next run maintains the table, and says so in its log."""

import pyarrow as pa

from lake.compaction import FILES_PER_TIER
from lake.manifest import RunRef
from lake.storage import LakeStore
from tests.integration.conftest import SourceDatabase
from tests.integration.test_run_logs import events, lines
from tests.kit.platform import Platform, named
from tests.lake.copier import Copier, orders

SETTINGS = {
    "should_sync": True,
    "sync_type": "incremental",
    "incremental_field": "id",
    "incremental_field_type": "integer",
}
SCHEMA = pa.schema([("id", pa.int32()), ("v", pa.string())])


def test_small_files_of_many_runs_become_one(platform: Platform, database: SourceDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (0, 'first')")
    source = platform.create_source(database.inputs, [{"name": "t", **SETTINGS}])
    schema = named(source, "t")
    [job] = platform.wait_for_jobs(source, schema)
    assert "maintained" not in events(lines(platform, schema, job))
    copier = in_the_lake(platform, database, schema["id"])
    for number in range(1, FILES_PER_TIER - 1):
        database.execute(f"INSERT INTO t VALUES ({number}, 'many runs')")
        copier.copy("incremental", orders([(number, "many runs")], SCHEMA), run=RunRef(f"run {number}", 1, 1))

    database.execute("INSERT INTO t VALUES (1000, 'one more')")
    job = platform.sync(source, schema)

    told = {line["fields"]["event"]: line["message"] for line in lines(platform, schema, job)}
    assert told["maintained"] == f"Table maintained: {FILES_PER_TIER} small files became 1."
    assert list(told)[-2:] == ["maintained", "finished"]
    assert (job["status"], job["rows_synced"]) == ("Completed", 1)
    database.assert_in_lake(platform, schema)
    assert platform.sync(source, schema)["rows_synced"] == 0
    database.assert_in_lake(platform, schema)


def in_the_lake(platform: Platform, database: SourceDatabase, schema_id: str) -> Copier:
    """Copies as the runs would that this test need not wait for."""
    server, root = database.store, platform.environment["SYNCLINE_LAKE_URL"]
    store = LakeStore(root, server.endpoint, server.access_key_id, server.secret_access_key, server.region)
    path = platform.schema(schema_id)["table"]["url_pattern"].removeprefix(f"{root}/")
    return Copier(store, path.rstrip("/"), primary_key=("id",), cursor_field="id")
