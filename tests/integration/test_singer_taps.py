"""Taps that others have written, against a real database and files: ``make taps`` installs them."""

import json
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from connectors.taps import AllowedTap
from tests.connectors.singer.programs import setting
from tests.integration.conftest import SourceDatabase
from tests.integration.test_changes import sync_all, table
from tests.kit.compare import assert_same, counted, lake_rows, source_rows
from tests.kit.platform import Platform, eventually, named, run_platform
from tests.kit.servers import RunningStore, RunningTemporal

pytestmark = pytest.mark.long
PROGRAMS = Path(sys.prefix) / "taps" / "bin"
CURSOR = {"incremental_field": "at", "incremental_field_type": "timestamp"}
MODES: dict[str, dict[str, Any]] = {
    "whole": {"sync_type": "full_refresh"},
    "keyed": {"sync_type": "incremental", **CURSOR},
    "appended": {"sync_type": "append", **CURSOR},
}
COLUMNS = ["id", "price", "large", "at", "day", "note", "fine", "doc", "tags"]
VALUES = """n, n * 1.25, 9007199254740993 + n, timestamptz '2026-01-01 00:00:00.123456+00' + n * interval '1 second',
    date '2026-01-01' + n % 100, 'n' || n || ' ''ü"' || chr(10), n % 2 = 0, jsonb_build_object('n', n, 'f', 1.50),
    array['a', null, 'n' || n]"""
ROWS = 40_000


@pytest.fixture
def platform(
    temporal: RunningTemporal, object_store: RunningStore, sqlite_metadata_url: str, lake_url: str, tmp_path: Path
) -> Iterator[Platform]:
    names = ("tap-postgres", "tap-jsonl")
    assert all((PROGRAMS / name).exists() for name in names), "make taps"
    taps = setting(*(AllowedTap(name, str(PROGRAMS / name)) for name in names))
    with run_platform(tmp_path, sqlite_metadata_url, lake_url, temporal, object_store, SINGER_TAPS=taps) as running:
        yield running


def create(platform: Platform, tap: str, config: dict[str, Any], schemas: dict[str, dict[str, Any]]) -> Any:
    wanted = [{"name": name, "should_sync": True, "sync_frequency": "never", **each} for name, each in schemas.items()]
    payload = {"tap": tap, "config": config, "schemas": wanted}
    body = {"source_type": "Singer", "prefix": f"r{secrets.token_hex(3)}_", "payload": payload}
    return platform.call("POST", "/external_data_sources/", body, 201)


def of_database(platform: Platform, database: SourceDatabase, rows: int) -> Any:
    for name in MODES:
        database.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, price numeric(12,2), large bigint, at timestamptz, day date, "
            "note text, fine boolean, doc jsonb, tags text[])",
            f"INSERT INTO {name} SELECT {VALUES} FROM generate_series(1, {rows}) n",
            f"INSERT INTO {name} (id, at) VALUES (0, '2020-01-01')",
            f"CREATE VIEW {name}_as_stored AS SELECT id, price, large, at, day, note, fine, "
            f"replace(doc::text, ' ', '') AS doc, replace(to_json(tags)::text, ', ', ',') AS tags FROM {name}",
        )
    login = {name: database.inputs[name] for name in ("host", "port", "database", "user", "password")}
    config = {**login, "filter_schemas": ["public"]}
    return create(platform, "tap-postgres", config, {f"public-{name}": each for name, each in MODES.items()})


def in_source(database: SourceDatabase, name: str) -> Counter[tuple[Any, ...]]:
    return source_rows(database.dsn, f"{name}_as_stored")


def in_lake(platform: Platform, source: Any, name: str, store: RunningStore) -> Counter[tuple[Any, ...]]:
    return lake_rows(table(platform, source, f"public-{name}")["url_pattern"], store, COLUMNS)


