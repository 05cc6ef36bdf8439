"""What a set-up asks: the tables of a source that is not there yet, whether a prefix is free, which types there are."""

from typing import Any

import pytest
from sqlmodel import func, select

from connectors.registry import all_connectors
from metadata.keys import READ_SCOPE
from metadata.models import Schema, Source
from tests.api.conftest import CUSTOMER, Api, Shop

BOTH = {"enabled": False, "include_invoiceless_charges": True}


def stored(api: Api) -> tuple[int, int]:
    with api.database.read() as session:
        sources, schemas = (
            session.exec(select(func.count()).select_from(table).where(table.project_id == api.project_id)).one()
            for table in (Source, Schema)
        )
    return sources, schemas


def test_the_tables_that_a_source_would_have(quick_api: Api, shop: Shop) -> None:
    found = quick_api("POST", "external_data_sources/database_schema/", json={"source_type": "Postgres", **shop.inputs})
    assert [each["table"] for each in found] == ["customer", "keyless", "orders"]
    customer, keyless, orders = found
    assert customer == {
        "table": "customer",
        "label": None,
        "description": None,
        "kind": "table",
        "rows": customer["rows"],
        "should_sync": False,
        "sync_type": None,
        "full_refresh_available": True,
        "incremental_available": True,
        "append_available": True,
        "cdc_available": True,
        "supports_webhooks": False,
        "webhook_only": False,
        "incremental_field": "updated_at",
        "incremental_fields": [
            {"field": "id", "field_type": "integer", "label": "id", "type": "integer"}
            | {"nullable": False, "is_indexed": True},
            {"field": "updated_at", "field_type": "timestamp", "label": "updated_at"}
            | {"type": "timestamp with time zone", "nullable": False, "is_indexed": True},
        ],
        "available_columns": [
            {"name": "id", "type": "integer", "nullable": False, "primary_key": True},
            {"name": "name", "type": "text", "nullable": True, "primary_key": False},
            {"name": "updated_at", "type": "timestamp with time zone", "nullable": False, "primary_key": False},
        ],
        "detected_primary_keys": ["id"],
    }
    assert (orders["incremental_field"], orders["detected_primary_keys"]) == ("id", ["id"])
    assert keyless["detected_primary_keys"] is None
    assert stored(quick_api) == (0, 0)


def test_its_answers_make_a_source(quick_api: Api, shop: Shop) -> None:
    """What is offered as a cursor is taken as one."""
    found = quick_api("POST", "external_data_sources/database_schema/", json={"source_type": "Postgres", **shop.inputs})
    chosen = []
    for table in found:
        [cursor] = [each for each in table["incremental_fields"] if each["field"] == table["incremental_field"]]
        chosen.append(
            {
                "name": table["table"],
                "should_sync": True,
                "sync_type": "incremental" if table["detected_primary_keys"] else "append",
                "incremental_field": cursor["field"],
                "incremental_field_type": cursor["field_type"],
            }
        )
    source = quick_api("POST", "external_data_sources/", 201, json=shop.body(*chosen))
    assert [schema["should_sync"] for schema in source["schemas"]] == [True] * 3


def test_rows_are_the_sources_own_estimate(quick_api: Api, own_shop: Shop) -> None:
    own_shop.execute("ANALYZE customer")
    found = quick_api(
        "POST", "external_data_sources/database_schema/", json={"source_type": "Postgres", **own_shop.inputs}
    )
    assert {each["table"]: each["rows"] for each in found} == {"customer": 5, "keyless": None, "orders": None}


def test_the_fields_may_come_as_a_form(quick_api: Api, shop: Shop) -> None:
    form = {"source_type": "Postgres", **{name: str(value) for name, value in shop.inputs.items()}}
    found = quick_api("POST", "external_data_sources/database_schema/", data=form)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("change", "attr", "code"),
    [
        ({"source_type": "Oracle"}, "source_type", "invalid_choice"),
        ({"source_type": 7}, "source_type", None),
        ({"host": ""}, "host", "invalid_config"),
        ({"port": "many"}, "port", "invalid_config"),
        ({"host": ["a"]}, "host", "invalid_config"),
        ({"password": "wrong-one"}, None, "invalid_credentials"),
        ({"database": "nowhere"}, None, "invalid_credentials"),
        ({"schema": "nowhere"}, "schema", "invalid_config"),
        ({"access_method": "by post"}, "access_method", "invalid_choice"),
    ],
)
def test_a_wrong_connection_is_named(
    quick_api: Api, shop: Shop, change: dict[str, Any], attr: str | None, code: str | None
) -> None:
    body = {"source_type": "Postgres", **shop.inputs, **change}
    error = quick_api("POST", "external_data_sources/database_schema/", 400, json=body)
    assert code in (None, error["code"]), error
    assert attr in (None, error["attr"]), error
    assert shop.inputs["password"] not in str(error)
    assert "wrong-one" not in str(error)


