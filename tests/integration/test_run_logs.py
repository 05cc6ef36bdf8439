"""The log of real runs tells their story: a first load, later runs, failures, and a worker that died."""

import json
import sqlite3
from typing import Any

import psycopg
import pytest

from scheduling.contract import SWEEP
from tests.integration.conftest import SourceDatabase
from tests.kit.operator import Operator
from tests.kit.platform import API_KEY, Platform, eventually, named

PASSWORD = "pa55-w0rd-that-must-not-show"
BY_CHANGE = {
    "should_sync": True,
    "sync_type": "incremental",
    "incremental_field": "updated_at",
    "incremental_field_type": "timestamp",
}
FIRST_RUN = ["started", "planned", "staged", "published", "finished"]


def lines(platform: Platform, schema: dict[str, Any], job: dict[str, Any], **asked: str) -> list[dict[str, Any]]:
    """Of one job, oldest first."""
    query = "&".join(f"{name}={value}" for name, value in {"job_id": job["id"], **asked}.items())
    page = platform.call("GET", f"/external_data_schemas/{schema['id']}/logs/?{query}")
    assert page["count"] == len(page["results"])
    found: list[dict[str, Any]] = page["results"][::-1]
    return found


def events(found: list[dict[str, Any]]) -> list[str]:
    return [line["fields"]["event"] for line in found]


def reader(database: SourceDatabase, *tables: str) -> dict[str, Any]:
    """Inputs of a role of its own."""
    role = f"reader_{database.name}"
    database.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'", f"GRANT SELECT ON {', '.join(tables)} TO {role}"
    )
    return {**database.inputs, "user": role, "password": PASSWORD}


def test_loads_changes_and_failures(platform: Platform, database: SourceDatabase) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, born timestamptz, updated_at timestamptz NOT NULL)",
        "INSERT INTO t SELECT n, timestamptz '2026-01-01', timestamptz '2026-01-01' + n * interval '1 second' "
        "FROM generate_series(1, 1000) n",
        "UPDATE t SET born = 'infinity' WHERE id <= 7",
    )
    source = platform.create_source(reader(database, "t"), [{"name": "t", **BY_CHANGE}])
    schema = named(source, "t")
    [first] = platform.wait_for_jobs(source, schema)

    found = lines(platform, schema, first)
    assert events(found) == ["started", "planned", "staged", "published", "values", "finished"]
    started, planned, staged, published, values, finished = found
    assert started["message"] == "Run started by hand: incremental."
    assert planned["message"] == "Planned: first load."
    assert (staged["fields"]["rows"], staged["fields"]["batch"], staged["fields"]["more"]) == (1000, 1, False)
    assert staged["fields"]["seconds"] > 0
    version = published["fields"]["version"]
    assert (published["fields"]["rows_added"], published["fields"]["rows_changed"]) == (1000, 0)
    assert (values["level"], values["fields"]["column"], values["fields"]["count"]) == ("warning", "born", 7)
    assert finished["fields"] == {
        "event": "finished",
        "status": "Completed",
        "rows_synced": 1000,
        "bytes_written": first["bytes_written"],
        "seconds": finished["fields"]["seconds"],
        "error": None,
    }
    assert started["timestamp"] <= planned["timestamp"] <= staged["timestamp"] <= finished["timestamp"]

    database.execute(
        "UPDATE t SET born = '2026-02-02', updated_at = '2026-03-01' WHERE id = 5",
        "INSERT INTO t VALUES (1001, '2026-02-02', '2026-03-01')",
    )
    second = platform.sync(source, schema)
    found = lines(platform, schema, second)
    assert events(found) == FIRST_RUN
    assert found[1]["message"] == "Planned: continue."
    assert found[3]["fields"] | {"bytes_written": 0} == {
        "event": "published",
        "batch": 1,
        "version": version + 1,
        "rows_added": 1,
        "rows_changed": 1,
        "bytes_written": 0,
    }

    database.execute("ALTER TABLE t DROP COLUMN updated_at")
    failed = platform.sync(source, schema)
    assert failed["status"] == "Failed"
    found = lines(platform, schema, failed)
    assert events(found) == ["started", "planned", "attempt_failed", "finished"]
    assert found[2]["message"] == f"Attempt 1 of the step extract failed: {failed['latest_error']}"
    assert found[3]["message"].endswith(failed["latest_error"])
    assert lines(platform, schema, failed, level="error") == found[2:]

    database.execute(f"ALTER ROLE reader_{database.name} PASSWORD 'changed'")
    refused = platform.sync(source, schema)
    assert refused["status"] == "Failed"
    assert events(lines(platform, schema, refused, level="error")) == ["attempt_failed", "finished"]
    everything = json.dumps(platform.call("GET", f"/external_data_schemas/{schema['id']}/logs/?limit=1000"))
    assert refused["latest_error"] in everything
    for secret in (PASSWORD, API_KEY, platform.environment["SYNCLINE_S3_SECRET_ACCESS_KEY"]):
        assert secret not in everything


