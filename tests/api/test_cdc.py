"""Change data capture of real sources: turned on and off whole or not at all, and what it lets tables do."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from api.actions import capture_setup
from connectors.errors import UnreachableError
from connectors.postgres import PostgresConnector
from metadata.captures import Captures
from metadata.models import Capture, Schema, SchemaState, Source, Wish, utc_now
from metadata.vault import Vault, generate_key
from tests.api.conftest import CUSTOMER, Api, Shop
from tests.api.test_cdc_routes import OFF
from tests.api.test_sources import create, hold_data, named

CDC = {"sync_type": "cdc", "should_sync": True}
MIB = 2**20
DATABASE_AWAY = OperationalError("COMMIT", {}, Exception("the disk is full"))


def capturing_source(api: Api, shop: Shop, *schemas: dict[str, Any], **settings: Any) -> dict[str, Any]:
    body = shop.body(*schemas)
    body["payload"] |= {"cdc_enabled": True, **settings}
    source: dict[str, Any] = api("POST", "external_data_sources/", 201, json=body)
    return source


def at(source: dict[str, Any]) -> str:
    return f"external_data_sources/{source['id']}"


def schema_path(source: dict[str, Any], name: str = "customer") -> str:
    return f"external_data_schemas/{named(source, name)['id']}/"


def usual_name(source: dict[str, Any]) -> str:
    return f"syncline_{uuid.UUID(source['id']).hex}"


def capture_of(api: Api, source: dict[str, Any]) -> Capture | None:
    with api.database.read() as session:
        return session.get(Capture, uuid.UUID(source["id"]))


def store(api: Api, source: dict[str, Any], **fields: Any) -> None:
    with api.database.transaction() as session:
        capture = session.get_one(Capture, uuid.UUID(source["id"]))
        for name, value in fields.items():
            setattr(capture, name, value)
        session.add(capture)


def removed(api: Api, source: dict[str, Any]) -> None:
    """As the workflow does that removes a capture, whose worker does not run here."""
    Captures(api.database, Vault([generate_key()])).removed(source["id"])


@contextmanager
def broken(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception) -> Iterator[None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        yield


# Prerequisites


def test_what_stands_in_the_way_is_named_with_its_fix(quick_api: Api, plain_shop: Shop) -> None:
    body = {"source_type": "Postgres", **plain_shop.inputs}
    found = quick_api("POST", "external_data_sources/check_cdc_prerequisites/", json=body)
    assert not found["valid"]
    assert [error["code"] for error in found["errors"]] == ["wal_level"]
    assert all(error["message"] and error["fix"] for error in found["errors"])
    source = create(quick_api, plain_shop)
    assert quick_api("POST", f"{at(source)}/check_cdc_prerequisites_for_source/") == found

    refused = quick_api("POST", f"{at(source)}/enable_cdc/", 400)
    assert refused["errors"] == found["errors"]
    assert refused["message"] == found["errors"][0]["message"]
    assert (refused["type"], refused["code"]) == ("validation_error", "prerequisites_not_met")
    assert capture_of(quick_api, source) is None


def test_nothing_stands_in_the_way_of_good_tables(quick_api: Api, own_shop: Shop) -> None:
    body = {"source_type": "Postgres", **own_shop.inputs, "tables": ["customer", "orders"]}
    fine = {"valid": True, "errors": []}
    assert quick_api("POST", "external_data_sources/check_cdc_prerequisites/", json=body) == fine
    source = create(quick_api, own_shop)
    assert quick_api("POST", f"{at(source)}/check_cdc_prerequisites_for_source/") == fine
    assert own_shop.slots() == own_shop.publications() == []


@pytest.mark.parametrize("name", ["nothing", "", "no\nsuch", "a" * 400, '"', "keyless", "ü.ü"])
def test_bad_tables_are_problems(quick_api: Api, own_shop: Shop, name: str) -> None:
    body = {"source_type": "Postgres", **own_shop.inputs, "tables": ["customer", name or " "]}
    found = quick_api("POST", "external_data_sources/check_cdc_prerequisites/", json=body)
    assert not found["valid"]
    [problem] = found["errors"]
    assert problem["message"]
    source = create(quick_api, own_shop)
    again = quick_api("POST", f"{at(source)}/check_cdc_prerequisites_for_source/", json={"tables": body["tables"]})
    assert again == found


def test_a_table_without_a_key_is_a_problem_whatever_it_logs(quick_api: Api, own_shop: Shop) -> None:
    own_shop.execute("ALTER TABLE keyless REPLICA IDENTITY FULL")
    body = {"source_type": "Postgres", **own_shop.inputs, "tables": ["keyless"]}
    found = quick_api("POST", "external_data_sources/check_cdc_prerequisites/", json=body)
    assert [error["code"] for error in found["errors"]] == ["no_key"]


def test_a_source_that_is_away_is_400(quick_api: Api, own_shop: Shop) -> None:
    source = capturing_source(quick_api, own_shop)
    with quick_api.database.transaction() as session:
        row = session.get_one(Source, uuid.UUID(source["id"]))
        vault = quick_api.client.app.state.backend.vault  # type: ignore[attr-defined]
        row.encrypted_inputs = vault.encrypt({**own_shop.inputs, "port": 1})
    for method, call in [("POST", "check_cdc_prerequisites_for_source"), ("GET", "cdc_status")]:
        error = quick_api.refused(method, f"{at(source)}/{call}/", None)
        assert error["code"] == "unreachable"


# On


def test_enabling_makes_slot_and_publication(api: Api, own_shop: Shop) -> None:
    source = create(api, own_shop)
    assert api("POST", f"{at(source)}/enable_cdc/") == {"success": True, "schedules_ready": True}
    assert own_shop.slots() == own_shop.publications() == [usual_name(source)]
    status = api("GET", f"{at(source)}/cdc_status/")
    assert status == OFF | {
        "enabled": True,
        "management_mode": "managed",
        "slot_name": usual_name(source),
        "publication_name": usual_name(source),
        "lag_warning_threshold_mb": 1024,
        "lag_critical_threshold_mb": 10240,
        "auto_drop_slot": False,
        "delete_mode": "hard",
        "continuous": False,
        "slot_exists": True,
        "publication_exists": True,
        "slot_active": False,
        "wal_status": "reserved",
        "lag_bytes": status["lag_bytes"],
        "lag_seconds": status["lag_seconds"],
        "retained_bytes": status["retained_bytes"],
        "captured_position": status["captured_position"],
        "events": status["events"],
    }
    high, low = status["captured_position"].split("/")
    [(confirmed,)] = own_shop.ask(
        f"SELECT (confirmed_flush_lsn - '0/0')::int8 FROM pg_replication_slots WHERE slot_name = '{usual_name(source)}'"
    )
    assert int(high, 16) * 2**32 + int(low, 16) == confirmed
    assert [event["fields"]["event"] for event in status["events"]] == ["enabled"]
    capture = capture_of(api, source)
    assert capture is not None
    assert capture.cluster
    error = api.refused("POST", f"{at(source)}/enable_cdc/", None, 409)
    assert error["code"] == "already_enabled"


def test_settings_are_kept_from_the_start(api: Api, own_shop: Shop) -> None:
    source = create(api, own_shop)
    body = {
        "cdc_slot_name": "of_the_shop",
        "cdc_publication_name": "Of the shop",
        "cdc_lag_warning_threshold_mb": 1,
        "cdc_lag_critical_threshold_mb": 2,
        "cdc_auto_drop_slot": True,
        "cdc_delete_mode": "soft",
        "cdc_continuous": True,
    }
    api("POST", f"{at(source)}/enable_cdc/", json=body)
    status = api("GET", f"{at(source)}/cdc_status/")
    assert {name: status[name.removeprefix("cdc_")] for name in body} == body
    assert (own_shop.slots(), own_shop.publications()) == (["of_the_shop"], ["Of the shop"])


def test_slot_and_publication_may_be_the_users_own(api: Api, own_shop: Shop) -> None:
    source = create(api, own_shop)
    mine = {"cdc_management_mode": "self_managed", "cdc_slot_name": "mine", "cdc_publication_name": "mine"}
    api.refused("POST", f"{at(source)}/enable_cdc/", "cdc_slot_name", json={"cdc_management_mode": "self_managed"})
    assert api("POST", f"{at(source)}/enable_cdc/", 400, json=mine)["errors"]
    own_shop.execute("CREATE PUBLICATION mine FOR TABLE customer WITH (publish_via_partition_root = true)")
    own_shop.ask("SELECT pg_create_logical_replication_slot('mine', 'pgoutput')")
    api("POST", f"{at(source)}/enable_cdc/", json=mine)
    status = api("GET", f"{at(source)}/cdc_status/")
    assert (status["management_mode"], status["published_tables"]) == ("self_managed", ["customer"])


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"cdc_lag_warning_threshold_mb": 10240}, "cdc_lag_warning_threshold_mb"),
        ({"cdc_lag_critical_threshold_mb": 1024}, "cdc_lag_critical_threshold_mb"),
    ],
)
def test_one_threshold_is_held_against_the_others_default(
    quick_api: Api, own_shop: Shop, body: dict[str, Any], attr: str
) -> None:
    source = create(quick_api, own_shop)
    quick_api.refused("POST", f"{at(source)}/enable_cdc/", attr, json=body)
    assert own_shop.slots() == []


def test_a_slot_that_is_somebody_elses_stays(quick_api: Api, own_shop: Shop) -> None:
    own_shop.ask("SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')")
    source = create(quick_api, own_shop)
    refused = quick_api("POST", f"{at(source)}/enable_cdc/", 400, json={"cdc_slot_name": "theirs"})
    assert [error["code"] for error in refused["errors"]] == ["slot_taken"]
    assert (own_shop.slots(), own_shop.publications()) == (["theirs"], [])


def test_two_sources_never_share_a_slot(quick_api: Api, own_shop: Shop) -> None:
    shared = {"cdc_slot_name": "syncline_shared"}
    one, two = create(quick_api, own_shop), create(quick_api, own_shop, prefix="two_")
    quick_api("POST", f"{at(one)}/enable_cdc/", json=shared)
    assert quick_api.refused("POST", f"{at(two)}/enable_cdc/", None, 409, json=shared)["code"] == "taken"
    assert capture_of(quick_api, two) is None
    assert own_shop.slots() == ["syncline_shared"]


def test_of_many_who_enable_at_once_one_wins_and_keeps_its_slot(api: Api, own_shop: Shop) -> None:
    source = create(api, own_shop)
    together = threading.Barrier(4)

    def enable(_: int) -> int:
        together.wait(30)
        return api.respond("POST", f"{at(source)}/enable_cdc/").status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(enable, range(4)))
    assert statuses == [200, 409, 409, 409]
    assert own_shop.slots() == [usual_name(source)]
    assert api("GET", f"{at(source)}/cdc_status/")["slot_exists"]


# Nothing is left where it fails


def test_a_database_that_fails_leaves_nothing_behind(api: Api, own_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    source = create(api, own_shop)
    with broken(monkeypatch, capture_setup, "start_capture", DATABASE_AWAY):
        api("POST", f"{at(source)}/enable_cdc/", 503)
        assert (own_shop.slots(), own_shop.publications(), capture_of(api, source)) == ([], [], None)
        wanted = own_shop.body({"name": "customer", **CDC}, prefix="new_")
        wanted["payload"]["cdc_enabled"] = True
        api("POST", "external_data_sources/", 503, json=wanted)
    assert (own_shop.slots(), own_shop.publications()) == ([], [])
    with api.database.read() as session:
        assert session.exec(select(Source.id).where(Source.project_id == api.project_id)).all() == [
            uuid.UUID(source["id"])
        ]
        assert session.exec(select(Capture).where(Capture.project_id == api.project_id)).all() == []
    api("POST", f"{at(source)}/enable_cdc/")


def test_what_cannot_be_dropped_at_once_is_dropped_later(
    api: Api, own_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = create(api, own_shop)
    with (
        broken(monkeypatch, capture_setup, "start_capture", DATABASE_AWAY),
        broken(monkeypatch, PostgresConnector, "tear_down_capture", UnreachableError("The source is away.")),
    ):
        api("POST", f"{at(source)}/enable_cdc/", 503)
    assert own_shop.slots() == [usual_name(source)]
    intent = Captures(api.database, Vault([generate_key()])).intent(api.project_id, source["id"])
    assert intent is not None
    assert intent.removing
    assert api("GET", f"{at(source)}/cdc_status/") == OFF
    assert api.refused("POST", f"{at(source)}/enable_cdc/", None, 409)["code"] == "being_removed"


def test_a_set_up_that_is_refused_touches_nothing(api: Api, own_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    source = create(api, own_shop)
    with broken(monkeypatch, PostgresConnector, "set_up_capture", UnreachableError("The source is away.")):
        assert api.refused("POST", f"{at(source)}/enable_cdc/", None)["code"] == "unreachable"
    assert capture_of(api, source) is None
    api("POST", f"{at(source)}/enable_cdc/")


def test_a_claim_that_nobody_keeps_runs_out(api: Api, own_shop: Shop) -> None:
    source = capturing_source(api, own_shop)
    store(api, source, removing=True, claimed_until=utc_now() + timedelta(minutes=1))
    assert api.refused("POST", f"{at(source)}/enable_cdc/", None, 409)["code"] == "being_enabled"
    store(api, source, claimed_until=utc_now() - timedelta(seconds=1))
    assert api.refused("POST", f"{at(source)}/enable_cdc/", None, 409)["code"] == "being_removed"


# A source that is made with it


def test_a_source_can_be_made_with_it(api: Api, own_shop: Shop) -> None:
    orders = {"name": "orders", **CDC, "sync_frequency": "1min", "cdc_table_mode": "both", "cdc_delete_mode": "soft"}
    source = capturing_source(api, own_shop, {"name": "customer", **CDC}, orders, cdc_delete_mode="soft")
    assert own_shop.slots() == [usual_name(source)]
    customer, orders = named(source, "customer"), named(source, "orders")
    assert (customer["sync_type"], customer["sync_frequency"]) == ("cdc", "5min")
    assert (orders["sync_frequency"], orders["cdc_table_mode"], orders["cdc_delete_mode"]) == ("1min", "both", "soft")
    status = api("GET", f"{at(source)}/cdc_status/")
    assert status["published_tables"] == ["customer", "orders"]
    assert [table["name"] for table in status["tables"]] == ["customer", "orders"]
    assert status["delete_mode"] == "soft"
    intent = Captures(api.database, Vault([generate_key()])).intent(api.project_id, source["id"])
    assert intent is not None
    assert intent.frequency == "1min"
    assert {table.name: table.primary_key for table in intent.tables} == {"customer": ("id",), "orders": ("id",)}


@pytest.mark.parametrize(
    ("schema", "settings", "attr"),
    [
        ({"name": "keyless", **CDC}, {}, "payload.schemas.0.primary_key_columns"),
        ({"name": "customer", **CDC}, {"cdc_enabled": False}, "payload.schemas.0.sync_type"),
        ({"name": "customer", **CDC}, {"cdc_management_mode": "self_managed"}, "payload.cdc_slot_name"),
        ({"name": "customer", **CDC}, {"cdc_lag_critical_threshold_mb": 5}, "payload.cdc_lag_critical_threshold_mb"),
        ({"name": "customer", **CDC, "row_filter": [{"column": "id", "op": "=", "value": 1}]}, {}, "row_filter"),
    ],
)
def test_a_wrong_plan_makes_nothing(
    quick_api: Api, own_shop: Shop, schema: dict[str, Any], settings: dict[str, Any], attr: str
) -> None:
    body = own_shop.body(schema)
    body["payload"] |= {"cdc_enabled": True, **settings}
    full = attr if attr.startswith("payload") else f"payload.schemas.0.{attr}"
    quick_api.refused("POST", "external_data_sources/", full, json=body)
    assert quick_api("GET", "external_data_sources/")["count"] == 0
    assert (own_shop.slots(), own_shop.publications()) == ([], [])


def test_a_source_that_cannot_have_it_is_not_made(quick_api: Api, plain_shop: Shop) -> None:
    body = plain_shop.body({"name": "customer", **CDC})
    body["payload"]["cdc_enabled"] = True
    assert [error["code"] for error in quick_api("POST", "external_data_sources/", 400, json=body)["errors"]] == [
        "wal_level"
    ]
    assert quick_api("GET", "external_data_sources/")["count"] == 0


def test_a_prefix_that_is_taken_meanwhile_leaves_nothing(
    quick_api: Api, own_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(quick_api, own_shop)
    monkeypatch.setattr("api.actions.create_source.check_prefix", lambda *_: None)
    body = own_shop.body()
    body["payload"]["cdc_enabled"] = True
    assert quick_api.refused("POST", "external_data_sources/", "prefix", json=body)["code"] == "prefix_taken"
    assert own_shop.slots() == []
    with quick_api.database.read() as session:
        assert len(session.exec(select(Source.id).where(Source.project_id == quick_api.project_id)).all()) == 1


def test_a_direct_source_has_none(quick_api: Api, own_shop: Shop) -> None:
    source = create(quick_api, own_shop, prefix="live_", access_method="direct")
    assert quick_api.refused("POST", f"{at(source)}/enable_cdc/", None)["code"] == "direct_source"
    body = own_shop.body(prefix="more_", access_method="direct")
    body["payload"]["cdc_enabled"] = True
    quick_api.refused("POST", "external_data_sources/", "payload.cdc_enabled", json=body)


# Tables


def test_a_table_can_be_captured_once_its_source_is(api: Api, own_shop: Shop) -> None:
    source = create(api, own_shop)
    path = schema_path(source)
    assert api.refused("PATCH", path, "sync_type", json=CDC)["detail"].startswith("Change data capture is not enabled")
    assert not api("POST", f"{path}incremental_fields/")["cdc_available"]
    api("POST", f"{at(source)}/enable_cdc/")
    assert api("POST", f"{path}incremental_fields/")["cdc_available"]
    changed = api("PATCH", path, json=CDC)
    assert (changed["sync_type"], changed["sync_frequency"], changed["incremental"]) == ("cdc", "5min", False)
    assert api("PATCH", path, json={"sync_frequency": "1min"})["sync_frequency"] == "1min"
    assert api("PATCH", path, json={"sync_frequency": None})["sync_frequency"] == "5min"
    api("PATCH", path, json={"sync_frequency": "1min"})
    api.refused("PATCH", path, "sync_frequency", json={"sync_type": "full_refresh"})
    changed = api("PATCH", path, json={"sync_type": "full_refresh", "sync_frequency": None})
    assert changed["sync_frequency"] == "6hour"


@pytest.mark.parametrize(
    ("given", "frequency"),
    [({}, "5min"), ({"sync_frequency": "6hour"}, "6hour"), ({"sync_frequency": "1hour"}, "1hour")],
)
def test_a_frequency_that_was_chosen_stays(
    quick_api: Api, own_shop: Shop, given: dict[str, Any], frequency: str
) -> None:
    path = schema_path(capturing_source(quick_api, own_shop))
    assert quick_api("PATCH", path, json={"sync_type": "cdc", **given})["sync_frequency"] == frequency
    assert quick_api("PATCH", path, json={"should_sync": True})["sync_frequency"] == frequency


@pytest.mark.parametrize(
    ("name", "change", "attr"),
    [
        ("keyless", CDC, "primary_key_columns"),
        ("customer", {**CDC, "row_filter": [{"column": "id", "op": ">", "value": 1}]}, "row_filter"),
        ("customer", {**CDC, "type_overrides": {"name": "binary"}}, "type_overrides"),
        ("adults", CDC, "sync_type"),
        ("orders", {"sync_type": "full_refresh", "sync_frequency": "1min"}, "sync_frequency"),
    ],
)
def test_a_table_that_cannot_be_captured(
    quick_api: Api, own_shop: Shop, name: str, change: dict[str, Any], attr: str
) -> None:
    own_shop.execute("CREATE VIEW adults AS SELECT * FROM customer")
    source = capturing_source(quick_api, own_shop)
    before = quick_api("GET", schema_path(source, name))
    error = quick_api("PATCH", schema_path(source, name), 400, json=change)
    assert error["attr"] == attr
    assert attr not in ("row_filter", "type_overrides") or attr in error["detail"]
    many = {"schemas": [{"id": named(source, name)["id"], **change}]}
    again = quick_api("PATCH", f"{at(source)}/bulk_update_schemas/", 400, json=many)
    assert (again["attr"], again["detail"]) == (f"schemas.0.{attr}", error["detail"])
    assert quick_api("GET", schema_path(source, name)) == before


def test_the_source_is_asked_before_a_table_is_captured(quick_api: Api, own_shop: Shop) -> None:
    source = capturing_source(quick_api, own_shop)
    own_shop.execute("ALTER TABLE customer REPLICA IDENTITY NOTHING")
    for call, body, attr in [
        (schema_path(source), CDC, "sync_type"),
        (
            f"{at(source)}/bulk_update_schemas/",
            {"schemas": [{"id": named(source, name)["id"], **CDC} for name in ("orders", "customer")]},
            "schemas.1.sync_type",
        ),
    ]:
        error = quick_api("PATCH", call, 400, json=body)
        assert (error["attr"], error["code"]) == (attr, "prerequisites_not_met")
        assert [problem["code"] for problem in error["errors"]] == ["no_replica_identity"]
        assert error["errors"][0]["fix"] in error["detail"]
    assert not any(schema["sync_type"] for schema in quick_api("GET", f"{at(source)}/")["schemas"])


def test_the_scheduler_hears_of_each_change(quick_api: Api, own_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[int, str]] = []
    relay = quick_api.client.app.state.backend.relay  # type: ignore[attr-defined]
    monkeypatch.setattr(relay, "capture_changed", lambda *which: heard.append(which) is None)
    source = capturing_source(quick_api, own_shop)
    one = (quick_api.project_id, source["id"])
    path = schema_path(source)
    changes: list[tuple[dict[str, Any], int]] = [
        ({"sync_type": "cdc"}, 0),
        ({"should_sync": True}, 1),
        ({"sync_frequency": "15min"}, 1),
        ({"sync_frequency": "15min"}, 0),
        ({"cdc_delete_mode": "soft"}, 0),
        ({"sync_type": "full_refresh"}, 1),
        (CDC, 1),
        ({"should_sync": False}, 1),
    ]
    for change, times in changes:
        heard.clear()
        quick_api("PATCH", path, json=change)
        assert heard == [one] * times, change
    quick_api("PATCH", path, json=CDC)
    for call, body, times in [
        ("PATCH", {"schemas": [{"id": named(source, "customer")["id"], "sync_frequency": "1hour"}]}, 1),
        ("DELETE", None, 1),
    ]:
        heard.clear()
        where = f"{at(source)}/bulk_update_schemas/" if body else path
        quick_api(call, where, 200 if body else 204, json=body)
        assert heard == [one] * times


# Its settings and its status


def test_settings_change_one_by_one(api: Api, own_shop: Shop) -> None:
    source = capturing_source(api, own_shop)
    call = f"{at(source)}/update_cdc_settings/"
    assert api("POST", call) == {"success": True, "unchanged": True}
    changes: list[tuple[dict[str, Any], bool]] = [
        ({"cdc_auto_drop_slot": True}, False),
        ({"cdc_auto_drop_slot": True}, True),
        ({"cdc_lag_warning_threshold_mb": 10239}, False),
        ({"cdc_lag_warning_threshold_mb": 20, "cdc_lag_critical_threshold_mb": 21}, False),
        ({"cdc_delete_mode": "soft", "cdc_continuous": True}, False),
        ({"cdc_auto_drop_slot": None, "cdc_lag_critical_threshold_mb": None}, False),
    ]
    for body, unchanged in changes:
        assert api("POST", call, json=body) == {"success": True, "unchanged": unchanged}, body
    status = api("GET", f"{at(source)}/cdc_status/")
    assert (status["auto_drop_slot"], status["delete_mode"], status["continuous"]) == (False, "soft", True)
    assert (status["lag_warning_threshold_mb"], status["lag_critical_threshold_mb"]) == (20, 10240)
    for attr, value in [("cdc_lag_warning_threshold_mb", 10240), ("cdc_lag_critical_threshold_mb", 20)]:
        api.refused("POST", call, attr, json={attr: value})


def test_the_status_shows_how_far_it_came(api: Api, own_shop: Shop) -> None:
    source = capturing_source(api, own_shop, {"name": "customer", **CDC})
    own_shop.execute("INSERT INTO customer SELECT n, 'more' FROM generate_series(10, 1000) n")
    captures = Captures(api.database, Vault([generate_key()]))
    captures.captured(source["id"], 1, 3, 0x16_B374D848, utc_now() - timedelta(minutes=2))
    store(api, source, growth=10 * MIB, critical_mb=2000, warning_mb=1000)
    customer = named(source, "customer")
    for epoch, applied in [(1, "16/B374D000"), (2, None)]:
        with api.database.transaction() as session:
            state = session.get_one(SchemaState, uuid.UUID(customer["id"]))
            state.position = {"log": {"epoch": epoch, "sequence": 2, "position": 0x16_B374D000}}
            session.add(state)
        status = api("GET", f"{at(source)}/cdc_status/")
        assert status["tables"] == [
            {
                "id": customer["id"],
                "name": "customer",
                "applied_position": applied,
                "applied_at": None,
                "status": customer["status"],
            }
        ]
    assert status["captured_position"] == "16/B374D848"
    assert 120 <= status["lag_seconds"] < 600
    assert status["lag_bytes"] > 0
    assert status["forecast_seconds"] == pytest.approx((2000 * MIB - status["retained_bytes"]) / (10 * MIB))
    store(api, source, growth=-1.0)
    assert api("GET", f"{at(source)}/cdc_status/")["forecast_seconds"] is None


def test_events_are_the_newest_twenty(quick_api: Api, own_shop: Shop) -> None:
    source = capturing_source(quick_api, own_shop)
    captures = Captures(quick_api.database, Vault([generate_key()]))
    for number in range(25):
        captures.event(source["id"], "warning", f"Event {number}.", {"event": "told", "number": number})
    events = quick_api("GET", f"{at(source)}/cdc_status/")["events"]
    assert [event["fields"]["number"] for event in events] == list(range(24, 4, -1))
    assert events[0]["level"] == "warning"


def test_what_is_wrong_with_it_shows_at_the_source(quick_api: Api, own_shop: Shop) -> None:
    source = capturing_source(quick_api, own_shop, {"name": "customer", **CDC})
    captures = Captures(quick_api.database, Vault([generate_key()]))

    def shown() -> Any:
        error = quick_api("GET", f"{at(source)}/")["latest_error"]
        assert quick_api("GET", f"{at(source)}/cdc_status/")["latest_error"] == error
        return error

    assert shown() is None
    captures.watched(source["id"], 1024 * MIB, 0, None, "extended", utc_now())
    assert shown() == "The source keeps 1,024 MB of its log for change data capture: the warning threshold is 1,024 MB."
    captures.watched(source["id"], 20000 * MIB, 0, None, "extended", utc_now())
    assert "the critical threshold is 10,240 MB" in shown()
    captures.failed(source["id"], "The slot is gone.")
    assert shown() == "The slot is gone."


# Off


def test_disabling_leaves_tables_and_data(api: Api, own_shop: Shop) -> None:
    source = capturing_source(api, own_shop, {"name": "customer", **CDC}, {"name": "orders", "sync_type": "cdc"})
    api("PATCH", schema_path(source, "keyless"), json={"sync_type": "full_refresh", "should_sync": True})
    hold_data(api, named(source, "customer")["id"])
    assert api("POST", f"{at(source)}/disable_cdc/") == {"success": True, "already_disabled": False}
    assert api("POST", f"{at(source)}/disable_cdc/") == {"success": True, "already_disabled": True}
    after = api("GET", f"{at(source)}/")
    assert {schema["name"]: (schema["sync_type"], schema["should_sync"]) for schema in after["schemas"]} == {
        "customer": (None, False),
        "orders": (None, False),
        "keyless": ("full_refresh", True),
    }
    assert named(after, "customer")["table"] is not None
    assert api("GET", f"{at(source)}/cdc_status/") == OFF
    capture = capture_of(api, source)
    assert capture is not None
    assert capture.removing
    assert api.refused("POST", f"{at(source)}/enable_cdc/", None, 409)["code"] == "being_removed"
    api.refused("PATCH", schema_path(source), "sync_type", json=CDC)
    with api.database.read() as session:
        assert session.exec(select(Wish).where(Wish.project_id == api.project_id)).all() == []


def test_the_next_capture_of_a_source_is_another_epoch(api: Api, own_shop: Shop) -> None:
    source = capturing_source(api, own_shop)
    for epoch in (1, 2, 3):
        capture = capture_of(api, source)
        assert capture is not None
        assert capture.epoch == epoch
        api("POST", f"{at(source)}/disable_cdc/")
        removed(api, source)
        assert capture_of(api, source) is None
        api("POST", f"{at(source)}/enable_cdc/")


def test_a_deleted_source_has_its_capture_removed(api: Api, own_shop: Shop) -> None:
    source = capturing_source(api, own_shop, {"name": "customer", **CDC})
    api("DELETE", f"{at(source)}/", 204)
    captures = Captures(api.database, api.client.app.state.backend.vault)  # type: ignore[attr-defined]
    intent = captures.intent(api.project_id, source["id"])
    assert intent is not None
    assert (intent.removing, intent.tables) == (True, ())
    assert captures.inputs(source["id"])["database"] == own_shop.database


def test_a_table_is_never_captured_without_a_capture(api: Api, own_shop: Shop) -> None:
    """However its setting and the end of the capture meet."""
    source = capturing_source(api, own_shop)
    calls = [("PATCH", schema_path(source), CDC), ("POST", f"{at(source)}/disable_cdc/", {})]
    together = threading.Barrier(2)

    def change(call: tuple[str, str, Any]) -> int:
        together.wait(30)
        method, path, body = call
        return api.respond(method, path, json=body).status_code

    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            patched, disabled = pool.map(change, calls)
        assert patched in (200, 400)
        assert disabled == 200
        with api.database.read() as session:
            assert session.get_one(Schema, uuid.UUID(named(source, "customer")["id"])).sync_type is None
        removed(api, source)
        api("POST", f"{at(source)}/enable_cdc/")


def test_another_mode_than_cdc_needs_no_capture(quick_api: Api, own_shop: Shop) -> None:
    source = create(quick_api, own_shop, CUSTOMER)
    assert named(source, "customer")["sync_type"] == "incremental"


def moved(shop: Shop, source: dict[str, Any], api: Api, **inputs: Any) -> None:
    api("PATCH", f"{at(source)}/", json={"job_inputs": {"password": shop.inputs["password"], **inputs}})


def test_a_source_that_moves_leaves_no_slot_at_its_old_place(quick_api: Api, own_shop: Shop, shop: Shop) -> None:
    source = capturing_source(quick_api, own_shop)
    moved(own_shop, source, quick_api, user="postgres")
    assert own_shop.slots() == [usual_name(source)]
    moved(own_shop, source, quick_api, database=shop.database)
    assert (own_shop.slots(), own_shop.publications()) == ([], [])


def test_a_place_that_does_not_answer_any_more_keeps_no_source_from_moving(
    quick_api: Api, own_shop: Shop, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = capturing_source(quick_api, own_shop)

    def away(self: PostgresConnector, config: Any, setup: Any) -> None:
        raise UnreachableError("Nothing answers there.")

    monkeypatch.setattr(PostgresConnector, "tear_down_capture", away)
    moved(own_shop, source, quick_api, database=shop.database)
    events = quick_api("GET", f"{at(source)}/cdc_status/")["events"]
    assert "may still be at the place" in events[0]["message"]
