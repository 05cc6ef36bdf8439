"""A source or a store that neither answers nor hangs up: a run that is cancelled does not wait for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.conftest import SourceDatabase
from tests.integration.test_control import FULL, MANY, path, reading, sources_of, with_table
from tests.kit.platform import Platform, eventually, run_platform
from tests.kit.servers import RunningStore, RunningTemporal, run_object_store, run_postgres


@contextmanager
def frozen(server: int) -> Iterator[None]:
    """A server with all its processes."""
    processes = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def cancel(platform: Platform, source: dict[str, Any], schema: dict[str, Any], runs: int) -> dict[str, Any]:
    asked = time.monotonic()
    platform.call("POST", path(schema, "cancel/"))
    jobs = platform.wait_for_jobs(source, schema, runs)
    assert time.monotonic() - asked < 5
    return jobs[0]


@pytest.mark.long
def test_a_source_that_is_frozen(
    temporal: RunningTemporal, object_store: RunningStore, sqlite_metadata_url: str, lake_url: str, tmp_path: Path
) -> None:
    with (
        run_postgres(18) as server,
        run_platform(tmp_path, sqlite_metadata_url, lake_url, temporal, object_store) as platform,
    ):
        database = SourceDatabase(server, server.create_database(), object_store)
        sources_of(database, MANY)
        source, schema = with_table(platform, database, **FULL)
        reading(platform, source, schema)
        with frozen(server.pid):
            assert cancel(platform, source, schema, 1)["status"] == "Cancelled"
        assert platform.sync(source, schema)["status"] == "Completed"


@pytest.mark.long
def test_a_store_that_is_frozen_before_the_run_has_planned(
    temporal: RunningTemporal, database: SourceDatabase, sqlite_metadata_url: str, tmp_path: Path
) -> None:
    with (
        run_object_store() as store,
        run_platform(tmp_path, sqlite_metadata_url, store.new_url(), temporal, store) as platform,
    ):
        own = SourceDatabase(database.server, database.name, store)
        sources_of(own)
        source, schema = with_table(platform, own, **FULL)
        platform.wait_for_jobs(source, schema)
        with frozen(store.pid):
            platform.reload(schema)
            eventually(lambda: len(platform.jobs(source, schema)) == 2, "the second run")
            time.sleep(2)
            assert cancel(platform, source, schema, 2)["status"] == "Cancelled"
        assert platform.sync(source, schema)["status"] == "Completed"
        own.assert_in_lake(platform, schema)
