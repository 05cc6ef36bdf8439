"""Create, sync, read with a second engine, change the source, sync again: the lake equals the source."""

from pathlib import Path
from typing import Any

import pytest

from local.postgres import PostgresServer
from tests.integration.conftest import SourceDatabase
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, named, run_platform
from tests.kit.servers import MetadataTemplates, RunningStore, RunningTemporal

INCREMENTAL = {"sync_type": "incremental", "incremental_field": "updated_at", "incremental_field_type": "datetime"}
APPEND = {"sync_type": "append", "incremental_field": "id", "incremental_field_type": "integer"}
FULL = {"sync_type": "full_refresh"}

WIDE = ", ".join(f"c{n} {('int', 'text', 'numeric(12,3)', 'timestamptz')[n % 4]}" for n in range(299))
WIDE_VALUES = ", ".join(("n", "'t' || n", "n / 7.0", "now() + n * interval '1 day'")[n % 4] for n in range(299))

SETUP = [
    """CREATE TABLE "Mixed Case" ("Id" int PRIMARY KEY, "naïve ☃" text, "a b,c;d" int)""",
    """INSERT INTO "Mixed Case" SELECT n, repeat('ü', n), n FROM generate_series(1, 50) n""",
    """CREATE TABLE "таб""лица" (id int PRIMARY KEY, v text)""",
    """INSERT INTO "таб""лица" VALUES (1, 'a''b'), (2, null), (3, '')""",
    "CREATE TABLE empty (id int PRIMARY KEY, v text, at timestamptz)",
    f"CREATE TABLE wide (id int PRIMARY KEY, {WIDE})",
    f"INSERT INTO wide SELECT n, {WIDE_VALUES} FROM generate_series(1, 300) n",
    "CREATE TABLE large (id int PRIMARY KEY, v text, b bytea)",
    "INSERT INTO large SELECT n, repeat(chr(64 + n), 10000000), convert_to(repeat('b', 1000000), 'UTF8') "
    "FROM generate_series(1, 6) n",
    "CREATE TABLE by_int (id bigint PRIMARY KEY, v text, updated_at timestamptz)",
    "INSERT INTO by_int SELECT n, 'v' || n, timestamptz '2026-01-01' + (n / 10) * interval '1 minute' "
    "FROM generate_series(1, 5000) n",
    "INSERT INTO by_int SELECT n, 'no time', null FROM generate_series(6000, 6020) n",
    "CREATE TABLE by_pair (tenant text, n int, v numeric(20,4), updated_at timestamp, PRIMARY KEY (tenant, n))",
    "INSERT INTO by_pair SELECT 't' || n % 7, n, n / 3.0, timestamp '2026-01-01' + n * interval '1 second' "
    "FROM generate_series(1, 2000) n",
    "CREATE TABLE by_uuid (id uuid PRIMARY KEY, v jsonb, updated_at timestamptz NOT NULL)",
    "INSERT INTO by_uuid SELECT gen_random_uuid(), jsonb_build_object('n', n), now() - n * interval '1 hour' "
    "FROM generate_series(1, 1000) n",
    "CREATE TABLE by_text (id text PRIMARY KEY, v float8, updated_at timestamptz)",
    "INSERT INTO by_text SELECT 'käse-' || n, n * 1.5, now() - n * interval '1 hour' FROM generate_series(1, 500) n",
    "CREATE TABLE events (id bigint, what text)",
    "INSERT INTO events SELECT n / 3, 'e' || n FROM generate_series(1, 3000) n",
    "CREATE TABLE by_day (id int, at timestamp, region text, v text, changed timestamp, PRIMARY KEY (id, at, region)) "
    "PARTITION BY RANGE (at)",
    "CREATE TABLE by_day_1 PARTITION OF by_day FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') "
    "PARTITION BY LIST (region)",
    "CREATE TABLE by_day_1_n PARTITION OF by_day_1 FOR VALUES IN ('n')",
    "CREATE TABLE by_day_1_rest PARTITION OF by_day_1 DEFAULT",
    "CREATE TABLE by_day_rest PARTITION OF by_day DEFAULT",
    "INSERT INTO by_day SELECT n, timestamp '2026-01-01' + n * interval '1 hour', "
    "CASE WHEN n % 2 = 0 THEN 'n' ELSE 's' END, 'v' || n, '2026-01-01' FROM generate_series(1, 1500) n",
    "CREATE MATERIALIZED VIEW counted AS SELECT tenant, count(*) AS c FROM by_pair GROUP BY tenant",
    "CREATE VIEW seen AS SELECT id, v FROM by_int WHERE id <= 100",
]