def readers(platform: Platform) -> dict[int, list[psutil.Process]]:
    """Processes that read by a tap, each with the keeper and what runs below it."""
    found: dict[int, list[psutil.Process]] = {}
    for process in psutil.Process(platform.pid()).children(recursive=True):
        try:
            command = process.cmdline()
            if "--catalog" in command and any(each.endswith("keeper.py") for each in command):
                found[process.ppid()] = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_database_in_each_mode(platform: Platform, database: SourceDatabase) -> None:
    source = of_database(platform, database, 500)
    sync_all(platform, source, [f"public-{name}" for name in MODES])
    for name in MODES:
        assert_same(in_source(database, name), in_lake(platform, source, name, database.store))

    before = in_source(database, "appended")
    for name in MODES:
        database.execute(
            f"UPDATE {name} SET note = 'changed', price = NULL, at = at + interval '1 day' WHERE id % 50 = 1",
            f"INSERT INTO {name} SELECT {VALUES} FROM generate_series(501, 600) n",
        )
    jobs = sync_all(platform, source, [f"public-{name}" for name in MODES])
    assert {name: job["rows_synced"] for name, job in jobs.items()} == {
        "public-whole": 601,
        "public-keyed": 110,
        "public-appended": 110,
    }
    for name in ("whole", "keyed"):
        assert_same(in_source(database, name), in_lake(platform, source, name, database.store))
    every = before | in_source(database, "appended")
    assert_same(every, in_lake(platform, source, "appended", database.store))

    jobs = sync_all(platform, source, ["public-keyed", "public-appended"])
    assert [job["rows_synced"] for job in jobs.values()] == [0, 0]


def test_readers_that_are_killed_in_the_middle(platform: Platform, database: SourceDatabase) -> None:
    """In the first load and when it goes on: nothing of a tap outlives its reader, and no row is lost or doubled."""
    source = of_database(platform, database, ROWS)
    names = [f"public-{name}" for name in MODES]
    killed: list[list[psutil.Process]] = []

    def kill_some(count: int) -> None:
        for _ in range(count):
            found = eventually(lambda: readers(platform), "a tap to run")
            pid, below = next(iter(found.items()))
            os.kill(pid, signal.SIGKILL)
            killed.append(below)
            eventually(lambda: not any(each.is_running() for each in killed[-1]), "the tap to end", patience_seconds=5)

    for name in names:
        platform.reload(named(source, name))
    kill_some(3)
    for name in names:
        (job,) = platform.wait_for_jobs(source, named(source, name))
        assert (job["status"], job["rows_synced"]) == ("Completed", ROWS + 1), job["latest_error"]
    for name in MODES:
        assert_same(in_source(database, name), in_lake(platform, source, name, database.store))

    before = in_source(database, "appended")
    for name in MODES:
        database.execute(f"UPDATE {name} SET note = 'again', at = at + interval '1 day' WHERE id % 2 = 1")
    for name in names:
        platform.reload(named(source, name))
    kill_some(2)
    for name in names:
        job = platform.wait_for_jobs(source, named(source, name), 2)[0]
        assert job["status"] == "Completed", job["latest_error"]
    for name in ("whole", "keyed"):
        assert_same(in_source(database, name), in_lake(platform, source, name, database.store))
    assert_same(before | in_source(database, "appended"), in_lake(platform, source, "appended", database.store))


def test_files(platform: Platform, object_store: RunningStore, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    rows = [{"id": n, "name": f"n {n} ü", "price": n / 4, "tags": [n, None]} for n in range(1, 400)]
    for number in range(2):
        lines = [json.dumps(row) for row in rows[number::2]]
        (folder / f"{number}.jsonl").write_text("\n".join(lines))
    config = {"path": f"{folder}/*.jsonl", "primary_keys": ["id"], "stream_name": "orders"}
    source = create(platform, "tap-jsonl", config, {"orders": {"sync_type": "full_refresh"}})
    job = platform.sync(source, named(source, "orders"))
    assert job["status"] == "Completed", job["latest_error"]
    url = table(platform, source, "orders")["url_pattern"]
    found = lake_rows(url, object_store, ["id", "name", "price", "tags"])
    assert_same(
        counted((*list(row.values())[:3], json.dumps(row["tags"], separators=(",", ":"))) for row in rows), found
    )
