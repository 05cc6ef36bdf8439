"""A million objects of an API, while all that can happen does: workers are killed, the API is away for a minute and
wants a rest for another while; then ten thousand objects change.
"""

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl
import psutil
import pytest

from tests.integration.test_changes import sync_all, table
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, named
from tests.kit.servers import RunningStore
from tests.providers.server import Asked, Fault, Provider, Reply, running

COUNT, PAGE, CHANGES = 1_000_000, 5_000, 10_000
BATCH_PAGES = 10
"""What a batch has of them, and a kill may cost."""
CURSOR = {"incremental_field": "updated", "incremental_field_type": "timestamp"}
MODES: dict[str, dict[str, Any]] = {
    "whole": {"sync_type": "full_refresh"},
    "keyed": {"sync_type": "incremental", **CURSOR},
}
BEGIN, LATER = 1_767_225_600, 1_777_000_000
KILLS = {("whole", 33), ("whole", 121), ("keyed", 77), ("keyed", 164)}
"""At which requests for which table the worker dies."""
AWAY, AWAY_SECONDS = ("whole", 90), 60.0
LIMITED, LIMITED_SECONDS = ("keyed", 120), 20.0
MOST_BYTES = 2**28
COLUMNS = {
    "id": pl.Int64,
    "updated": pl.Int64,
    "total": pl.Float64,
    "name": pl.String,
    "tags": pl.String,
    "paid": pl.Boolean,
    "note": pl.String,
}
SQL = "id, epoch(updated)::BIGINT AS updated, total::DOUBLE AS total, name, tags, paid, note"


def order(number: int, updated: int, note: str | None = None) -> dict[str, Any]:
    return {
        "id": number,
        "updated": updated,
        "total": number / 4,
        "name": f"order {number} é",
        "tags": ["a", number % 3],
        "paid": number % 2 == 0,
        "note": note,
    }