CHANGES = [
    """UPDATE "Mixed Case" SET "naïve ☃" = 'new' WHERE "Id" < 5""",
    """DELETE FROM "Mixed Case" WHERE "Id" = 7""",
    "INSERT INTO empty VALUES (1, 'now', now())",
    "UPDATE by_int SET v = 'changed', updated_at = now() WHERE id % 100 = 3",
    # Ties with the edge of the last run, and a new key.
    "INSERT INTO by_int SELECT 100000, 'tie', max(updated_at) FROM by_int WHERE v <> 'changed'",
    "INSERT INTO by_int VALUES (100001, 'fresh', now())",
    "UPDATE by_pair SET v = v + 1, updated_at = timestamp '2026-06-01' WHERE n % 50 = 0",
    "INSERT INTO by_pair VALUES ('new', 1, 0.5, timestamp '2026-06-02')",
    """UPDATE by_uuid SET v = '{"changed": true}', updated_at = now() + interval '1 second' WHERE v->>'n' = '5'""",
    "UPDATE by_text SET v = 'NaN', updated_at = now() + interval '1 second' WHERE id = 'käse-3'",
    "UPDATE by_day SET v = 'changed', changed = '2026-09-01' WHERE id % 100 = 0",
    "CREATE TABLE by_day_9 PARTITION OF by_day FOR VALUES FROM ('2026-10-01') TO ('2026-11-01')",
    "INSERT INTO by_day SELECT n, '2026-10-05', 'w', 'new', '2026-09-02' FROM generate_series(3000, 3100) n",
    "REFRESH MATERIALIZED VIEW counted",
    # An append-only table: ties with the edge, then beyond it.
    "INSERT INTO events VALUES (1000, 'late tie'), (1000, 'late tie')",
    "INSERT INTO events SELECT n, 'more' || n FROM generate_series(1001, 1500) n",
]

SCHEMAS: dict[str, dict[str, Any]] = {
    "Mixed Case": FULL,
    'таб"лица': FULL,
    "empty": FULL,
    "wide": FULL,
    "large": FULL,
    "seen": FULL,
    "by_int": INCREMENTAL,
    "by_pair": {**INCREMENTAL, "incremental_field_type": "timestamp"},
    "by_uuid": INCREMENTAL,
    "by_text": INCREMENTAL,
    "by_day": {"sync_type": "incremental", "incremental_field": "changed", "incremental_field_type": "timestamp"},
    "counted": FULL,
    "events": APPEND,
}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def sync_twice(platform: Platform, database: SourceDatabase) -> None:
    database.execute(*SETUP)
    wanted = [{"name": name, "should_sync": True, **settings} for name, settings in SCHEMAS.items()]
    source = platform.create_source(database.inputs, wanted)
    for name in SCHEMAS:
        (job,) = platform.wait_for_jobs(source, named(source, name))
        assert job["status"] == "Completed", (name, job["latest_error"])
        database.assert_in_lake(platform, named(source, name), quoted(name))
    database.execute(*CHANGES)
    for name in SCHEMAS:
        platform.reload(named(source, name))
    for name in SCHEMAS:
        job = platform.wait_for_jobs(source, named(source, name), 2)[0]
        assert job["status"] == "Completed", (name, job["latest_error"])
        database.assert_in_lake(platform, named(source, name), quoted(name))
    events = platform.jobs(source, named(source, "events"))[0]
    assert events["rows_synced"] == 502
    assert platform.call("GET", f"/external_data_sources/{source['id']}/")["status"] == "Completed"


def test_every_mode_twice_in_a_row(platform: Platform, database: SourceDatabase) -> None:
    sync_twice(platform, database)


@pytest.mark.long
def test_every_mode_from_an_older_postgres_with_the_metadata_in_postgres(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    metadata_templates: MetadataTemplates,
    temporal: RunningTemporal,
    object_store: RunningStore,
    lake_url: str,
    tmp_path: Path,
) -> None:
    with (
        metadata_templates.postgres_copy(postgres18) as url,
        run_platform(tmp_path, url, lake_url, temporal, object_store) as platform,
    ):
        sync_twice(platform, SourceDatabase(postgres16, postgres16.create_database(), object_store))


def test_a_lake_in_a_folder(
    database: SourceDatabase, temporal: RunningTemporal, sqlite_metadata_url: str, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    with run_platform(tmp_path, sqlite_metadata_url, f"file://{lake}", temporal, None) as platform:
        source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, **FULL}])
        schema = named(source, "t")
        assert platform.wait_for_jobs(source, schema)[0]["status"] == "Completed"
        frame = lake_frame(platform.schema(schema["id"])["table"]["url_pattern"], None)
        assert sorted(frame.rows()) == [(1, "a"), (2, "b")]


def test_a_run_without_news_commits_nothing(platform: Platform, database: SourceDatabase) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz)",
        "INSERT INTO t SELECT n, timestamptz '2026-01-01' + n / 10 * interval '1 day' FROM generate_series(1, 95) n",
    )
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, **INCREMENTAL}])
    schema = named(source, "t")
    platform.wait_for_jobs(source, schema)
    before = platform.schema(schema["id"])["table"]
    job = platform.sync(source, schema)
    assert (job["status"], job["rows_synced"], job["bytes_written"]) == ("Completed", 0, 0)
    assert platform.schema(schema["id"])["table"]["size_in_s3_mib"] == before["size_in_s3_mib"]
    database.assert_in_lake(platform, schema)


