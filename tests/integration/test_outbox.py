"""What a change wants of Temporal happens once, whatever dies between the commit and Temporal."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local.ports import choose_ports
from tests.integration.conftest import SourceDatabase
from tests.kit.operator import Operator
from tests.kit.platform import Platform, eventually, named, run_platform
from tests.kit.servers import MetadataTemplates, RunningStore, run_temporal

CRASHES = [
    "outbox-claimed",
    *(pytest.param(step, marks=pytest.mark.long) for step in ("outbox-written", "outbox-fulfilled")),
]
HOURS = {f"{hours}hour": timedelta(hours=hours) for hours in (1, 6, 12, 24)}
ENABLED = {"should_sync": True, "sync_type": "full_refresh", "sync_frequency": "24hour"}


def path(schema: dict[str, Any], action: str = "") -> str:
    return f"/external_data_schemas/{schema['id']}/{action}"


def tables(database: SourceDatabase, *names: str) -> None:
    for name in names:
        database.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY)", f"INSERT INTO {name} SELECT generate_series(1, 9)"
        )


def crash(platform: Platform, step: str, method: str, path: str, body: Any = None) -> None:
    """Make the call to an API that is killed at this step of its delivery, and start the API again."""
    platform.kill("api")
    platform.start_api(FAILPOINT=step)
    with pytest.raises(httpx2.TransportError):
        platform.client.request(method, path, json=body)
    platform.wait_killed("api")
    platform.start_api()


def wait_delivered(platform: Platform) -> None:
    """Until nothing waits for Temporal any more."""
    file = platform.environment["SYNCLINE_DATABASE_URL"].removeprefix("sqlite:///")

    def empty() -> bool:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30) as connection:
            length = connection.execute("SELECT count(*) FROM outbox").fetchone()[0]
        connection.close()
        return bool(length == 0)

    eventually(empty, "the outbox to be empty")


@pytest.mark.parametrize("step", CRASHES)
def test_an_api_killed_after_the_commit_starts_the_first_run_once(
    own_platform: Platform, database: SourceDatabase, step: str
) -> None:
    tables(database, "t")
    source = own_platform.create_source(database.inputs, [])
    schema = named(source, "t")
    crash(own_platform, step, "PATCH", path(schema), ENABLED)
    assert own_platform.schema(schema["id"])["should_sync"]
    own_platform.wait_for_jobs(source, schema)
    wait_delivered(own_platform)
    (job,) = own_platform.wait_for_jobs(source, schema)
    assert job["status"] == "Completed"
    database.assert_in_lake(own_platform, schema)


@pytest.mark.long
def test_an_api_killed_after_temporal_heard_of_a_resync_rebuilds_once(
    own_platform: Platform, database: SourceDatabase
) -> None:
    tables(database, "t")
    source = own_platform.create_source(database.inputs, [{"name": "t", **ENABLED}])
    schema = named(source, "t")
    own_platform.wait_for_jobs(source, schema)
    database.execute("DELETE FROM t WHERE id > 5")
    crash(own_platform, "outbox-fulfilled", "POST", path(schema, "resync/"))
    own_platform.wait_for_jobs(source, schema, 2)
    wait_delivered(own_platform)
    jobs = own_platform.wait_for_jobs(source, schema, 2)
    assert [job["status"] for job in jobs] == ["Completed", "Completed"]
    database.assert_in_lake(own_platform, schema)


def test_an_api_killed_while_it_deletes_leaves_nothing_behind(own_platform: Platform, database: SourceDatabase) -> None:
    tables(database, "t")
    source = own_platform.create_source(database.inputs, [{"name": "t", **ENABLED}])
    schema = named(source, "t")
    own_platform.wait_for_jobs(source, schema)
    root = own_platform.schema(schema["id"])["table"]["url_pattern"]
    assert database.store.keys(root)
    crash(own_platform, "outbox-written", "DELETE", f"/external_data_sources/{source['id']}/")
    own_platform.call("GET", path(schema), status=404)
    wait_delivered(own_platform)
    eventually(lambda: not database.store.keys(root), "the data to go")


@pytest.mark.long
def test_temporal_away_for_a_while(
    tmp_path: Path,
    metadata_templates: MetadataTemplates,
    object_store: RunningStore,
    database: SourceDatabase,
) -> None:
    """Everything that was asked for meanwhile happens when it is back, and what was taken back does not."""
    url = metadata_templates.sqlite_copy(tmp_path / "metadata.db")
    tables(database, "wanted", "repeated", "taken_back", "deleted")
    with (
        run_temporal(in_memory=False) as temporal,
        run_platform(tmp_path, url, object_store.new_url(), temporal, object_store) as platform,
    ):
        source = platform.create_source(database.inputs, [{"name": "repeated", **ENABLED}])
        schema = {name: named(source, name) for name in ("wanted", "repeated", "taken_back", "deleted")}
        platform.wait_for_jobs(source, schema["repeated"])
        temporal.kill()
        database.execute("INSERT INTO repeated VALUES (100)")
        for name in ("wanted", "taken_back", "deleted"):
            platform.call("PATCH", path(schema[name]), ENABLED)
        for _ in range(5):
            platform.call("POST", path(schema["repeated"], "reload/"))
        platform.call("PATCH", path(schema["taken_back"]), {"should_sync": False})
        platform.call("DELETE", path(schema["deleted"]), status=204)
        temporal.restart()
        wait_delivered(platform)
        platform.wait_for_jobs(source, schema["wanted"])
        jobs = platform.wait_for_jobs(source, schema["repeated"], 2)
        assert 2 <= len(jobs) <= 3, "five reloads at once are one run, and at most one more"
        for name in ("wanted", "repeated"):
            database.assert_in_lake(platform, schema[name])
        assert platform.jobs(source, schema["taken_back"]) == []
        assert platform.jobs(source, schema["deleted"]) == []


def test_two_api_processes_leave_the_schedule_as_the_last_change_wants_it(
    own_platform: Platform, operator: Operator, database: SourceDatabase
) -> None:
    tables(database, "t")
    source = own_platform.create_source(database.inputs, [{"name": "t", **ENABLED}])
    schema = named(source, "t")
    port = choose_ports(["api"])["api"]
    own_platform.start("second", "api", API_PORT=str(port))
    second = str(own_platform.client.base_url).replace(str(own_platform.api_port), str(port))
    eventually(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the second API")

    def change(turn: int) -> int:
        base = ("", second.rstrip("/"))[turn % 2]
        body = {"sync_frequency": list(HOURS)[turn % len(HOURS)]}
        return own_platform.client.patch(f"{base}{path(schema)}", json=body).status_code

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(change, range(60))) == [200] * 60
    wait_delivered(own_platform)
    stored = own_platform.schema(schema["id"])["sync_frequency"]
    assert operator.schedule(schema["id"]) == (False, [HOURS[stored]])


def answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False
