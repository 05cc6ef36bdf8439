"""Change data capture where it cannot be had or is not on: every call says so, and nothing is changed."""

from typing import Any

import pytest

from connectors.postgres import PostgresConnector
from metadata.keys import READ_SCOPE
from tests.api.conftest import Api, Shop

SENTENCE = "Change data capture is not available for sources of the type Postgres in this version."
PROBLEM = {
    "code": "unsupported",
    "message": SENTENCE,
    "fix": "Copy its tables as incremental, append or full_refresh.",
}
OFF: dict[str, Any] = {
    **dict.fromkeys(("management_mode", "slot_name", "publication_name", "auto_drop_slot", "delete_mode")),
    **dict.fromkeys(("lag_warning_threshold_mb", "lag_critical_threshold_mb", "continuous")),
    **dict.fromkeys(("slot_exists", "publication_exists", "slot_active", "wal_status", "forecast_seconds")),
    **dict.fromkeys(("lag_bytes", "lag_seconds", "retained_bytes", "limit_bytes")),
    **dict.fromkeys(("captured_position", "captured_at", "latest_error")),
    "enabled": False,
    "published_tables": [],
    "tables": [],
    "events": [],
}


@pytest.fixture
def path(quick_api: Api, shop: Shop) -> str:
    return f"external_data_sources/{quick_api('POST', 'external_data_sources/', 201, json=shop.body())['id']}"


@pytest.fixture
def without_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgresConnector, "sync_types", ("full_refresh", "incremental", "append"))


@pytest.mark.usefixtures("without_capture")
def test_a_type_that_cannot_says_so_before_a_source_is_made(quick_api: Api, shop: Shop) -> None:
    body = {"source_type": "Postgres", **shop.inputs, "tables": ["customer"], "cdc_management_mode": "self_managed"}
    found = quick_api("POST", "external_data_sources/check_cdc_prerequisites/", json=body)
    assert found == {"valid": False, "errors": [PROBLEM]}
    quick_api.refused("POST", "external_data_sources/check_cdc_prerequisites/", "port", json={**body, "port": 0})
    wanted = shop.body()
    wanted["payload"]["cdc_enabled"] = True
    error = quick_api.refused("POST", "external_data_sources/", "payload.cdc_enabled", json=wanted)
    assert error["code"] == "unsupported"


@pytest.mark.usefixtures("without_capture")
def test_a_type_that_cannot_says_so_of_a_source(quick_api: Api, path: str) -> None:
    before = quick_api("GET", f"{path}/")
    for body in ({}, {"cdc_slot_name": "mine", "cdc_publication_name": "mine"}):
        found = quick_api("POST", f"{path}/check_cdc_prerequisites_for_source/", json=body)
        assert found == {"valid": False, "errors": [PROBLEM]}
    for body in ({}, {"cdc_management_mode": "managed", "cdc_lag_warning_threshold_mb": 10}):
        error = quick_api.refused("POST", f"{path}/enable_cdc/", None, json=body)
        assert (error["code"], error["detail"]) == ("unsupported", SENTENCE)
    assert quick_api("GET", f"{path}/") == before
    wizard = quick_api("GET", "external_data_sources/wizard/")
    assert not wizard["Postgres"]["capabilities"]["cdc"]


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"source_type": "Oracle"}, "source_type"),
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"password": "wr0ng"}, "password"),
        ({"cdc_management_mode": "by hand"}, "cdc_management_mode"),
        ({"cdc_management_mode": "self_managed"}, "cdc_slot_name"),
        ({"cdc_management_mode": "self_managed", "cdc_slot_name": "mine"}, "cdc_publication_name"),
        ({"cdc_slot_name": "s" * 64}, "cdc_slot_name"),
        ({"tables": "customer"}, "tables"),
        ({"tables": ["a\0"]}, "tables.0"),
    ],
)
def test_a_wrong_question_is_refused(quick_api: Api, shop: Shop, change: dict[str, Any], attr: str) -> None:
    body = {"source_type": "Postgres", **shop.inputs, **change}
    quick_api.refused("POST", "external_data_sources/check_cdc_prerequisites/", attr, json=body)


def test_a_wrong_question_about_a_source_is_refused(quick_api: Api, path: str) -> None:
    call = f"{path}/check_cdc_prerequisites_for_source/"
    quick_api.refused("POST", call, "tables.0", json={"tables": [7]})
    quick_api.refused("POST", call, "cdc_slot_name", json={"cdc_management_mode": "self_managed"})


def test_disabling_what_is_not_enabled_is_done_already(quick_api: Api, path: str) -> None:
    assert quick_api("POST", f"{path}/disable_cdc/") == {"success": True, "already_disabled": True}


def test_there_are_no_settings_to_change(quick_api: Api, path: str) -> None:
    error = quick_api.refused("POST", f"{path}/update_cdc_settings/", None, json={"cdc_auto_drop_slot": False})
    assert error["code"] == "cdc_not_enabled"


@pytest.mark.parametrize("call", ["enable_cdc", "update_cdc_settings"])
@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"cdc_auto_drop_slot": "no"}, "cdc_auto_drop_slot"),
        ({"cdc_lag_warning_threshold_mb": 0}, "cdc_lag_warning_threshold_mb"),
        ({"cdc_lag_critical_threshold_mb": 1.5}, "cdc_lag_critical_threshold_mb"),
        ({"cdc_lag_warning_threshold_mb": 10, "cdc_lag_critical_threshold_mb": 10}, None),
        ({"cdc_delete_mode": "never"}, "cdc_delete_mode"),
        ({"cdc_continuous": 1}, "cdc_continuous"),
    ],
)
def test_bad_settings(quick_api: Api, path: str, call: str, body: dict[str, Any], attr: str | None) -> None:
    error = quick_api.refused("POST", f"{path}/{call}/", attr, json=body)
    assert error["code"] not in ("unsupported", "cdc_not_enabled")


def test_its_status(quick_api: Api, path: str) -> None:
    assert quick_api.with_key(READ_SCOPE)("GET", f"{path}/cdc_status/") == OFF
