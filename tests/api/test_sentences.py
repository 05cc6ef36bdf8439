"""What is wrong with a request is one sentence for people, without the validator's own words."""

import uuid
from typing import Any

import pytest

from tests.api.conftest import Api, Shop

NOWHERE = uuid.UUID(int=0)
KEY = {"label": "a", "scopes": ["external_data_source:read"]}
NO_ID = "This is not an id: one looks like 497f6eca-6276-4993-bfeb-53cbbbba6f08."
PAST = "This time is in the past: give a later one."
NO_TIME = "This is not a time: one looks like 2030-01-01T00:00:00Z."


@pytest.mark.parametrize(
    ("method", "path", "body", "attr", "detail"),
    [
        ("POST", "external_data_sources/", {}, "source_type", "This field is required."),
        ("GET", "external_data_schemas/?source_id=x", None, "source_id", NO_ID),
        ("GET", "external_data_schemas/?limit=x", None, "limit", "Input should be a valid integer."),
        ("GET", "external_data_schemas/?should_sync=maybe", None, "should_sync", "Input should be a valid boolean."),
        ("POST", "query/", {"query": ""}, "query", "This must not be blank."),
        ("GET", f"external_data_sources/{NOWHERE}/jobs/?after=20261124", None, "after", NO_TIME),
        ("GET", f"external_data_schemas/{NOWHERE}/logs/?before=-5", None, "before", NO_TIME),
        ("POST", "api_keys/", {"label": "a", "scopes": []}, "scopes", "Give at least one."),
        ("POST", "api_keys/", {**KEY, "expires_at": "soon"}, "expires_at", NO_TIME),
        ("POST", "api_keys/", {**KEY, "expires_at": "2020-01-01T00:00Z"}, "expires_at", PAST),
    ],
)
def test_a_wrong_value_is_explained(quick_api: Api, method: str, path: str, body: Any, attr: str, detail: str) -> None:
    assert quick_api.refused(method, path, attr, json=body)["detail"] == detail


@pytest.mark.parametrize(
    ("schema", "detail"),
    [({"id": "x"}, NO_ID), ({"id": 5}, NO_ID), ({}, "This field is required.")],
)
def test_a_wrong_id_of_several_is_explained(quick_api: Api, shop: Shop, schema: Any, detail: str) -> None:
    source = quick_api("POST", "external_data_sources/", 201, json=shop.body())
    path = f"external_data_sources/{source['id']}/bulk_update_schemas/"
    assert quick_api.refused("PATCH", path, "schemas.0.id", json={"schemas": [schema]})["detail"] == detail


@pytest.mark.parametrize(("kind", "told"), [("multipart/form-data; boundary=x", True), ("application/json", False)])
def test_a_body_that_cannot_be_read_says_what_can(quick_api: Api, kind: str, told: bool) -> None:
    error = quick_api.refused("POST", "query/", None, content=b"--x\r\n", headers={"Content-Type": kind})
    assert error["code"] == "parse_error"
    assert ("as JSON" in error["detail"]) == told


def test_a_prefix_that_is_taken_says_what_to_do(quick_api: Api, shop: Shop) -> None:
    for prefix, detail in (
        ("", "There is a source of this type without a prefix already: give this one a prefix."),
        ("shop_", "Another source of this type has the prefix shop_: choose another one."),
    ):
        quick_api("POST", "external_data_sources/", 201, json=shop.body(prefix=prefix))
        question = {"source_type": "Postgres", "prefix": prefix}
        error = quick_api.refused("POST", "external_data_sources/source_prefix/", "prefix", json=question)
        assert (error["code"], error["detail"]) == ("prefix_taken", detail)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "true"), (10**20, "100000000000000000000"), ("many", '"many"')],
)
def test_a_value_that_a_column_does_not_take_is_shown_as_it_came(
    quick_api: Api, shop: Shop, value: Any, shown: str
) -> None:
    named = {"name": "customer", "row_filter": [{"column": "id", "op": "=", "value": value}]}
    error = quick_api.refused(
        "POST", "external_data_sources/", "payload.schemas.0.row_filter.0.value", json=shop.body(named)
    )
    told = f"The column id holds whole numbers of at most 64 bits: {shown} cannot be one of them."
    assert error["detail"] == told
