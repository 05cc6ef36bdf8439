"""Sources: made whole or not at all, listed, changed, deleted."""

import uuid
from typing import Any

import pytest

from metadata.models import Job, JobStatus, LakeTable, Schema, SchemaState, utc_now
from tests.api.conftest import CUSTOMER, Api, Shop


def create(api: Api, shop: Shop, *schemas: dict[str, Any], **more: Any) -> dict[str, Any]:
    source: dict[str, Any] = api("POST", "external_data_sources/", 201, json=shop.body(*schemas, **more))
    return source


def named(source: dict[str, Any], name: str) -> dict[str, Any]:
    return next(schema for schema in source["schemas"] if schema["name"] == name)


def test_without_schemas_every_table_is_found_and_none_enabled(api: Api, shop: Shop) -> None:
    source = create(api, shop, prefix="eu_", description="the shop")
    assert [schema["name"] for schema in source["schemas"]] == ["customer", "keyless", "orders"]
    assert not any(schema["should_sync"] for schema in source["schemas"])
    assert (source["prefix"], source["description"], source["status"]) == ("eu_", "the shop", "Paused")
    assert (source["engine"], source["access_method"]) == ("duckdb", "warehouse")
    assert (source["created_by"], source["user_access_level"]) == ("a key", "manager")
    assert source["created_at"].endswith("Z")
    assert source["last_run_at"] is None
    assert api("GET", f"external_data_sources/{source['id']}/") == source


def test_named_schemas_get_their_settings_and_their_first_run(api: Api, shop: Shop) -> None:
    orders = {"name": "orders", "sync_type": "full_refresh", "sync_frequency": "24hour", "sync_time_of_day": "03:00:00"}
    source = create(api, shop, CUSTOMER, orders)
    assert source["status"] == "Running", "the first run is due"
    customer = named(source, "customer")
    assert (customer["should_sync"], customer["incremental"], customer["status"]) == (True, True, None)
    assert customer["available_columns"][0] == {
        "name": "id",
        "type": "integer",
        "nullable": False,
        "primary_key": True,
    }
    later = named(source, "orders")
    assert (later["should_sync"], later["sync_frequency"], later["sync_time_of_day"]) == (False, "24hour", "03:00:00")
    assert customer["table"] is None


def test_secrets_never_come_back(api: Api, shop: Shop) -> None:
    created = api.respond("POST", "external_data_sources/", json=shop.body(client_secret="s3cr3t", account_id="acc"))
    source = created.json()
    assert source["job_inputs"] == {name: value for name, value in shop.inputs.items() if name != "password"}
    listed = api.respond("GET", "external_data_sources/")
    for answer in (created, listed):
        assert shop.inputs["password"] not in answer.text
        assert "s3cr3t" not in answer.text


def nothing_is_left(api: Api) -> None:
    assert api("GET", "external_data_sources/")["count"] == 0
    assert api("GET", "external_data_schemas/")["count"] == 0


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"source_type": None}, "source_type"),
        ({"source_type": "Oracle9"}, "source_type"),
        ({"source_type": 7}, "source_type"),
        ({"payload": "object"}, "payload"),
        ({"payload": {}}, "payload.host"),
        ({"prefix": "1eu"}, "prefix"),
        ({"prefix": "e-u"}, "prefix"),
        ({"prefix": "é"}, "prefix"),
        ({"prefix": "a" * 101}, "prefix"),
        ({"prefix": 1}, "prefix"),
        ({"description": "x" * 401}, "description"),
        ({"description": "\0"}, "description"),
        ({"access_method": "magic"}, "access_method"),
        ({"access_method": "direct"}, "prefix"),
    ],
)
def test_a_wrong_field_is_named(quick_api: Api, shop: Shop, change: dict[str, Any], attr: str) -> None:
    quick_api.refused("POST", "external_data_sources/", attr, json=shop.body() | change)
    nothing_is_left(quick_api)


