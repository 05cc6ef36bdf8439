"""A sender of one's own, from the form of the source to the inbox, by the calls that its owner makes."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.ingress.conftest import Served, serving
from tests.connectors.webhooks.signing import standard_headers
from tests.kit.hooks import events_of
from tests.kit.servers import RunningStore

PUBLIC = "https://syncline.example.com"
KEY = b"a secret of the sender's"


@pytest.fixture
def reachable(sqlite_metadata_url: str, object_store: RunningStore) -> Iterator[Served]:
    with serving(sqlite_metadata_url, object_store.new_url(), object_store, public_url=PUBLIC) as served:
        served.client.headers["Authorization"] = f"Bearer {served.key}"
        yield served


def test_from_the_form_to_the_inbox(reachable: Served) -> None:
    def call(method: str, path: str, **body: object) -> dict[str, Any]:
        answer = reachable.client.request(method, f"/api/projects/1/{path}", json=body or None)
        assert answer.status_code in (200, 201), answer.text
        found: dict[str, Any] = answer.json()
        return found

    inputs = {"tables": "customers, orders", "table": "data.object", "record": "data", "key": "id", "event_id": "id"}
    source = call("POST", "external_data_sources/", source_type="Webhook", payload={**inputs, "schemas": []})
    assert source["supports_webhooks"]
    ids = {schema["name"]: schema["id"] for schema in source["schemas"]}
    assert set(ids) == {"customers", "orders"}
    path = f"external_data_sources/{source['id']}"
    made = call("POST", f"{path}/create_webhook/")
    assert (made["success"], made["pending_inputs"]) == (True, ["signing_secret"]), made
    address = made["webhook_url"].removeprefix(PUBLIC)
    secret = "whsec_" + base64.b64encode(KEY).decode()
    call("POST", f"{path}/update_webhook_inputs/", inputs={"signing_secret": secret})
    enabled = call("PATCH", f"external_data_schemas/{ids['customers']}/", should_sync=True, sync_type="webhook")
    assert enabled["should_sync"]
    bodies = [
        json.dumps({"id": f"evt_{kind}", "type": "made", "data": {"object": kind, "id": 1}}).encode()
        for kind in ("customers", "orders", "invoices")
    ]
    for body in bodies:
        headers = {"Content-Type": "application/json", **standard_headers(KEY, body, "msg_1", int(time.time()))}
        assert reachable.client.post(address, content=body, headers=headers).status_code == 200
    assert [event.body for event in events_of(reachable.store, ids["customers"])] == bodies[:1]
    assert events_of(reachable.store, ids["orders"]) == []
    info = call("GET", f"{path}/webhook_info/")
    assert (info["schema_mapping"], info["missing_events"]) == ({"customers": ids["customers"]}, [])
    assert secret not in json.dumps(info)
