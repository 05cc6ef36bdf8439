"""An API, copied by the platform in each mode: objects that come, change and go, and a worker that is killed between
its pages.
"""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.test_changes import sync_all, table
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, named
from tests.kit.servers import RunningStore
from tests.providers.server import Asked, Provider, Reply, running

CURSOR = {"incremental_field": "updated", "incremental_field_type": "timestamp"}
MODES: dict[str, dict[str, Any]] = {
    "whole": {"sync_type": "full_refresh"},
    "keyed": {"sync_type": "incremental", **CURSOR},
    "appended": {"sync_type": "append", **CURSOR},
}
PAGE = 5000
BEGIN = 1_767_225_600


class Shop:
    """Orders, the newest first, by a cursor that is the last one's id: as many APIs give them."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.orders: dict[int, dict[str, Any]] = {}
        for mode in MODES:
            provider.routes[f"/{mode}"] = self._page

    def put(self, number: int, updated: int, **values: Any) -> None:
        self.orders[number] = {"id": number, "updated": BEGIN + updated, "total": number / 4, **values}

    def create(self, platform: Platform) -> Any:
        resources = [
            {
                "name": mode,
                "path": mode,
                "primary_key": ["id"],
                "columns": {"id": "long", "updated": "unix"},
                "incremental": {"field": "updated", "param": "since", "format": "unix", "newest_first": True},
            }
            for mode in MODES
        ]
        paging = {
            "type": "cursor",
            "param": "before",
            "last_record": "[updated, id] | join(`,`, map(&to_string(@), @))",
        }
        declaration = {"defaults": {"records": "data", "paging": {**paging, "more": "more"}}, "resources": resources}
        schemas = [{"name": mode, "should_sync": True, **MODES[mode]} for mode in MODES]
        payload = {"base_url": self.provider.url, "declaration": declaration, "schemas": schemas}
        body = {"source_type": "RestApi", "prefix": f"r{secrets.token_hex(3)}_", "payload": payload}
        return platform.call("POST", "/external_data_sources/", body, status=201)

    def rows(self) -> list[dict[str, Any]]:
        return [_row(order) for order in sorted(self.orders.values(), key=lambda each: each["id"])]

    def _page(self, asked: Asked) -> Reply:
        listed = sorted(self.orders.values(), key=lambda each: (each["updated"], each["id"]), reverse=True)
        if since := asked.query.get("since"):
            listed = [each for each in listed if each["updated"] > int(since)]
        if before := asked.query.get("before"):
            edge = tuple(map(int, before.split(",")))
            listed = [each for each in listed if (each["updated"], each["id"]) < edge]
        return Reply({"data": listed[:PAGE], "more": len(listed) > PAGE})


def _row(order: dict[str, Any]) -> dict[str, Any]:
    found = {**order, "updated": datetime.fromtimestamp(order["updated"], UTC), "total": f"{order['total']:.2f}"}
    return {name: found.get(name) for name in ("id", "updated", "total", "note")}


@pytest.fixture
def shop() -> Iterator[Shop]:
    with running() as provider:
        yield Shop(provider)


def stored(platform: Platform, source: Any, mode: str, store: RunningStore) -> list[dict[str, Any]]:
    frame = lake_frame(table(platform, source, mode)["url_pattern"], store).sort("id", "updated")
    rows = [{**row, "total": f"{row['total']:.2f}"} for row in frame.to_dicts()]
    return [{name: row.get(name) for name in ("id", "updated", "total", "note")} for row in rows]


def test_every_mode_through_the_life_of_objects(platform: Platform, shop: Shop, object_store: RunningStore) -> None:
    for number in range(1, 31):
        shop.put(number, updated=number)
    source = shop.create(platform)
    for mode in MODES:
        (job,) = platform.wait_for_jobs(source, named(source, mode))
        assert (job["status"], job["rows_synced"]) == ("Completed", 30), (mode, job["latest_error"])
        assert stored(platform, source, mode, object_store) == shop.rows(), mode

    before = [*shop.rows()]
    shop.put(7, updated=100, note="changed")
    shop.put(31, updated=100)
    del shop.orders[3]
    jobs = sync_all(platform, source, list(MODES))
    assert {mode: job["rows_synced"] for mode, job in jobs.items()} == {"whole": 30, "keyed": 2, "appended": 2}
    assert stored(platform, source, "whole", object_store) == shop.rows()
    gone = [row for row in before if row["id"] == 3]
    kept = sorted([*shop.rows(), *gone], key=lambda row: row["id"])
    assert stored(platform, source, "keyed", object_store) == kept
    old = [row for row in before if row["id"] == 7]
    assert stored(platform, source, "appended", object_store) == sorted(
        [*kept, *old], key=lambda row: (row["id"], row["updated"])
    )

    jobs = sync_all(platform, source, list(MODES))
    assert {mode: job["rows_synced"] for mode, job in jobs.items()} == {"whole": 30, "keyed": 0, "appended": 0}


@pytest.mark.long
def test_a_worker_killed_between_pages_goes_on_behind_its_last_batch(
    idle_platform: Platform, shop: Shop, object_store: RunningStore
) -> None:
    """Twice; and what was committed is not asked for again."""
    platform = idle_platform
    for number in range(1, 120_001):
        shop.put(number, updated=number // 7)
    deadly = {"whole": 13, "keyed": 16, "appended": 22}
    """At which of its requests the worker dies."""
    count = dict.fromkeys(MODES, 0)

    def deadly_requests(asked: Asked) -> None:
        mode = asked.path.removeprefix("/")
        count[mode] += 1
        if count[mode] == deadly[mode]:
            platform.kill()
            platform.start_worker()

    shop.provider.before = deadly_requests
    platform.start_worker()
    source = shop.create(platform)
    for mode in MODES:
        (job,) = platform.wait_for_jobs(source, named(source, mode), patience_seconds=240)
        assert (job["status"], job["rows_synced"]) == ("Completed", 120_000), (mode, job["latest_error"])
        assert stored(platform, source, mode, object_store) == shop.rows(), mode
    # 24 pages for each table; a kill costs the pages of a batch, of 10 pages.
    assert all(24 < asked <= 24 + 3 * 10 for asked in count.values()), count