@pytest.mark.parametrize(
    ("schema", "attr"),
    [
        ({"name": "nothing"}, "name"),
        ({}, "name"),
        ({"name": "customer", "should_sync": "yes"}, "should_sync"),
        ({"name": "customer", "should_sync": True}, "sync_type"),
        ({"name": "customer", "sync_type": "cdc"}, "sync_type"),
        ({"name": "customer", "sync_type": "sometimes"}, "sync_type"),
        ({**CUSTOMER, "incremental_field": "name"}, "incremental_field"),
        (
            {**CUSTOMER, "name": "keyless", "incremental_field": "a", "incremental_field_type": "integer"},
            "primary_key_columns",
        ),
        ({"name": "customer", "sync_time_of_day": "25:00:00"}, "sync_time_of_day"),
        ({"name": "customer", "enabled_columns": ["nope"]}, "enabled_columns"),
    ],
)
def test_a_wrong_setting_of_a_schema_is_named_and_nothing_stays(
    quick_api: Api, shop: Shop, schema: dict[str, Any], attr: str
) -> None:
    fine = {"name": "orders", "sync_type": "full_refresh", "should_sync": True}
    quick_api.refused("POST", "external_data_sources/", f"payload.schemas.1.{attr}", json=shop.body(fine, schema))
    nothing_is_left(quick_api)


def test_a_schema_named_twice_is_refused(quick_api: Api, shop: Shop) -> None:
    twice = shop.body({"name": "orders"}, {"name": "orders"})
    quick_api.refused("POST", "external_data_sources/", "payload.schemas.1.name", json=twice)


@pytest.mark.parametrize(
    ("change", "attr", "code"),
    [
        ({"password": "wr0ng-s3cr3t"}, "payload.password", "invalid_credentials"),
        ({"database": "nowhere"}, "payload.database", "invalid_credentials"),
        ({"port": 1}, None, "unreachable"),
        ({"port": "many"}, "payload.port", "invalid_config"),
    ],
)
def test_a_login_that_fails_says_why_without_the_drivers_words(
    quick_api: Api, shop: Shop, change: dict[str, Any], attr: str | None, code: str
) -> None:
    body = shop.body()
    body["payload"] |= change
    error = quick_api("POST", "external_data_sources/", 400, json=body)
    assert (error["type"], error["code"]) == ("validation_error", code)
    assert attr is None or error["attr"] == attr
    assert "s3cr3t" not in error["detail"]
    assert "psycopg" not in error["detail"]
    nothing_is_left(quick_api)


def test_a_prefix_is_free_or_not_the_blank_one_too(api: Api, shop: Shop) -> None:
    create(api, shop)
    for prefix in ("", None):
        assert api.refused("POST", "external_data_sources/", "prefix", json=shop.body(prefix=prefix))
    create(api, shop, prefix="eu")
    for prefix in ("eu", "EU"):
        error = api.refused("POST", "external_data_sources/", "prefix", json=shop.body(prefix=prefix))
        assert error["code"] == "prefix_taken"
    other = api.other_project()
    create(other, shop, prefix="eu")


def test_a_prefix_is_free_again_after_its_source_was_deleted(api: Api, shop: Shop) -> None:
    source = create(api, shop, prefix="eu")
    api("DELETE", f"external_data_sources/{source['id']}/", 204)
    create(api, shop, prefix="eu")


def test_a_list_has_pages_newest_first_and_can_be_searched(api: Api, shop: Shop) -> None:
    ids = [create(api, shop, prefix=p, description=d)["id"] for p, d in [("a_", "One 100%"), ("b", "two"), ("c", None)]]
    page = api("GET", "external_data_sources/?limit=2&search=postgres")
    assert (page["count"], [source["id"] for source in page["results"]]) == (3, [ids[2], ids[1]])
    assert page["previous"] is None
    assert page["next"].startswith("http")
    assert "search=postgres" in page["next"]
    rest = api.client.get(page["next"], headers={"Authorization": f"Bearer {api.key}"}).json()
    assert ([source["id"] for source in rest["results"]], rest["next"]) == ([ids[0]], None)
    back = api.client.get(rest["previous"], headers={"Authorization": f"Bearer {api.key}"}).json()
    assert back["results"] == page["results"]

    def found(search: str) -> list[str]:
        return [source["id"] for source in api("GET", "external_data_sources/", params={"search": search})["results"]]

    assert found("TWO") == [ids[1]]
    assert found("a_") == [ids[0]]
    assert found("100%") == [ids[0]]
    assert found("%") == [ids[0]]
    assert found("nothing") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "offset=-1", "offset=" + "9" * 30])
def test_a_bad_page_is_400(quick_api: Api, query: str) -> None:
    for path in ("external_data_sources", "external_data_schemas"):
        quick_api.refused("GET", f"{path}/?{query}", query.partition("=")[0])


def test_null_in_a_search_is_400(api: Api) -> None:
    api.refused("GET", "external_data_sources/?search=%00", "search")


