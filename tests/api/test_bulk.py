"""Several schemas in one call: all or none, by the rules of one."""

import uuid
from typing import Any

import pytest

from tests.api.conftest import CUSTOMER, Api, Shop
from tests.api.test_schemas import path_of
from tests.api.test_sources import create, hold_data, named

FULL = {"should_sync": True, "sync_type": "full_refresh"}


def bulk(source: dict[str, Any]) -> str:
    return f"external_data_sources/{source['id']}/bulk_update_schemas/"


def changes(source: dict[str, Any], **by_name: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [{"id": named(source, name)["id"], **change} for name, change in by_name.items()]}


def test_each_schema_gets_its_own_settings(api: Api, shop: Shop) -> None:
    source = create(api, shop)
    wanted = {
        "orders": {**FULL, "sync_frequency": "1hour"},
        "customer": {k: v for k, v in CUSTOMER.items() if k != "name"},
        "keyless": {"sync_type": "full_refresh"},
    }
    page = api("PATCH", bulk(source), json=changes(source, **wanted))
    assert (page["count"], page["next"], page["previous"]) == (3, None, None)
    assert [schema["name"] for schema in page["results"]] == list(wanted), "in the order of the request"
    for schema in page["results"]:
        assert schema == api("GET", f"external_data_schemas/{schema['id']}/")
        assert {key: schema[key] for key in wanted[schema["name"]]} == wanted[schema["name"]]


def test_the_answer_to_a_bulk_change_is_that_to_single_ones(api: Api, shop: Shop) -> None:
    one, other = create(api, shop, prefix="one"), create(api, shop, prefix="other")
    change = {**FULL, "sync_time_of_day": "04:05:06", "enabled_columns": ["id"]}
    [many] = api("PATCH", bulk(one), json=changes(one, orders=change))["results"]
    single = api("PATCH", path_of(other, "orders"), json=change)
    assert many | {"id": single["id"]} == single


@pytest.mark.parametrize(
    ("spoilt", "attr"),
    [
        ({"sync_type": "incremental"}, "schemas.1.incremental_field"),
        ({"sync_frequency": "1min"}, "schemas.1.sync_frequency"),
        ({"sync_frequency": "2min"}, "schemas.1.sync_frequency"),
        ({"enabled_columns": ["nope"]}, "schemas.1.enabled_columns"),
        ({"should_sync": "perhaps"}, "schemas.1.should_sync"),
        ({"id": "no id"}, "schemas.1.id"),
        ({"id": str(uuid.uuid4())}, "schemas.1.id"),
    ],
)
def test_one_wrong_change_spoils_all_and_is_named(api: Api, shop: Shop, spoilt: dict[str, Any], attr: str) -> None:
    source = create(api, shop)
    before = api("GET", f"external_data_sources/{source['id']}/")
    body = changes(source, orders=FULL, keyless={})
    body["schemas"][1] |= spoilt
    api.refused("PATCH", bulk(source), attr, json=body)
    assert api("GET", f"external_data_sources/{source['id']}/") == before


def test_the_key_of_a_table_with_data_is_held_in_bulk_too(api: Api, shop: Shop) -> None:
    source = create(api, shop, CUSTOMER)
    hold_data(api, named(source, "customer")["id"])
    body = changes(source, orders=FULL, customer={"primary_key_columns": ["name"]})
    api.refused("PATCH", bulk(source), "schemas.1.primary_key_columns", json=body)


@pytest.mark.parametrize("schemas", [[], None, "all", [None], [{}], [{"should_sync": False}]])
def test_nothing_to_change_is_refused(quick_api: Api, shop: Shop, schemas: Any) -> None:
    source = create(quick_api, shop)
    error = quick_api("PATCH", bulk(source), 400, json={"schemas": schemas})
    assert error["attr"].startswith("schemas")


def test_a_schema_named_twice_is_refused(quick_api: Api, shop: Shop) -> None:
    source = create(quick_api, shop)
    body = changes(source, orders=FULL)
    quick_api.refused("PATCH", bulk(source), "schemas", json={"schemas": body["schemas"] * 2})


def test_a_schema_of_another_source_is_none_of_this_one(api: Api, shop: Shop) -> None:
    one, other = create(api, shop, prefix="one"), create(api, shop, prefix="other")
    api.refused("PATCH", bulk(one), "schemas.0.id", json=changes(other, orders=FULL))
    assert not named(api("GET", f"external_data_sources/{other['id']}/"), "orders")["should_sync"]


def test_a_foreign_source_is_404_whatever_the_body(api: Api, shop: Shop) -> None:
    source = create(api, shop)
    stranger = api.other_project()
    for body in (changes(source, orders=FULL), {}, {"schemas": []}, []):
        stranger("PATCH", bulk(source), 404, json=body)