def test_a_prefix_is_free_until_it_is_taken(api: Api, shop: Shop) -> None:
    ask = {"source_type": "Postgres", "prefix": "shop_"}
    path = "external_data_sources/source_prefix/"
    for body in (ask, {"source_type": "Postgres"}, {"source_type": "Postgres", "prefix": None}):
        assert api("POST", path, json=body) is None
    source = api("POST", "external_data_sources/", 201, json=shop.body(prefix="shop_"))
    assert api.refused("POST", path, "prefix", json=ask)["code"] == "prefix_taken"
    api.refused("POST", path, "prefix", json=ask | {"prefix": "SHOP_"})
    api("POST", path, json={"source_type": "Postgres"})
    api.other_project()("POST", path, json=ask)
    api("DELETE", f"external_data_sources/{source['id']}/", 204)
    api("POST", path, json=ask)


def test_the_blank_prefix_is_one_like_others_but_not_for_direct_sources(quick_api: Api, shop: Shop) -> None:
    path = "external_data_sources/source_prefix/"
    direct = {"source_type": "Postgres", "access_method": "direct"}
    quick_api.refused("POST", path, "prefix", json=direct)
    quick_api("POST", path, json=direct | {"prefix": "live_"})
    quick_api("POST", "external_data_sources/", 201, json=shop.body())
    quick_api.refused("POST", path, "prefix", json={"source_type": "Postgres", "prefix": ""})


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({}, "source_type"),
        ({"source_type": "Oracle", "prefix": "a"}, "source_type"),
        ({"source_type": "Postgres", "prefix": "1a"}, "prefix"),
        ({"source_type": "Postgres", "prefix": "a-b"}, "prefix"),
        ({"source_type": "Postgres", "prefix": "a" * 101}, "prefix"),
        ({"source_type": "Postgres", "prefix": 7}, "prefix"),
    ],
)
def test_what_no_prefix_can_be(quick_api: Api, body: dict[str, Any], attr: str) -> None:
    quick_api.refused("POST", "external_data_sources/source_prefix/", attr, json=body)


def test_the_wizard_knows_every_source_type(quick_api: Api) -> None:
    found = quick_api.with_key(READ_SCOPE)("GET", "external_data_sources/wizard/")
    assert set(found) == {connector.source_type for connector in all_connectors()}
    postgres = found["Postgres"]
    assert postgres["capabilities"] == {
        "sync_types": ["full_refresh", "incremental", "append", "cdc"],
        "cdc": True,
        "webhooks": False,
        "direct": True,
    }
    assert postgres["docs_url"].startswith("https://")
    fields = {field["name"]: field for field in postgres["fields"]}
    secrets = {"password", "connection_string", "ssl_key", "ssh_password", "ssh_private_key", "ssh_passphrase"}
    assert {name for name, field in fields.items() if field["secret"]} == secrets
    assert fields["port"] == {
        "name": "port",
        "label": "Port",
        "type": "number",
        "required": False,
        "secret": False,
        "default": 5432,
        "placeholder": "",
        "options": [],
    }
    assert {"label": "verify-full", "value": "verify-full"} in fields["sslmode"]["options"]


def test_no_source_type_promises_what_nothing_here_does() -> None:
    """The calls for webhooks refuse for all: the first type that has them must change that."""
    for connector in all_connectors():
        assert set(connector.sync_types) <= {"full_refresh", "incremental", "append", "webhook", "cdc"}


def test_revenue_analytics(api: Api, shop: Shop) -> None:
    source = api("POST", "external_data_sources/", 201, json=shop.body(CUSTOMER))
    path = f"external_data_sources/{source['id']}"
    assert source["revenue_analytics_config"] == BOTH

    changes: list[tuple[dict[str, Any], dict[str, bool]]] = [
        ({"enabled": True}, {"enabled": True, "include_invoiceless_charges": True}),
        ({"include_invoiceless_charges": False}, {"enabled": True, "include_invoiceless_charges": False}),
        ({}, {"enabled": True, "include_invoiceless_charges": False}),
        ({"enabled": None}, {"enabled": False, "include_invoiceless_charges": False}),
        ({"enabled": False, "include_invoiceless_charges": None}, BOTH),
    ]
    for change, expected in changes:
        changed = api("PATCH", f"{path}/revenue_analytics_config/", json=change)
        assert changed["revenue_analytics_config"] == expected, change
        assert api("GET", f"{path}/") == changed
    assert {name: changed[name] for name in changed if name not in ("schemas", "revenue_analytics_config")} == {
        name: source[name] for name in source if name not in ("schemas", "revenue_analytics_config")
    }


@pytest.mark.parametrize("field", list(BOTH))
def test_revenue_analytics_takes_booleans_only(quick_api: Api, shop: Shop, field: str) -> None:
    source = quick_api("POST", "external_data_sources/", 201, json=shop.body())
    path = f"external_data_sources/{source['id']}/revenue_analytics_config/"
    for wrong in ("yes", 1, []):
        quick_api.refused("PATCH", path, field, json={field: wrong})
    assert quick_api("PATCH", path, json={})["revenue_analytics_config"] == BOTH