def test_the_description_changes_and_clears(api: Api, shop: Shop) -> None:
    path = f"external_data_sources/{create(api, shop, prefix='eu', description='old')['id']}/"
    assert api("PATCH", path, json={})["description"] == "old"
    assert api("PATCH", path, json={"description": "new", "prefix": "eu", "unknown": 1})["description"] == "new"
    assert api("PATCH", path, json={"description": None})["description"] is None


def test_prefix_and_access_method_are_fixed(quick_api: Api, shop: Shop) -> None:
    path = f"external_data_sources/{create(quick_api, shop, prefix='eu')['id']}/"
    for prefix in ("us", "", None):
        quick_api.refused("PATCH", path, "prefix", json={"prefix": prefix, "description": "lost"})
    quick_api.refused("PATCH", path, "access_method", json={"access_method": "direct"})
    assert quick_api("GET", path)["description"] is None


def test_inputs_merge_and_a_blank_secret_keeps_the_stored_one(api: Api, shop: Shop) -> None:
    path = f"external_data_sources/{create(api, shop)['id']}/"
    for inputs in ({"sslmode": "disable"}, {"sslmode": "prefer", "password": ""}, {"password": None}, {}):
        changed = api("PATCH", path, json={"job_inputs": inputs})
        assert changed["job_inputs"]["database"] == shop.database
    assert "schema" not in api("PATCH", path, json={"job_inputs": {"schema": None}})["job_inputs"]
    assert api("POST", f"{path}refresh_schemas/")["total_tables_seen"] == 3


def test_new_inputs_are_tried_before_they_are_stored(api: Api, shop: Shop) -> None:
    path = f"external_data_sources/{create(api, shop)['id']}/"
    error = api.refused("PATCH", path, "job_inputs.password", json={"job_inputs": {"password": "wr0ng"}})
    assert error["code"] == "invalid_credentials"
    api.refused("PATCH", path, "job_inputs.port", json={"job_inputs": {"port": "x", "password": "p"}})
    api.refused("PATCH", path, "job_inputs", json={"job_inputs": "x"})
    assert api("POST", f"{path}refresh_schemas/")["total_tables_seen"] == 3


def test_a_stored_secret_never_goes_to_another_host(api: Api, shop: Shop) -> None:
    path = f"external_data_sources/{create(api, shop)['id']}/"
    for moved in ({"host": "localhost"}, {"port": 1}, {"host": "localhost", "password": ""}):
        error = api.refused("PATCH", path, "job_inputs.password", json={"job_inputs": moved})
        assert "another host" in error["detail"]
    api("PATCH", path, json={"job_inputs": {"port": str(shop.inputs["port"])}})
    moved = {"host": "localhost", "password": shop.inputs["password"]}
    assert api("PATCH", path, json={"job_inputs": moved})["job_inputs"]["host"] == "localhost"


def test_a_deleted_source_is_gone_with_its_schemas(api: Api, shop: Shop) -> None:
    source = create(api, shop, CUSTOMER)
    path = f"external_data_sources/{source['id']}/"
    api("DELETE", path, 204)
    for method in ("GET", "PATCH", "DELETE"):
        api(method, path, 404)
    for schema in source["schemas"]:
        api("GET", f"external_data_schemas/{schema['id']}/", 404)
    assert api("GET", "external_data_schemas/")["count"] == 0


def test_refreshing_finds_new_tables_and_drops_those_that_never_synced(api: Api, own_shop: Shop) -> None:
    source = create(api, own_shop, CUSTOMER)
    hold_data(api, named(source, "customer")["id"])
    own_shop.execute("CREATE TABLE fresh (id int PRIMARY KEY); DROP TABLE keyless; DROP TABLE customer")
    path = f"external_data_sources/{source['id']}/"
    assert api("POST", f"{path}refresh_schemas/") == {"added": 1, "deleted": 1, "total_tables_seen": 2}

    after = api("GET", path)
    assert [schema["name"] for schema in after["schemas"]] == ["customer", "fresh", "orders"]
    assert not named(after, "fresh")["should_sync"]
    kept = named(after, "customer")
    assert (kept["should_sync"], kept["table"]["row_count"]) == (False, 5)
    api.refused("PATCH", f"external_data_schemas/{kept['id']}/", "should_sync", json={"should_sync": True})

    own_shop.execute("CREATE TABLE customer (id int PRIMARY KEY, updated_at timestamptz)")
    assert api("POST", f"{path}refresh_schemas/") == {"added": 1 - 1, "deleted": 0, "total_tables_seen": 3}
    assert api("PATCH", f"external_data_schemas/{kept['id']}/", json={"should_sync": True})["should_sync"]


