"""Webhooks of a source whose type has none: every call says so."""

from typing import Any

import pytest

from metadata.keys import READ_SCOPE
from tests.api.conftest import Api, Shop


@pytest.fixture
def path(quick_api: Api, shop: Shop) -> str:
    source = quick_api("POST", "external_data_sources/", 201, json=shop.body())
    assert source["supports_webhooks"] is False
    return f"external_data_sources/{source['id']}"


def test_there_is_nothing_to_see(quick_api: Api, path: str) -> None:
    assert quick_api.with_key(READ_SCOPE)("GET", f"{path}/webhook_info/") == {
        "supports_webhooks": False,
        "exists": False,
        "webhook_url": None,
        "schema_mapping": {},
        "inputs": {},
        "pending_inputs": [],
        "external_status": None,
        "missing_events": [],
    }


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("create_webhook", {"client_secret": "string", "account_id": "string"}),
        ("delete_webhook", {}),
        ("update_webhook_inputs", {"inputs": {"signing_secret": "whsec"}}),
    ],
)
def test_a_type_without_webhooks_is_refused(quick_api: Api, path: str, call: str, body: dict[str, Any]) -> None:
    error = quick_api.refused("POST", f"{path}/{call}/", None, json=body)
    assert (error["type"], error["code"]) == ("validation_error", "unsupported")
    assert error["detail"] == "The source type Postgres does not support webhooks."


@pytest.mark.parametrize("call", ["create_webhook", "delete_webhook"])
def test_calls_without_a_body_ignore_what_is_sent(quick_api: Api, path: str, call: str) -> None:
    assert quick_api.refused("POST", f"{path}/{call}/", None, content=b"{nonsense")["code"] == "unsupported"


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({}, "inputs"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": ["a"]}, "inputs"),
        ({"inputs": None}, "inputs"),
        ({"inputs": {"secret": 7}}, "inputs.secret"),
        ({"inputs": {"secret": "a\0b"}}, "inputs.secret"),
    ],
)
def test_bad_inputs(quick_api: Api, path: str, body: dict[str, Any], attr: str) -> None:
    quick_api.refused("POST", f"{path}/update_webhook_inputs/", attr, json=body)
