"""A SQLite file, copied by the platform in each mode while its loose types move, and queried where it lies."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_changes import sync_all, table
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, named, run_platform
from tests.kit.servers import RunningStore, RunningTemporal

CURSOR = {"incremental_field": "at", "incremental_field_type": "timestamp"}
MODES: dict[str, dict[str, Any]] = {
    "whole": {"sync_type": "full_refresh"},
    "keyed": {"sync_type": "incremental", **CURSOR},
    "appended": {"sync_type": "append", **CURSOR},
}
NAMES = ["id", "n", "price", "note", "at", "body"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "sources"
    folder.mkdir()
    return folder / "shop.db"


@pytest.fixture
def platform(
    database: Path,
    temporal: RunningTemporal,
    object_store: RunningStore,
    sqlite_metadata_url: str,
    lake_url: str,
    tmp_path: Path,
) -> Iterator[Platform]:
    """Its sources may be files of the database's folder."""
    folders = str(database.parent)
    with run_platform(
        tmp_path, sqlite_metadata_url, lake_url, temporal, object_store, SOURCE_FOLDERS=folders
    ) as running:
        yield running


def write(database: Path, *statements: str) -> None:
    """Each statement for the table of every mode."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            for name in MODES:
                connection.execute(statement.replace("{t}", name))


def create_source(platform: Platform, path: Path, status: int = 201, **more: Any) -> Any:
    schemas = [{"name": name, "should_sync": True, **settings} for name, settings in MODES.items()]
    payload = {"path": str(path), **({} if more else {"schemas": schemas})}
    body = {"source_type": "SQLite", "prefix": "lite_", "payload": payload, **more}
    return platform.call("POST", "/external_data_sources/", body, status)


def test_every_mode_while_types_move(platform: Platform, database: Path, object_store: RunningStore) -> None:
    def lake(source: Any, name: str) -> list[tuple[Any, ...]]:
        frame = lake_frame(table(platform, source, name)["url_pattern"], object_store)
        assert frame.columns == NAMES
        return sorted(frame.rows(), key=lambda row: (row[0], row[4] or datetime.min))  # noqa: DTZ901

    def at(second: int) -> datetime:
        return datetime(2026, 1, 1, 10, 0, second)  # noqa: DTZ001

    write(
        database,
        "CREATE TABLE {t} (id INTEGER PRIMARY KEY, n INT, price DECIMAL(10,2), note TEXT, at DATETIME, body BLOB)",
        "INSERT INTO {t} VALUES (1, 9007199254740993, 12.5, 'ünï 🐘', '2026-01-01 10:00:01', x'00ff')",
        "INSERT INTO {t} VALUES (2, NULL, 3, 'nul' || char(0), '2026-01-01T10:00:02.000', 'text')",
        "INSERT INTO {t} VALUES (3, 7, NULL, x'01', NULL, NULL)",
    )
    source = create_source(platform, database)
    first = [
        (1, 9007199254740993, 12.5, "ünï 🐘", at(1), b"\x00\xff"),
        (2, None, 3.0, "nul\0", at(2), b"text"),
        (3, 7, None, "X'01'", None, None),
    ]
    for name in MODES:
        (job,) = platform.wait_for_jobs(source, named(source, name))
        assert (job["status"], job["rows_synced"]) == ("Completed", 3), job["latest_error"]
        assert lake(source, name) == first, name

    write(
        database,
        "UPDATE {t} SET note = 'changed', at = '2026-01-01 10:00:03.0' WHERE id = 1",
        "INSERT INTO {t} VALUES (4, 8, 0.1, 'new', '2026-01-01 10:00:04', NULL)",
    )
    sync_all(platform, source, MODES)
    changed = (1, 9007199254740993, 12.5, "changed", at(3), b"\x00\xff")
    new = (4, 8, 0.1, "new", at(4), None)
    assert lake(source, "whole") == lake(source, "keyed") == [changed, *first[1:], new]
    assert lake(source, "appended") == [first[0], changed, *first[1:], new]

    write(database, "INSERT INTO {t} VALUES (5, 'many', 'dear', 'odd', '2026-01-01 10:00:05', 5)")
    sync_all(platform, source, MODES)
    write(database, "INSERT INTO {t} VALUES (6, 10, 1.5, 'plain', '2026-01-01 10:00:06', x'')")
    sync_all(platform, source, MODES)

    def as_text(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return (
            row[0],
            *(None if each is None else f"{each:g}" if row[2] is each else str(each) for each in row[1:3]),
            *row[3:],
        )

    odd, plain = (5, "many", "dear", "odd", at(5), b"5"), (6, "10", "1.5", "plain", at(6), b"")
    latest = [*map(as_text, [changed, *first[1:], new]), odd, plain]
    assert lake(source, "whole") == lake(source, "keyed") == latest
    assert lake(source, "appended") == [as_text(first[0]), *latest]
    assert {path.name for path in database.parent.iterdir()} == {"shop.db"}


def test_a_file_is_queried_where_it_lies(platform: Platform, database: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE, n integer)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, f"Name {n % 3}", n) for n in range(500)])
        connection.commit()
        source = create_source(platform, database, access_method="direct")
        assert source["engine"] == "sqlite"
        query = "SELECT count(*), max(id), min(n) FROM lite_sqlite_orders WHERE v = 'Name 1' AND n >= 100"
        answer = platform.call("POST", "/query/", {"query": query})["results"]
        assert answer == [[134, 499, 100]]

    outside = tmp_path / "outside.db"
    with closing(sqlite3.connect(outside)) as connection:
        connection.execute("CREATE TABLE t (a)")
    (database.parent / "link.db").symlink_to(outside)
    for path in (outside, database.parent / "link.db", Path("/etc/passwd")):
        refused = create_source(platform, path, 400, access_method="direct", prefix="other_")
        assert refused["attr"] == "payload.path"
        assert "leads out of the folders" in refused["detail"]