def test_refreshing_an_unreachable_source_changes_nothing(quick_api: Api, own_shop: Shop) -> None:
    path = f"external_data_sources/{create(quick_api, own_shop)['id']}/"
    own_shop.server.drop_database(own_shop.database)
    error = quick_api("POST", f"{path}refresh_schemas/", 400)
    assert error["code"] == "invalid_credentials"
    assert len(quick_api("GET", path)["schemas"]) == 3


def test_status_and_error_come_from_the_enabled_schemas(api: Api, shop: Shop) -> None:
    orders = {"name": "orders", "sync_type": "full_refresh", "should_sync": True}
    source = create(api, shop, CUSTOMER, orders)
    path = f"external_data_sources/{source['id']}/"

    def status(customer: str | None, order: str | None) -> str:
        with api.database.transaction() as session:
            for name, value in (("customer", customer), ("orders", order)):
                schema = session.get_one(Schema, uuid.UUID(named(source, name)["id"]))
                schema.status, schema.latest_error = value, f"{name} broke." if value == "Failed" else None
        after: str = api("GET", path)["status"]
        return after

    assert status(None, None) == "Running"
    assert status("Completed", None) == "Completed"
    assert status("Completed", "Running") == "Running"
    assert status("Running", "Failed") == "Failed"
    assert api("GET", path)["latest_error"] == "orders broke."
    assert status("Failed", "Failed") == "Failed"
    assert api("GET", path)["latest_error"] == "customer broke."
    assert status("Cancelled", "Cancelled") == "Running"


def test_jobs_are_listed_newest_first_and_filtered(api: Api, shop: Shop) -> None:
    source = create(api, shop)
    customer, orders = named(source, "customer"), named(source, "orders")
    ids = [add_job(api, source, schema) for schema in (customer, orders, customer)]
    path = f"external_data_sources/{source['id']}/jobs/"
    jobs = api("GET", path)
    assert [job["id"] for job in jobs] == ids[::-1]
    assert jobs[0]["schema"] == {
        "id": customer["id"],
        "name": "customer",
        "label": None,
        "should_sync": False,
        "sync_type": None,
        "last_synced_at": None,
    }
    assert (jobs[0]["rows_synced"], jobs[0]["status"], jobs[0]["warnings"]) == (5, "Completed", [])

    def found(**query: Any) -> list[str]:
        return [job["id"] for job in api("GET", path, params=query)]

    assert found(limit=1) == ids[2:]
    assert found(schemas=["orders"]) == [ids[1]]
    assert found(schemas=["orders", "customer"]) == ids[::-1]
    assert found(after=jobs[1]["created_at"]) == [ids[2]]
    assert found(before=jobs[1]["created_at"]) == [ids[0]]
    assert found(after=jobs[2]["created_at"], before=jobs[0]["created_at"]) == [ids[1]]
    for query in ("limit=0", "limit=501", "after=yesterday", "before=x"):
        api.refused("GET", f"{path}?{query}", query.partition("=")[0])
    assert api("GET", f"external_data_sources/{source['id']}/")["last_run_at"] == jobs[0]["created_at"]


def add_job(api: Api, source: dict[str, Any], schema: dict[str, Any]) -> str:
    job = Job(
        project_id=api.project_id,
        source_id=uuid.UUID(source["id"]),
        schema_id=uuid.UUID(schema["id"]),
        status=JobStatus.COMPLETED,
        rows_synced=5,
        workflow_id=schema["id"],
        workflow_run_id=str(uuid.uuid4()),
        finished_at=utc_now(),
    )
    with api.database.transaction() as session:
        session.add(job)
    return str(job.id)


def hold_data(api: Api, schema_id: str) -> None:
    """As a run leaves it behind: the row of the lake's table."""
    column = {"key": "id", "name": "id", "type": "integer", "nullable": False}
    with api.database.transaction() as session:
        session.get_one(SchemaState, uuid.UUID(schema_id)).fence = 1
        session.add(
            LakeTable(
                project_id=api.project_id,
                schema_id=uuid.UUID(schema_id),
                name="postgres_customer",
                path="project_1/postgres_customer",
                row_count=5,
                size_bytes=3 * 2**19,
                columns=[column],
            )
        )