def test_an_attempt_that_fails_and_the_next_that_does_not(platform: Platform, database: SourceDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, "sync_type": "full_refresh"}])
    schema = named(source, "t")
    platform.wait_for_jobs(source, schema)
    end_reader = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(database.dsn) as locking, psycopg.connect(database.dsn, autocommit=True) as other:
        locking.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        platform.reload(schema)
        eventually(lambda: other.execute(end_reader).fetchone() != (0,), "a session that waits for the table")
        eventually(lambda: "attempt_failed" in events(lines(platform, schema, newest(platform, source))), "its line")
    [job, _] = platform.wait_for_jobs(source, schema, 2)
    assert job["status"] == "Completed"
    found = lines(platform, schema, job)
    failures = [line for line in found if line["fields"]["event"] == "attempt_failed"]
    each_attempt = ["planned", "attempt_failed", "planned", "reading"] + ["attempt_failed", "planned", "reading"] * (
        len(failures) - 1
    )
    assert events(found) == ["started", *each_attempt, "staged", "published", "finished"]
    assert {(line["level"], line["fields"]["step"]) for line in failures} == {("warning", "extract")}
    again = [line["fields"] for line in found if line["fields"]["event"] == "reading"]
    assert [line["attempt"] for line in again] == list(range(2, len(failures) + 2))
    assert [line["fields"]["attempt"] for line in failures] == list(range(1, len(failures) + 1))


def newest(platform: Platform, source: dict[str, Any]) -> dict[str, Any]:
    return platform.jobs(source)[0]


@pytest.mark.long
def test_a_run_whose_worker_was_killed(own_platform: Platform, database: SourceDatabase) -> None:
    platform = own_platform
    database.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 100)")
    platform.kill()
    platform.start_worker("doomed", FAILPOINT="staged")
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, "sync_type": "full_refresh"}])
    schema = named(source, "t")
    platform.wait_killed("doomed")
    platform.start_worker()
    [job] = platform.wait_for_jobs(source, schema)
    found = lines(platform, schema, job)
    assert events(found) == ["started", "planned", "planned", "reading", "staged", "published", "finished"]
    assert found[3]["message"] == "Reading batch 1 again, attempt 2."
    assert found[6]["fields"]["rows_synced"] == 100
    database.assert_in_lake(platform, schema)


def test_a_rebuild_is_told_and_a_deleted_schemas_log_goes(
    own_platform: Platform, operator: Operator, database: SourceDatabase
) -> None:
    platform = own_platform
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz NOT NULL)",
        "INSERT INTO t SELECT n, now() FROM generate_series(1, 10) n",
    )
    source = platform.create_source(database.inputs, [{"name": "t", **BY_CHANGE}])
    schema = named(source, "t")
    platform.wait_for_jobs(source, schema)
    platform.call("POST", f"/external_data_schemas/{schema['id']}/resync/")
    rebuilt = platform.wait_for_jobs(source, schema, 2)[0]
    found = lines(platform, schema, rebuilt)
    assert events(found) == ["started", "planned", "staged", "published", "swapped_in", "finished"]
    assert found[1]["message"] == "Planned: rebuild, because its rows are to be read anew."
    assert found[3]["message"].startswith("Batch 1 published: 10 rows added, 0 changed in the rebuild")

    operator.upkeep(SWEEP, int)
    assert lines(platform, schema, rebuilt) == found
    assert count_lines(platform, schema) == 11
    platform.call("DELETE", f"/external_data_schemas/{schema['id']}/", status=204)
    eventually(lambda: count_lines(platform, schema) == 0, "its lines to go")


def count_lines(platform: Platform, schema: dict[str, Any]) -> int:
    """In the database itself: the API shows nothing of a deleted schema."""
    path = platform.environment["SYNCLINE_DATABASE_URL"].partition("///")[2]
    with sqlite3.connect(path) as connection:
        of_schema = "SELECT count(*) FROM job_log WHERE schema_id = ?"
        [count] = connection.execute(of_schema, [schema["id"].replace("-", "")]).fetchone()
    return int(count)