@dataclass
class Shop:
    """Orders by their number, made when they are asked for; those that have changed are known beside."""

    provider: Provider
    count: int = COUNT
    changed: dict[int, int] = field(default_factory=dict)
    """When, by the number."""
    asked: Counter[str] = field(default_factory=Counter)
    limited_until: float = 0.0

    def __post_init__(self) -> None:
        for mode in MODES:
            self.provider.routes[f"/{mode}"] = self._page
        self.provider.plan = self._fault

    def order(self, number: int) -> dict[str, Any]:
        if (at := self.changed.get(number)) is not None:
            return order(number, at, f"changed {number}")
        return order(number, BEGIN + number // 7)

    def frame(self) -> pl.DataFrame:
        """All there are."""
        rows = (self.order(number) for number in range(1, self.count + 1))
        found = [{**row, "tags": json.dumps(row["tags"], separators=(",", ":"))} for row in rows]
        return pl.DataFrame(found, COLUMNS)

    def create(self, platform: Platform) -> Any:
        resources = [
            {
                "name": mode,
                "path": mode,
                "primary_key": ["id"],
                "columns": {"id": "long", "updated": "unix"},
                "incremental": {"field": "updated", "param": "since", "format": "unix"},
            }
            for mode in MODES
        ]
        paging = {"type": "cursor", "param": "after", "last_record": "id", "more": "more"}
        declaration = {"defaults": {"records": "data", "paging": paging}, "resources": resources}
        schemas = [{"name": mode, "should_sync": True, **MODES[mode]} for mode in MODES]
        payload = {"base_url": self.provider.url, "declaration": declaration, "schemas": schemas}
        body = {"source_type": "RestApi", "prefix": f"m{secrets.token_hex(3)}_", "payload": payload}
        return platform.call("POST", "/external_data_sources/", body, status=201)

    def _page(self, asked: Asked) -> Reply:
        after = int(asked.query.get("after", 0))
        if since := asked.query.get("since"):
            numbers = sorted(number for number, at in self.changed.items() if number > after and at > int(since))
            more = len(numbers) > PAGE
        else:
            numbers = list(range(after + 1, min(after + PAGE, self.count) + 1))
            more = after + PAGE < self.count
        return Reply({"data": [self.order(number) for number in numbers[:PAGE]], "more": more})

    def _fault(self, number: int, asked: Asked) -> Fault | None:
        if time.monotonic() < self.limited_until:
            return Reply({"message": "slow down"}, 429, {"Retry-After": "5"})
        return None


class Peak(threading.Thread):
    """The most memory that a process below the worker had, in bytes."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(daemon=True)
        self._platform = platform
        self._over = threading.Event()
        self.size_bytes = 0

    def run(self) -> None:
        while not self._over.wait(0.1):
            with suppress(psutil.Error, KeyError):
                for child in psutil.Process(self._platform.pid()).children(recursive=True):
                    with suppress(psutil.Error):
                        self.size_bytes = max(self.size_bytes, child.memory_full_info().uss)

    def stop(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def peak_of(platform: Platform) -> Iterator[Peak]:
    found = Peak(platform)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def differences(platform: Platform, source: Any, mode: str, store: RunningStore, shop: Shop) -> list[Any]:
    """Rows that only one of both has."""
    stored, expected = lake_frame(table(platform, source, mode)["url_pattern"], store), shop.frame()
    if "note" not in stored.columns:
        stored = stored.with_columns(pl.lit(None, pl.String).alias("note"))
    with duckdb.connect() as connection:
        connection.register("stored", stored.to_arrow())
        connection.register("expected", expected.to_arrow())
        mine, theirs = f"SELECT {SQL} FROM stored", f"SELECT {', '.join(COLUMNS)} FROM expected"
        found = connection.execute(
            f"(({mine}) EXCEPT ALL ({theirs})) UNION ALL (({theirs}) EXCEPT ALL ({mine})) LIMIT 10"
        )
        return found.fetchall()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_million_objects_whatever_happens(idle_platform: Platform, object_store: RunningStore) -> None:
    platform = idle_platform
    with running() as provider, peak_of(platform) as peak:
        shop = Shop(provider)

        def happen(asked: Asked) -> None:
            mode = asked.path.removeprefix("/")
            shop.asked[mode] += 1
            now = (mode, shop.asked[mode])
            if now in KILLS:
                platform.kill()
                platform.start_worker()
            if now == AWAY:
                provider.leave()
                threading.Timer(AWAY_SECONDS, provider.listen).start()
            if now == LIMITED:
                shop.limited_until = time.monotonic() + LIMITED_SECONDS

        provider.before = happen
        platform.start_worker()
        began = time.monotonic()
        source = shop.create(platform)
        for mode in MODES:
            (job,) = platform.wait_for_jobs(source, named(source, mode), patience_seconds=1200)
            assert (job["status"], job["rows_synced"]) == ("Completed", COUNT), (mode, job["latest_error"])
            assert differences(platform, source, mode, object_store, shop) == [], mode
        seconds = time.monotonic() - began
        pages, costs = COUNT // PAGE, len(KILLS) * BATCH_PAGES
        # Those that the API refused are beside those that a kill cost.
        assert all(pages <= asked <= pages + costs + 20 for asked in shop.asked.values()), shop.asked
        print(f"loaded in {seconds:.0f} s, with {dict(shop.asked)} requests")

        for number in range(1, COUNT, COUNT // (CHANGES - 100)):
            shop.changed[number] = LATER + number
        for _ in range(100):
            shop.count += 1
            shop.changed[shop.count] = LATER + shop.count
        shop.asked.clear()
        provider.before = lambda asked: shop.asked.update([asked.path.removeprefix("/")])
        began = time.monotonic()
        jobs = sync_all(platform, source, ["keyed"])
        print(f"changes in {time.monotonic() - began:.0f} s, {peak.size_bytes / 2**20:.0f} MB at the most")
        assert jobs["keyed"]["rows_synced"] == len(shop.changed)
        assert differences(platform, source, "keyed", object_store, shop) == []
        assert shop.asked["keyed"] <= len(shop.changed) // PAGE + 2
        assert peak.size_bytes < MOST_BYTES
