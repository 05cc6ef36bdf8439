"""Where sources may lead is asked by each process that connects to one: a host that is let through no longer is reached
by no run and no query.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.mariadb import MariaDbServer
from tests.connectors.mysql.source import Source
from tests.integration.conftest import SourceDatabase
from tests.kit.compare import assert_same, counted, lake_rows
from tests.kit.lines import Line, line_to
from tests.kit.platform import Platform, named, run_platform
from tests.kit.servers import RunningStore, RunningTemporal

FULL = {"name": "t", "should_sync": True, "sync_type": "full_refresh"}
ROWS = [(1, "a"), (2, "b")]


@pytest.fixture
def lines(mariadb: MariaDbServer, database: SourceDatabase) -> Iterator[dict[str, Line]]:
    """To a server of each kind."""
    with (
        line_to(mariadb.host, mariadb.port) as to_mariadb,
        line_to(database.inputs["host"], database.inputs["port"]) as to_postgres,
    ):
        yield {"MySQL": to_mariadb, "Postgres": to_postgres}


@pytest.fixture
def platform(
    lines: dict[str, Line],
    temporal: RunningTemporal,
    object_store: RunningStore,
    sqlite_metadata_url: str,
    lake_url: str,
    tmp_path: Path,
) -> Iterator[Platform]:
    """With the policy of production, which lets through just the lines."""
    allowed = ",".join(f"127.0.0.1:{line.port}" for line in lines.values())
    with run_platform(
        tmp_path,
        sqlite_metadata_url,
        lake_url,
        temporal,
        object_store,
        worker=False,
        OUTBOUND="public",
        OUTBOUND_ALLOW=allowed,
    ) as running:
        yield running


@pytest.mark.long
def test_a_host_that_is_let_through_no_longer(
    platform: Platform,
    lines: dict[str, Line],
    mariadb: MariaDbServer,
    database: SourceDatabase,
    object_store: RunningStore,
) -> None:
    source = Source(mariadb, mariadb.create_database())
    statements = ("CREATE TABLE t (id int PRIMARY KEY, v varchar(9))", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    source.execute(*statements)
    database.execute(*statements)
    inputs = {
        "MySQL": source.inputs(port=lines["MySQL"].port),
        "Postgres": {**database.inputs, "port": lines["Postgres"].port},
    }
    copied: dict[str, Any] = {}
    for kind, payload in inputs.items():
        body = {"source_type": kind, "prefix": "copied_", "payload": {**payload, "schemas": [FULL]}}
        copied[kind] = platform.call("POST", "/external_data_sources/", body, 201)
        direct = {"source_type": kind, "prefix": "direct_", "access_method": "direct", "payload": payload}
        platform.call("POST", "/external_data_sources/", direct, 201)

    def ask(kind: str, status: int) -> Any:
        query = f"SELECT id, v FROM direct_{kind.lower()}_t ORDER BY id"
        return platform.call("POST", "/query/", {"query": query}, status)

    for kind in inputs:
        assert ask(kind, 200)["results"] == [list(row) for row in ROWS]
    platform.kill("api")
    platform.start_api(OUTBOUND_ALLOW="")
    platform.start_worker(OUTBOUND_ALLOW="")
    taken = {kind: line.taken for kind, line in lines.items()}
    for kind, made in copied.items():
        (job,) = platform.wait_for_jobs(made, named(made, "t"))
        assert (job["status"], job["rows_synced"]) == ("Failed", 0)
        assert "The host 127.0.0.1 leads to a loopback address" in job["latest_error"]
        assert "leads to a loopback address" in ask(kind, 400)["detail"]
    assert {kind: line.taken for kind, line in lines.items()} == taken
    platform.kill()
    platform.start_worker()
    for made in copied.values():
        job = platform.sync(made, named(made, "t"))
        assert job["status"] == "Completed", job["latest_error"]
        root = platform.schema(named(made, "t")["id"])["table"]["url_pattern"]
        assert_same(counted(ROWS), lake_rows(root, object_store))
    mariadb.drop_database(source.database)