def steps(platform: Platform, schema: dict[str, Any], job: dict[str, Any]) -> list[str]:
    """What the log of a run says it did, in order."""
    page = platform.call("GET", f"/external_data_schemas/{schema['id']}/logs/?job_id={job['id']}")
    return [line["fields"]["event"] for line in reversed(page["results"])]


NEWS = {
    "a tie with the edge": "INSERT INTO t SELECT 500, 'tie', max(updated_at) FROM t",
    "a row past the edge": "INSERT INTO t SELECT 501, 'new', max(updated_at) + interval '1 second' FROM t",
    "a column": "ALTER TABLE t ADD COLUMN w int",
}
CHANGED_AT_THE_EDGE = "UPDATE t SET v = 'changed' WHERE id = (SELECT max(id) FROM t)"


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_rows_that_were_found_before_are_passed_over_until_something_is_new(
    platform: Platform, database: SourceDatabase, mode: str
) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text, updated_at timestamptz)",
        "INSERT INTO t SELECT n, 'v', timestamptz '2026-01-01' + n / 10 * interval '1 day' "
        "FROM generate_series(1, 95) n",
        "CREATE INDEX ON t (updated_at)",
        "ANALYZE t",
    )
    wanted = {"name": "t", "should_sync": True, **INCREMENTAL, "sync_type": mode}
    source = platform.create_source(database.inputs, [wanted])
    schema = named(source, "t")
    platform.wait_for_jobs(source, schema)
    compared, passed_over = ["staged", "published"], ["repeated"]
    news = {"nothing": None, **NEWS}
    if mode == "incremental":
        # An append keeps a row as it was when it came.
        news["a value, its cursor untouched"] = CHANGED_AT_THE_EDGE
    for what, statement in news.items():
        if statement:
            database.execute(statement)
            job = platform.sync(source, schema)
            assert steps(platform, schema, job)[2:4] == compared, what
            assert job["rows_synced"] > 0 or what == "a column", what
            database.assert_in_lake(platform, schema)
        for expected in (compared, passed_over, passed_over):
            job = platform.sync(source, schema)
            done = steps(platform, schema, job)
            assert done == ["started", "planned", *expected, "finished"], (what, done)
            assert (job["status"], job["rows_synced"], job["bytes_written"]) == ("Completed", 0, 0), what
        database.assert_in_lake(platform, schema)


def test_a_resync_copies_rows_that_were_passed_over(platform: Platform, database: SourceDatabase) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz)",
        "INSERT INTO t VALUES (1, '2026-01-01'), (2, '2026-01-02')",
    )
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, **INCREMENTAL}])
    schema = named(source, "t")
    platform.wait_for_jobs(source, schema)
    for _ in range(2):
        job = platform.sync(source, schema)
    assert "repeated" in steps(platform, schema, job)
    before = len(platform.jobs(source, schema))
    platform.call("POST", f"/external_data_schemas/{schema['id']}/resync/")
    resynced = platform.wait_for_jobs(source, schema, before + 1)[0]
    assert resynced["rows_synced"] == 2
    database.assert_in_lake(platform, schema)
    platform.call("DELETE", f"/external_data_schemas/{schema['id']}/delete_data/", status=204)
    assert platform.sync(source, schema)["rows_synced"] == 2
    database.assert_in_lake(platform, schema)


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_the_look_back_finds_late_rows_and_doubles_none(
    platform: Platform, database: SourceDatabase, mode: str
) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz)",
        "INSERT INTO t SELECT n, timestamptz '2026-01-01' + n * interval '1 minute' FROM generate_series(1, 200) n",
    )
    wanted = {"name": "t", "should_sync": True, **INCREMENTAL, "sync_type": mode}
    source = platform.create_source(database.inputs, [wanted])
    schema = named(source, "t")
    platform.call("PATCH", f"/external_data_schemas/{schema['id']}/", {"incremental_lookback_seconds": 3600})
    platform.wait_for_jobs(source, schema)
    database.execute("INSERT INTO t VALUES (1000, timestamptz '2026-01-01' + interval '170 minutes')")
    assert platform.sync(source, schema)["rows_synced"] == 1
    database.assert_in_lake(platform, schema)


def test_a_full_refresh_becomes_incremental_without_reading_it_all_again(
    platform: Platform, database: SourceDatabase
) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text, updated_at timestamptz)",
        "INSERT INTO t SELECT n, 'v', timestamptz '2026-01-01' + n * interval '1 minute' "
        "FROM generate_series(1, 300) n",
    )
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, **FULL}])
    schema = named(source, "t")
    platform.wait_for_jobs(source, schema)
    platform.call("PATCH", f"/external_data_schemas/{schema['id']}/", INCREMENTAL)
    database.execute("UPDATE t SET v = 'new', updated_at = now() WHERE id IN (3, 5)")
    job = platform.sync(source, schema)
    assert (job["status"], job["rows_synced"]) == ("Completed", 2)
    database.assert_in_lake(platform, schema)
