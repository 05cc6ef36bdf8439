"""Clients that change the same thing at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.api.conftest import CUSTOMER, Api, Shop
from tests.api.test_schemas import path_of
from tests.api.test_sources import create, named


def at_once(api: Api, method: str, path: str, bodies: list[dict[str, Any]]) -> list[int]:
    """The statuses of all these calls, made from as many threads."""
    with ThreadPoolExecutor(len(bodies)) as threads:
        answers = threads.map(lambda body: api.respond(method, path, json=body), bodies)
        return [answer.status_code for answer in answers]


def test_no_setting_is_lost(api: Api, shop: Shop) -> None:
    path = path_of(create(api, shop, {**CUSTOMER, "should_sync": False}))
    changes: list[dict[str, Any]] = [
        {"sync_frequency": "15min"},
        {"sync_time_of_day": "03:00:00"},
        {"incremental_lookback_seconds": 60},
        {"cdc_table_mode": "both"},
        {"enabled_columns": ["name"]},
        {"row_filter": [{"column": "name", "op": "is_not_null", "value": None}]},
    ]
    assert at_once(api, "PATCH", path, changes) == [200] * len(changes)
    after = api("GET", path)
    assert {name: after[name] for change in changes for name in change} == {n: v for c in changes for n, v in c.items()}


def test_one_source_gets_the_prefix(api: Api, shop: Shop) -> None:
    statuses = at_once(api, "POST", "external_data_sources/", [shop.body(prefix="eu")] * 4)
    assert sorted(statuses) == [201, 400, 400, 400]
    assert api("GET", "external_data_sources/")["count"] == 1
    assert api("GET", "external_data_schemas/")["count"] == 3


def test_refreshing_at_once_adds_a_table_once(api: Api, own_shop: Shop) -> None:
    source = create(api, own_shop)
    own_shop.execute("CREATE TABLE fresh (id int PRIMARY KEY)")
    path = f"external_data_sources/{source['id']}/"
    assert at_once(api, "POST", f"{path}refresh_schemas/", [{}] * 4) == [200] * 4
    names = [schema["name"] for schema in api("GET", path)["schemas"]]
    assert names == ["customer", "fresh", "keyless", "orders"]


def test_deleting_and_changing_at_once_ends_deleted(api: Api, shop: Shop) -> None:
    path = path_of(create(api, shop, CUSTOMER))

    def call(method: str) -> int:
        return api.respond(method, path, json={"should_sync": True}).status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(call, ["PATCH", "DELETE", "PATCH", "DELETE"]))
    assert set(statuses[::2]) <= {200, 404}
    assert sorted(statuses[1::2]) == [204, 404]
    api("GET", path, 404)


def test_bulk_and_single_changes_at_once_lose_nothing_and_never_lock_each_other_out(api: Api, shop: Shop) -> None:
    source = create(api, shop, {**CUSTOMER, "should_sync": False})
    ids = {name: named(source, name)["id"] for name in ("customer", "orders", "keyless")}
    there = [{"id": schema_id, "sync_frequency": "15min"} for schema_id in ids.values()]
    back = [{"id": schema_id, "sync_time_of_day": "01:02:03"} for schema_id in reversed(ids.values())]
    bulk = f"external_data_sources/{source['id']}/bulk_update_schemas/"
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("PATCH", bulk, {"schemas": there}),
        ("PATCH", bulk, {"schemas": back}),
        ("PATCH", path_of(source), {"incremental_lookback_seconds": 60}),
        ("PATCH", path_of(source, "orders"), {"cdc_table_mode": "both"}),
        ("POST", f"external_data_sources/{source['id']}/refresh_schemas/", None),
    ] * 4
    with ThreadPoolExecutor(len(calls)) as threads:
        statuses = list(threads.map(lambda call: api.respond(call[0], call[1], json=call[2]).status_code, calls))
    assert statuses == [200] * len(calls)
    after = {name: api("GET", path_of(source, name)) for name in ids}
    for schema in after.values():
        assert (schema["sync_frequency"], schema["sync_time_of_day"]) == ("15min", "01:02:03")
    assert after["customer"]["incremental_lookback_seconds"] == 60
    assert after["orders"]["cdc_table_mode"] == "both"


def test_a_source_deleted_while_its_schemas_change_is_gone_with_all_of_them(api: Api, shop: Shop) -> None:
    source = create(api, shop, CUSTOMER)
    changes = {"schemas": [{"id": schema["id"], "sync_frequency": "1hour"} for schema in source["schemas"]]}
    path = f"external_data_sources/{source['id']}/"
    calls = [("PATCH", f"{path}bulk_update_schemas/"), ("DELETE", path), ("PATCH", f"{path}bulk_update_schemas/")]
    with ThreadPoolExecutor(len(calls)) as threads:
        statuses = list(threads.map(lambda call: api.respond(*call, json=changes).status_code, calls))
    assert statuses[1] == 204
    assert {statuses[0], statuses[2]} <= {200, 400, 404}
    api("GET", path, 404)
    assert api("GET", "external_data_schemas/")["count"] == 0
