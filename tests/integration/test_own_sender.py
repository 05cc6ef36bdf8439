"""A sender of one's own, from its signed events to rows: late, doubled, out of order, changed in shape, and deleted."""

import base64
import hashlib
import json
import random
import secrets
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from tests.connectors.webhooks.signing import standard_headers
from tests.integration.test_changes import table
from tests.integration.test_webhooks import at_its_address
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, eventually
from tests.kit.servers import RunningStore

KEY = secrets.token_bytes(24)
PATHS = {"table": "kind", "record": "data", "key": "id", "order": "version", "deleted": "deleted", "event_id": "id"}


@dataclass
class Sender:
    platform: Platform
    store: RunningStore
    source: dict[str, Any]
    path: str

    @classmethod
    def of(cls, platform: Platform, store: RunningStore, tables: str, **paths: str) -> "Sender":
        schemas = [{"name": name, "should_sync": True, "sync_type": "webhook"} for name in tables.split(",")]
        payload = {"signature": "standard", "tables": tables, **paths, "schemas": schemas}
        body = {"source_type": "Webhook", "prefix": f"t{secrets.token_hex(3)}_", "payload": payload}
        source = platform.call("POST", "/external_data_sources/", body, status=201)
        address = platform.call("GET", f"/external_data_sources/{source['id']}/webhook_info/")["webhook_url"]
        secret = {"inputs": {"signing_secret": "whsec_" + base64.b64encode(KEY).decode()}}
        platform.call("POST", f"/external_data_sources/{source['id']}/update_webhook_inputs/", secret)
        # What was known of the address before is forgotten.
        time.sleep(2)
        return cls(platform, store, source, httpx2.URL(address).path)

    def send(self, event: dict[str, Any]) -> None:
        """One that is sent again has the id that it had."""
        body = json.dumps(event).encode()
        id = f"msg_{hashlib.sha256(body).hexdigest()[:12]}"
        headers = {"Content-Type": "application/json", **standard_headers(KEY, body, id, int(time.time()))}
        url = f"http://127.0.0.1:{self.platform.api_port}{self.path}"
        assert httpx2.post(url, content=body, headers=headers).status_code == 200

    def rows(self, name: str) -> list[dict[str, Any]]:
        found = table(self.platform, self.source, name)
        return [] if found is None else lake_frame(found["url_pattern"], self.store).to_dicts()


@pytest.mark.long
def test_objects_are_as_their_newest_event_says(own_platform: Platform, object_store: RunningStore) -> None:
    sender = Sender.of(at_its_address(own_platform), object_store, "customers,orders", **PATHS)
    chance = random.Random(3)  # noqa: S311
    events, expected = [], {"customers": {}, "orders": {}}
    for kind, known in expected.items():
        for id in range(40):
            for version in range(1, chance.randrange(2, 6)):
                data = {"id": id, "name": f"{kind} {id} v{version}", "price": version + 0.25, "tags": [version]}
                deleted = version == 4 and id % 3 == 0
                event = {"id": f"{kind}-{id}-{version}", "kind": kind, "version": version, "deleted": deleted}
                events.append({**event, "type": "changed", "data": {"id": id} if deleted else data})
                known[id] = None if deleted else data
    events += chance.sample(events, 60)
    chance.shuffle(events)
    for event in events:
        sender.send(event)

    def stored(name: str) -> list[dict[str, Any]]:
        return sorted(sender.rows(name), key=lambda row: row["id"])

    for name, known in expected.items():
        wanted = [
            {**row, "price": Decimal(str(row["price"])), "tags": json.dumps(row["tags"])}
            for row in known.values()
            if row
        ]
        eventually(lambda name=name, wanted=wanted: stored(name) == wanted, f"the newest {name}", 60)  # type: ignore[misc]


@pytest.mark.long
def test_events_are_rows_whatever_they_hold(own_platform: Platform, object_store: RunningStore) -> None:
    sender = Sender.of(at_its_address(own_platform), object_store, "events")
    first = {"type": "a", "n": 1, "mixed": 1}
    later = [{"type": "b", "n": 2.5, "more": "text"}, {"type": "c", "mixed": "x"}, first]
    sender.send(first)
    sender.send(first)
    eventually(lambda: len(sender.rows("events")) == 1, "the first event", 60)
    for event in later:
        sender.send(event)
    eventually(lambda: len(sender.rows("events")) == 3, "those of another shape", 60)
    found = sorted(sender.rows("events"), key=lambda row: row["type"])
    assert [(row["_event_type"], row["n"], row["mixed"], row["more"]) for row in found] == [
        ("a", Decimal(1), "1", None),
        ("b", Decimal("2.5"), None, "text"),
        ("c", None, "x", None),
    ]
