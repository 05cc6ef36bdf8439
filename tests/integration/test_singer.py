"""A Singer tap, copied by the platform in each mode: rows that come and change, types that widen, runs that fail."""

import json
import secrets
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from tests.connectors.singer.bench import record, schema
from tests.integration.test_changes import sync_all, table
from tests.integration.test_frozen import cancel
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, eventually, named
from tests.kit.servers import RunningStore

CURSOR = {"incremental_field": "at", "incremental_field_type": "timestamp"}
MODES: dict[str, dict[str, Any]] = {
    "whole": {"sync_type": "full_refresh"},
    "keyed": {"sync_type": "incremental", **CURSOR},
    "appended": {"sync_type": "append", **CURSOR},
}
PROPERTIES = {
    "id": {"type": "integer"},
    "at": {"type": "string", "format": "date-time"},
    "total": {"type": ["null", "number"]},
    "tags": {"type": "array"},
}
NAMES = [*PROPERTIES]
Row = tuple[int, int, Any, Any]


class Streams:
    """The same rows as a stream for each mode."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "streams"
        self.folder.mkdir()

    def put(self, *rows: Row) -> None:
        for name in MODES:
            records = [
                record(name, id=key, at=f"2026-01-01T00:00:{at:02}Z", total=total, tags=tags)
                for key, at, total, tags in rows
            ]
            messages = [schema(name, PROPERTIES, ("id",)), *records]
            (self.folder / f"{name}.singer").write_text("\n".join(map(json.dumps, messages)))

    def body(self, *names: str, **config: Any) -> dict[str, Any]:
        schemas = [{"name": name, "should_sync": True, "sync_frequency": "never", **MODES[name]} for name in names]
        given = {"tap": "tap-printing", "config": {"folder": str(self.folder), **config}, "schemas": schemas}
        return {"source_type": "Singer", "prefix": f"s{secrets.token_hex(3)}_", "payload": given}


def at(second: int) -> datetime:
    return datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)


def stored(platform: Platform, source: Any, mode: str, store: RunningStore) -> list[tuple[Any, ...]]:
    frame = lake_frame(table(platform, source, mode)["url_pattern"], store).select(NAMES)
    return sorted(frame.rows(), key=lambda row: row[:2])


def test_every_mode_through_the_life_of_rows(platform: Platform, object_store: RunningStore, tmp_path: Path) -> None:
    streams = Streams(tmp_path)
    streams.put((2, 2, 1.5, ["a"]), (1, 3, 12345678901234567, []), (3, 1, None, None))
    source = platform.call("POST", "/external_data_sources/", streams.body(*MODES, user="somebody"), 201)
    assert "folder" not in json.dumps(source)
    sync_all(platform, source, list(MODES))
    first = [
        (1, at(3), Decimal(12345678901234567), "[]"),
        (2, at(2), Decimal("1.5"), '["a"]'),
        (3, at(1), None, None),
    ]
    for mode in MODES:
        assert stored(platform, source, mode, object_store) == first, mode

    streams.put((2, 9, 2.5, ["b"]), (1, 3, 12345678901234567, []), (3, 1, None, None), (4, 5, 0.25, []))
    jobs = sync_all(platform, source, list(MODES))
    assert {mode: job["rows_synced"] for mode, job in jobs.items()} == {"whole": 4, "keyed": 2, "appended": 2}
    changed, new = (2, at(9), Decimal("2.5"), '["b"]'), (4, at(5), Decimal("0.25"), "[]")
    assert stored(platform, source, "whole", object_store) == [first[0], changed, first[2], new]
    assert stored(platform, source, "keyed", object_store) == [first[0], changed, first[2], new]
    assert stored(platform, source, "appended", object_store) == [*first[:2], changed, first[2], new]

    jobs = sync_all(platform, source, list(MODES))
    assert {mode: job["rows_synced"] for mode, job in jobs.items()} == {"whole": 4, "keyed": 0, "appended": 0}

    logs = platform.call("GET", f"/external_data_schemas/{named(source, 'keyed')['id']}/logs/")
    assert "The source's program said: giving keyed to ***" in json.dumps(logs)

    # A run whose tap breaks off leaves all as it was, and says why.
    (streams.folder / "act.py").write_text(
        "import sys; print(open(f\"{config['folder']}/keyed.singer\").read()); print('oops'); sys.exit(0)"
    )
    job = platform.sync(source, named(source, "keyed"))
    assert job["status"] == "Failed"
    assert "wrote what is no JSON (line 6 of its output)" in job["latest_error"]
    (streams.folder / "act.py").unlink()
    assert stored(platform, source, "keyed", object_store) == [first[0], changed, first[2], new]

    streams.put((5, 10, 1e300, []))
    sync_all(platform, source, ["keyed"])
    totals = {row[0]: row[2] for row in stored(platform, source, "keyed", object_store)}
    assert totals == {1: "12345678901234567", 2: "2.5", 3: None, 4: "0.25", 5: "1e+300"}


def test_a_run_that_is_cancelled_ends_the_tap(platform: Platform, tmp_path: Path) -> None:
    streams = Streams(tmp_path)
    streams.put((1, 1, 1, []))
    pids = tmp_path / "pids"
    (streams.folder / "act.py").write_text(
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['setsid', 'sleep', '600'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} ')\n"
        "time.sleep(600)"
    )
    source = platform.call("POST", "/external_data_sources/", streams.body("whole"), 201)
    platform.reload(named(source, "whole"))
    family = eventually(lambda: pids.exists() and pids.read_text().split()[:2], "the tap to run")
    assert cancel(platform, source, named(source, "whole"), 1)["status"] == "Cancelled"
    eventually(lambda: not any(psutil.pid_exists(int(pid)) for pid in family), "the tap to end", patience_seconds=5)


def test_what_the_form_refuses(platform: Platform, tmp_path: Path) -> None:
    streams = Streams(tmp_path)
    streams.put((1, 1, 1, []))
    body = streams.body("whole", password="wrong-one")
    refused = platform.call("POST", "/external_data_sources/", body, 400)
    assert refused["detail"] == (
        "The tap tap-printing failed with the exit status 1, after it had said: turned down: wrong password ***."
    )
    for tap, sentence in (("/bin/sh", "none of those that this installation allows: tap-printing."), ("", "missing")):
        body["payload"]["tap"] = tap
        refused = platform.call("POST", "/external_data_sources/", body, 400)
        assert refused["attr"] == "payload.tap"
        assert sentence in refused["detail"]
