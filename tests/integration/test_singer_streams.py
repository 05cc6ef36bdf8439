"""The streams by which the Singer SDK tests targets, copied by the platform: ``make taps`` brings them."""

import json
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.singer.errors import BadTapError
from tests.connectors.singer.bench import Bench
from tests.integration.test_changes import sync_all, table
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform
from tests.kit.servers import RunningStore

pytestmark = pytest.mark.long
TAPS = Path(sys.prefix) / "taps"
REFUSED = {
    "record_before_schema": "gave a record of record_before_schema before its schema",
    "record_missing_key_property": "without a value for 'id', a property of its key",
}
TOGETHER = ("user_location_upsert_data", "no_primary_keys_append", "invalid_schema")
"""Files that go on from others, and one that has nothing to copy."""


def files() -> dict[str, Path]:
    found = {
        path.stem: path for path in TAPS.glob("lib/*/site-packages/singer_sdk/testing/target_test_streams/*.singer")
    }
    assert len(found) >= 20, "make taps"
    return found


def messages(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines() if line]


def expected(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Of each stream its rows: of those with one key the last, with all columns that any of its schemas has."""
    told = messages(path)
    found: dict[str, list[dict[str, Any]]] = {}
    for stream in dict.fromkeys(each["stream"] for each in told if each["type"] == "SCHEMA"):
        schemas = [each for each in told if each["type"] == "SCHEMA" and each["stream"] == stream]
        names = [name for each in schemas for name in each["schema"]["properties"]]
        key = schemas[0].get("key_properties") or []
        rows: dict[Any, dict[str, Any]] = {}
        for number, each in enumerate(told):
            if each["type"] == "RECORD" and each["stream"] == stream:
                row = {name: as_stored(each["record"].get(name)) for name in names}
                rows[tuple(row[name] for name in key) or number] = row
        found[stream] = list(rows.values())
    return found


def as_stored(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return value


def create(platform: Platform, folder: Path, schemas: dict[str, dict[str, Any]], prefix: str) -> Any:
    wanted = [{"name": name, "should_sync": True, "sync_frequency": "never", **each} for name, each in schemas.items()]
    payload = {"tap": "tap-printing", "config": {"folder": str(folder)}, "schemas": wanted}
    body = {"source_type": "Singer", "prefix": prefix, "payload": payload}
    return platform.call("POST", "/external_data_sources/", body, 201)


def stored(platform: Platform, source: Any, name: str, store: RunningStore) -> list[dict[str, Any]]:
    return lake_frame(table(platform, source, name)["url_pattern"], store).to_dicts()


def by_text(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(sorted(row.items())))


def test_each_stream_becomes_a_table(platform: Platform, object_store: RunningStore, tmp_path: Path) -> None:
    wanted: dict[str, list[dict[str, Any]]] = {}
    for name, path in files().items():
        if name in REFUSED or name in TOGETHER:
            continue
        shutil.copy(path, tmp_path)
        rows = expected(path)
        wanted |= rows if len(rows) > 1 else {name: next(iter(rows.values()))}
    full = {"sync_type": "full_refresh"}
    source = create(platform, tmp_path, dict.fromkeys(wanted, full), "sdk_")
    sync_all(platform, source, list(wanted))
    assert len(wanted) >= 20
    for name, rows in wanted.items():
        assert by_text(stored(platform, source, name, object_store)) == by_text(rows), name
    assert stored(platform, source, "duplicate_records", object_store) == [
        {"id": 2, "metric": 20},
        {"id": 1, "metric": 100},
    ]


def test_rows_that_go_on_from_others(platform: Platform, object_store: RunningStore, tmp_path: Path) -> None:
    """By key, and appended: each file is all that the tap has to give since the one before."""
    by_id = {"incremental_field": "id", "incremental_field_type": "integer"}
    users = ("test_users", "test_locations", "test_user_in_location")
    schemas = {name: {"sync_type": "incremental", **by_id} for name in users}
    schemas["no_primary_keys"] = {"sync_type": "append", **by_id}
    for name in ("user_location_data", "no_primary_keys"):
        shutil.copy(files()[name], tmp_path)
    (tmp_path / "act.py").write_text(
        "for entry in given.catalog['streams']:\n"
        "    facts = known(entry, [])\n"
        "    if facts.get('selected'): print(open(f\"{config['folder']}/{facts['file']}\").read())"
    )
    source = create(platform, tmp_path, schemas, "sdk2_")
    sync_all(platform, source, list(schemas))
    before = expected(files()["user_location_data"])
    after = expected(files()["user_location_upsert_data"])
    for name in users:
        assert by_text(stored(platform, source, name, object_store)) == by_text(before[name]), name

    for name, later in (
        ("user_location_data", "user_location_upsert_data"),
        ("no_primary_keys", "no_primary_keys_append"),
    ):
        shutil.copy(files()[later], tmp_path / f"{name}.singer")
    sync_all(platform, source, list(schemas))
    for name in users:
        kept = {row["id"]: row for row in before[name]} | {row["id"]: row for row in after[name]}
        assert by_text(stored(platform, source, name, object_store)) == by_text(list(kept.values())), name
    metrics = sorted(row["metric"] for row in stored(platform, source, "no_primary_keys", object_store))
    assert metrics == [11, 22, 33, 101, 202, 303, 404, 505]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_stream(tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path)
    shutil.copy(files()[name], bench.folder)
    with pytest.raises(BadTapError, match=REFUSED[name]):
        bench.read(name)


def test_a_stream_without_columns(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    shutil.copy(files()["invalid_schema"], bench.folder)
    assert bench.read("invalid_schema").table.shape == (0, 0)
