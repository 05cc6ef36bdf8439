"""Schemas: their settings, and the calls that start, stop and delete."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, ScheduleDescription
from temporalio.service import RPCError, RPCStatusCode

from metadata.models import Schema, SchemaState
from scheduling.contract import SYNC_SCHEMA
from tests.api.conftest import CUSTOMER, Api, Shop
from tests.api.test_sources import create, hold_data, named
from tests.kit.servers import RunningTemporal

ORDERS = {"name": "orders", "sync_type": "full_refresh", "should_sync": True}


class Schedules:
    """What Temporal knows of the schemas, as anybody else would ask it."""

    def __init__(self, api: Api, temporal: RunningTemporal) -> None:
        assert api.client.portal is not None
        self._portal = api.client.portal
        self._client = self._portal.call(lambda: Client.connect(temporal.address, namespace=temporal.namespace))

    def find(self, schema_id: str) -> ScheduleDescription | None:
        async def describe() -> ScheduleDescription | None:
            try:
                return await self._client.get_schedule_handle(schema_id).describe()
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                return None

        return self._portal.call(describe)

    def delete(self, schema_id: str) -> None:
        self._portal.call(lambda: self._client.get_schedule_handle(schema_id).delete())

    def running(self, schema_id: str) -> list[str]:
        found = self.find(schema_id)
        return [action.workflow_id for action in found.info.running_actions] if found else []

    def signals(self, workflow_id: str) -> list[str]:
        """The names of the signals that its newest run got, in order."""

        async def read() -> list[str]:
            history = await self._client.get_workflow_handle(workflow_id).fetch_history()
            return [
                event.workflow_execution_signaled_event_attributes.signal_name
                for event in history.events
                if event.HasField("workflow_execution_signaled_event_attributes")
            ]

        return self._portal.call(read)


@pytest.fixture
def schedules(api: Api, temporal: RunningTemporal) -> Schedules:
    return Schedules(api, temporal)


def path_of(source: dict[str, Any], name: str = "customer") -> str:
    return f"external_data_schemas/{named(source, name)['id']}/"


def state_of(api: Api, schema_id: str) -> SchemaState:
    with api.database.read() as session:
        return session.get_one(SchemaState, uuid.UUID(schema_id))


def test_settings_change_one_by_one(api: Api, shop: Shop) -> None:
    path = path_of(create(api, shop))
    before = api("GET", path)
    changes: list[dict[str, Any]] = [
        {"sync_type": "incremental", "incremental_field": "updated_at", "incremental_field_type": "timestamp"},
        {"incremental_lookback_seconds": 3600},
        {"sync_frequency": "15min"},
        {"primary_key_columns": ["id"]},
        {"cdc_table_mode": "both"},
        {"enabled_columns": ["name"]},
        {"row_filter": [{"column": "name", "op": "in", "value": ["a", "b"]}]},
        {"type_overrides": {"name": "binary", "id": "decimal(20,0)"}},
        {"sync_time_of_day": "14:15:22"},
    ]
    for change in changes:
        answer = api("PATCH", path, json={**change, "id": "ignored", "status": "Running", "name": "ignored"})
        before |= change | {"incremental": True}
        assert answer == before
        assert api("GET", path) == before
    cleared = {"sync_time_of_day": None, "enabled_columns": None, "row_filter": None, "primary_key_columns": None}
    assert api("PUT", path, json=cleared) == before | cleared
    defaults = {"sync_frequency": "6hour", "cdc_table_mode": "consolidated", "incremental_lookback_seconds": 0}
    assert api("PATCH", path, json=dict.fromkeys(defaults)) == before | cleared | defaults


def test_a_time_of_day_may_say_that_it_is_utc(quick_api: Api, shop: Shop) -> None:
    path = path_of(create(quick_api, shop))
    assert quick_api("PATCH", path, json={"sync_time_of_day": "14:15:22Z"})["sync_time_of_day"] == "14:15:22"


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"should_sync": "true"}, "should_sync"),
        ({"should_sync": None}, "should_sync"),
        ({"should_sync": 1}, "should_sync"),
        ({"should_sync": True}, "sync_type"),
        ({"sync_type": "often"}, "sync_type"),
        ({"sync_type": "webhook"}, "sync_type"),
        ({"sync_type": "cdc"}, "sync_type"),
        ({"sync_type": "append"}, "incremental_field"),
        ({"sync_frequency": "2hour"}, "sync_frequency"),
        ({"sync_frequency": "1min"}, "sync_frequency"),
        ({"sync_time_of_day": "3am"}, "sync_time_of_day"),
        ({"sync_time_of_day": "14:15"}, "sync_time_of_day"),
        ({"sync_time_of_day": "14:15:22+02:00"}, "sync_time_of_day"),
        ({"sync_time_of_day": 3}, "sync_time_of_day"),
        ({"incremental_field": 1}, "incremental_field"),
        ({"incremental_field_type": "text"}, "incremental_field_type"),
        ({"incremental_lookback_seconds": -1}, "incremental_lookback_seconds"),
        ({"incremental_lookback_seconds": 1.5}, "incremental_lookback_seconds"),
        ({"primary_key_columns": "id"}, "primary_key_columns"),
        ({"primary_key_columns": ["id", 1]}, "primary_key_columns.1"),
        ({"primary_key_columns": ["a\0"]}, "primary_key_columns.0"),
        ({"primary_key_columns": []}, "primary_key_columns"),
        ({"cdc_table_mode": "all"}, "cdc_table_mode"),
        ({"enabled_columns": ["nope", "id"]}, "enabled_columns"),
        ({"enabled_columns": {}}, "enabled_columns"),
        ({"row_filter": [{"column": "nope", "op": "=", "value": 1}]}, "row_filter"),
        ({"row_filter": [{"column": "id", "op": "~", "value": 1}]}, "row_filter.0.op"),
        ({"row_filter": [{"column": "id", "op": "=", "value": {}}]}, "row_filter.0.value"),
        ({"row_filter": [{"column": "id", "op": "=", "value": "\0"}]}, "row_filter.0.value"),
        ({"row_filter": [{"column": "id", "op": "="}]}, "row_filter.0.value"),
        ({"row_filter": [{"column": "id", "op": "in", "value": []}]}, "row_filter.0.value"),
        ({"row_filter": [{"column": "id", "op": "is_null", "value": 1}]}, "row_filter.0.value"),
        ({"row_filter": [{"column": "id", "op": "like", "value": 1}]}, "row_filter.0.value"),
        ({"type_overrides": ["id"]}, "type_overrides"),
        ({"type_overrides": {"id": 1}}, "type_overrides.id"),
        ({"type_overrides": {"nope": "string"}}, "type_overrides.nope"),
        ({"type_overrides": {"name": "decimal(10,2)"}}, "type_overrides.name"),
    ],
)
def test_a_wrong_setting_is_named_and_changes_nothing(
    quick_api: Api, shop: Shop, change: dict[str, Any], attr: str
) -> None:
    path = path_of(create(quick_api, shop))
    before = quick_api("GET", path)
    quick_api.refused("PATCH", path, attr, json={"cdc_table_mode": "both", **change})
    assert quick_api("GET", path) == before


@pytest.mark.parametrize("body", ["{", "[]", '"x"', "null", "nonsense", "\xff", '{"should_sync": NaN}', "[" * 100_000])
def test_a_body_that_is_no_object_is_400(quick_api: Api, shop: Shop, body: str) -> None:
    path = path_of(create(quick_api, shop))
    headers = {"Content-Type": "application/json"}
    error = quick_api("PATCH", path, 400, content=body.encode("latin-1"), headers=headers)
    assert error["type"] == "validation_error"


def test_forms_say_the_same_as_json(api: Api, shop: Shop) -> None:
    path = path_of(create(api, shop))
    form = {
        "sync_type": "append",
        "incremental_field": "updated_at",
        "incremental_field_type": "timestamp",
        "incremental_lookback_seconds": "60",
        "primary_key_columns": ["id", "name"],
        "row_filter": '[{"column": "id", "op": ">", "value": 1}]',
        "sync_time_of_day": "01:00:00",
        "name": "string",
    }
    answer = api("PATCH", path, data=form)
    expected = {**form, "incremental_lookback_seconds": 60, "row_filter": [{"column": "id", "op": ">", "value": 1}]}
    assert {name: answer[name] for name in form if name != "name"} == {n: v for n, v in expected.items() if n != "name"}
    assert api("PATCH", path, data={"primary_key_columns": "id"})["primary_key_columns"] == ["id"]
    assert api("PATCH", path, data={"should_sync": "true"})["should_sync"] is True
    cleared = {"sync_time_of_day": "", "row_filter": "null", "enabled_columns": "[]"}
    answer = api("PATCH", path, data=cleared)
    assert [answer[name] for name in cleared] == [None, None, []]
    api.refused("PATCH", path, "should_sync", data={"should_sync": "maybe"})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert not api("PATCH", path, content='{"should_sync": false}', headers=headers)["should_sync"]
    assert api("PATCH", path, content='{"sync_frequency": "1hour"}')["sync_frequency"] == "1hour"


def test_a_source_can_be_made_by_a_form(api: Api, shop: Shop) -> None:
    payload = json.dumps({**shop.inputs, "schemas": [CUSTOMER]})
    source = api("POST", "external_data_sources/", 201, data={"source_type": "Postgres", "payload": payload})
    assert named(source, "customer")["should_sync"]


def test_the_key_cannot_change_while_the_table_holds_data(api: Api, shop: Shop) -> None:
    source = create(api, shop, CUSTOMER)
    path = path_of(source)
    assert api("PATCH", path, json={"primary_key_columns": ["name"]})["primary_key_columns"] == ["name"]
    assert api("PATCH", path, json={"primary_key_columns": None})["primary_key_columns"] is None
    hold_data(api, named(source, "customer")["id"])
    error = api.refused("PATCH", path, "primary_key_columns", json={"primary_key_columns": ["name"]})
    assert "delete the data first" in error["detail"]
    assert api("PATCH", path, json={"primary_key_columns": ["id"], "sync_type": "append"})["sync_type"] == "append"


def test_the_table_is_shown_once_it_is_there(api: Api, shop: Shop, lake: Path) -> None:
    source = create(api, shop, CUSTOMER)
    hold_data(api, named(source, "customer")["id"])
    table = api("GET", path_of(source))["table"]
    assert uuid.UUID(table.pop("id"))
    assert table == {
        "name": "postgres_customer",
        "format": "Delta",
        "url_pattern": f"file://{lake}/project_1/postgres_customer",
        "row_count": 5,
        "size_in_s3_mib": 1.5,
        "columns": [{"key": "id", "name": "id", "type": "integer", "nullable": False}],
    }


def test_a_list_is_filtered(api: Api, shop: Shop) -> None:
    source = create(api, shop, CUSTOMER, ORDERS)
    with api.database.transaction() as session:
        session.get_one(Schema, uuid.UUID(named(source, "customer")["id"])).status = "Failed"
    other = create(api, shop, prefix="other")

    def found(**query: Any) -> set[str]:
        page = api("GET", "external_data_schemas/", params=query)
        assert page["count"] == len(page["results"])
        return {schema["name"] for schema in page["results"]}

    everything = {"customer", "keyless", "orders"}
    assert api("GET", "external_data_schemas/")["count"] == 6
    assert found(source_id=other["id"]) == everything
    assert found(source_id=source["id"], should_sync="true") == {"customer", "orders"}
    assert found(source_id=source["id"], should_sync="false") == {"keyless"}
    assert found(status="Failed") == {"customer"}
    assert found(sync_type="full_refresh") == {"orders"}
    assert found(source_id=source["id"], search="CUST") == {"customer"}
    for query in ("source_id=x", "status=Broken", "sync_type=x", "should_sync=maybe"):
        api.refused("GET", f"external_data_schemas/?{query}", query.partition("=")[0])


def test_incremental_fields_come_live_from_the_source(api: Api, own_shop: Shop) -> None:
    path = path_of(create(api, own_shop))
    own_shop.execute("ALTER TABLE customer ADD COLUMN seen_on date; CREATE INDEX ON customer (seen_on)")
    offered = api("POST", f"{path}incremental_fields/")
    fields = {field["field"]: field for field in offered["incremental_fields"]}
    assert fields.keys() == {"id", "updated_at", "seen_on"}
    assert fields["seen_on"]["is_indexed"]
    assert fields["seen_on"]["field_type"] == "date"
    assert offered["detected_primary_keys"] == ["id"]
    assert [column["name"] for column in offered["available_columns"]] == ["id", "name", "updated_at", "seen_on"]
    assert (offered["full_refresh_available"], offered["append_available"]) == (True, True)
    assert (offered["cdc_available"], offered["supports_webhooks"]) == (False, False)
    settings = {"sync_type": "append", "incremental_field": "seen_on", "incremental_field_type": "date"}
    assert api("PATCH", path, json=settings)["incremental_field"] == "seen_on"
    own_shop.execute("DROP TABLE customer")
    assert api("POST", f"{path}incremental_fields/", 400)["code"] == "schema_changed"


def test_enabling_makes_the_schedule_and_starts_a_run(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, {**CUSTOMER, "should_sync": False})
    schema_id, path = named(source, "customer")["id"], path_of(source)
    api("PATCH", path, json={"sync_frequency": "1hour"})
    assert schedules.find(schema_id) is None, "nothing is scheduled before it is enabled"
    api("PATCH", path, json={"should_sync": True})
    found = schedules.find(schema_id)
    assert found is not None
    assert found.schedule.spec.intervals[0].every.total_seconds() == 3600
    assert found.schedule.action.workflow == SYNC_SCHEMA
    assert len(found.info.running_actions) == 1
    assert api("GET", path)["status"] is None, "no worker has begun it yet"


def test_another_frequency_changes_the_schedule_and_starts_nothing(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, {**CUSTOMER, "sync_frequency": "never"})
    schema_id = named(source, "customer")["id"]
    found = schedules.find(schema_id)
    assert found is not None
    assert found.schedule.spec.intervals == []
    assert found.info.running_actions == []
    api("PATCH", path_of(source), json={"sync_frequency": "12hour", "sync_time_of_day": "03:30:00"})
    changed = schedules.find(schema_id)
    assert changed is not None
    assert changed.schedule.spec.intervals[0].offset is not None
    assert changed.schedule.spec.intervals[0].offset.total_seconds() == 3.5 * 3600
    assert changed.info.running_actions == []


def test_disabling_pauses_the_schedule_and_stops_the_run(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, CUSTOMER)
    schema_id, path = named(source, "customer")["id"], path_of(source)
    [run] = schedules.running(schema_id)
    api("PATCH", path, json={"should_sync": False})
    found = schedules.find(schema_id)
    assert found is not None
    assert found.schedule.state.paused
    assert schedules.signals(run) == ["cancel"]
    for call in ("reload", "resync"):
        assert api("POST", f"{path}{call}/", 400)["code"] == "disabled"
    api("PATCH", path, json={"should_sync": True})
    resumed = schedules.find(schema_id)
    assert resumed is not None
    assert not resumed.schedule.state.paused


def test_resync_raises_the_generation_and_tells_the_run(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, CUSTOMER)
    schema_id = named(source, "customer")["id"]
    [run] = schedules.running(schema_id)
    assert api("POST", f"{path_of(source)}resync/") is None
    assert state_of(api, schema_id).generation == 2
    assert schedules.signals(run) == ["resync"]


def test_cancel_signals_the_run_or_conflicts(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, CUSTOMER)
    [run] = schedules.running(named(source, "customer")["id"])
    assert api("POST", f"{path_of(source)}cancel", content="{not json") is None
    assert schedules.signals(run) == ["cancel"]
    error = api.refused("POST", f"{path_of(source, 'orders')}cancel/", None, 409)
    assert error["type"] == "conflict"


def test_reload_starts_a_run(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, {**CUSTOMER, "sync_frequency": "never"}, {**ORDERS, "should_sync": False})
    schema_id = named(source, "customer")["id"]
    assert schedules.running(schema_id) == []
    assert api("POST", f"{path_of(source)}reload/") is None
    assert len(schedules.running(schema_id)) == 1
    assert api("POST", f"{path_of(source, 'orders')}reload/", 400)["code"] == "disabled"
    assert api("POST", f"{path_of(source, 'keyless')}reload/", 400)["code"] == "not_configured"


def test_reloading_a_source_starts_every_enabled_schema(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, {**CUSTOMER, "sync_frequency": "never"}, {**ORDERS, "sync_frequency": "never"})
    assert api("POST", f"external_data_sources/{source['id']}/reload/") is None
    ran = {s["name"] for s in source["schemas"] if schedules.running(s["id"])}
    assert ran == {"customer", "orders"}


def test_reload_makes_a_schedule_that_is_missing(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, CUSTOMER)
    schema_id = named(source, "customer")["id"]
    schedules.delete(schema_id)
    api("POST", f"{path_of(source)}reload/")
    assert schedules.find(schema_id) is not None


def test_deleting_takes_the_schedule_along(api: Api, shop: Shop, schedules: Schedules) -> None:
    source = create(api, shop, CUSTOMER)
    schema_id, path = named(source, "customer")["id"], path_of(source)
    api("DELETE", path, 204)
    api("GET", path, 404)
    assert schedules.find(schema_id) is None
    assert not state_of(api, schema_id).erase_pending, "no run ever wrote anything"
    refreshed = api("POST", f"external_data_sources/{source['id']}/refresh_schemas/")
    assert refreshed == {"added": 1, "deleted": 0, "total_tables_seen": 3}
    again = named(api("GET", f"external_data_sources/{source['id']}/"), "customer")
    assert (again["should_sync"], again["sync_type"], again["id"] == schema_id) == (False, None, False)
