"""The rules of PATCH, without a server."""

from dataclasses import replace
from datetime import time
from typing import Any

import pytest

from api.schema_rules import Effects, RuleError, SchemaSettings, TableFacts, check, effects, newly_captured

ORDERS = TableFacts(
    columns=frozenset({"id", "region", "total", "updated_at", "day"}),
    primary_key=("id",),
    cursor_types={"id": "integer", "total": "numeric", "updated_at": "timestamp", "day": "date"},
)
KEYLESS = TableFacts(columns=ORDERS.columns, primary_key=(), cursor_types=ORDERS.cursor_types)
FRESH = SchemaSettings()
INCREMENTAL = SchemaSettings(
    should_sync=True, sync_type="incremental", incremental_field="updated_at", incremental_field_type="timestamp"
)


def change(before: SchemaSettings, table: TableFacts = ORDERS, **changes: Any) -> SchemaSettings:
    after = before.with_changes(changes)
    check(before, after, table)
    return after


def holding_data(table: TableFacts) -> TableFacts:
    return TableFacts(table.columns, table.primary_key, table.cursor_types, holds_data=True)


def test_absent_stays_and_null_brings_back_the_default() -> None:
    before = SchemaSettings(sync_frequency="1hour", sync_time_of_day=time(3), cdc_table_mode="both")
    after = before.with_changes({"sync_frequency": None, "sync_time_of_day": None})
    assert after == SchemaSettings(sync_frequency="6hour", cdc_table_mode="both")


@pytest.mark.parametrize(
    ("before", "table", "changes", "attr"),
    [
        pytest.param(FRESH, ORDERS, {"sync_type": "cdc"}, "sync_type", id="cdc"),
        pytest.param(FRESH, ORDERS, {"sync_type": "webhook"}, "sync_type", id="webhook"),
        pytest.param(FRESH, ORDERS, {"should_sync": True}, "sync_type", id="enabled without a type"),
        pytest.param(INCREMENTAL, ORDERS, {"sync_type": None}, "sync_type", id="type cleared while enabled"),
        pytest.param(FRESH, ORDERS, {"sync_type": "incremental"}, "incremental_field", id="no cursor"),
        pytest.param(FRESH, ORDERS, {"sync_type": "append"}, "incremental_field", id="no cursor for append"),
        pytest.param(
            FRESH,
            ORDERS,
            {"sync_type": "append", "incremental_field": "id"},
            "incremental_field_type",
            id="no cursor type",
        ),
        pytest.param(
            FRESH,
            ORDERS,
            {"sync_type": "append", "incremental_field": "region", "incremental_field_type": "integer"},
            "incremental_field",
            id="not offered",
        ),
        pytest.param(
            FRESH,
            ORDERS,
            {"sync_type": "append", "incremental_field": "total", "incremental_field_type": "date"},
            "incremental_field_type",
            id="another type",
        ),
        pytest.param(INCREMENTAL, ORDERS, {"incremental_field": None}, "incremental_field", id="cursor cleared"),
        pytest.param(FRESH, ORDERS, {"incremental_field": "nope"}, "incremental_field", id="unknown cursor, no type"),
        pytest.param(
            FRESH,
            KEYLESS,
            {"sync_type": "incremental", "incremental_field": "id", "incremental_field_type": "integer"},
            "primary_key_columns",
            id="no key",
        ),
        pytest.param(INCREMENTAL, ORDERS, {"primary_key_columns": []}, "primary_key_columns", id="empty key"),
        pytest.param(INCREMENTAL, ORDERS, {"primary_key_columns": ["no"]}, "primary_key_columns", id="unknown key"),
        pytest.param(
            INCREMENTAL, ORDERS, {"primary_key_columns": ["id", "id"]}, "primary_key_columns", id="key named twice"
        ),
        pytest.param(
            INCREMENTAL,
            holding_data(ORDERS),
            {"primary_key_columns": ["id", "region"]},
            "primary_key_columns",
            id="key changed over data",
        ),
        pytest.param(FRESH, ORDERS, {"sync_frequency": "1min"}, "sync_frequency", id="1min"),
        pytest.param(FRESH, ORDERS, {"enabled_columns": ["id", "x", "b"]}, "enabled_columns", id="unknown columns"),
        pytest.param(
            FRESH,
            ORDERS,
            {"row_filter": [{"column": "x", "op": "=", "value": 1}]},
            "row_filter",
            id="unknown filter column",
        ),
    ],
)
def test_a_broken_rule_names_its_setting(
    before: SchemaSettings, table: TableFacts, changes: dict[str, Any], attr: str
) -> None:
    with pytest.raises(RuleError) as raised:
        change(before, table, **changes)
    assert raised.value.attr == attr


TYPED = TableFacts.from_discovered(
    {
        "columns": [
            {"name": "n", "kind": "integer"},
            {"name": "mood", "kind": "enum", "labels": ["ok", "sad"]},
            {"name": "doc", "kind": "document"},
            {"name": "tags", "kind": "array"},
            {"name": "early", "type": "text"},
        ],
    }
)


@pytest.mark.parametrize(
    ("clause", "attr"),
    [
        ({"column": "n", "op": "=", "value": "many"}, "row_filter.1.value"),
        ({"column": "n", "op": "in", "value": [1, "many"]}, "row_filter.1.value"),
        ({"column": "mood", "op": "!=", "value": "glad"}, "row_filter.1.value"),
        ({"column": "doc", "op": "=", "value": "{}"}, "row_filter.1.op"),
        ({"column": "tags", "op": "like", "value": "a%"}, "row_filter.1.op"),
        ({"column": "early", "op": "=", "value": 1}, "row_filter.1.value"),
    ],
)
def test_a_filter_that_its_column_does_not_take(clause: dict[str, Any], attr: str) -> None:
    with pytest.raises(RuleError) as raised:
        change(FRESH, TYPED, row_filter=[{"column": "n", "op": ">", "value": 1}, clause])
    assert raised.value.attr == attr


CHOOSABLE = TableFacts.from_discovered(
    {
        "columns": [
            {"name": "id", "kind": "integer"},
            {"name": "updated_at", "kind": "timestamptz"},
            {"name": "price", "kind": "numeric"},
            {"name": "ratio", "kind": "float"},
            {"name": "tags", "kind": "array"},
        ],
        "primary_key": ["id"],
        "incremental_fields": [
            {"field": "id", "field_type": "integer"},
            {"field": "updated_at", "field_type": "timestamp"},
        ],
    }
)


@pytest.mark.parametrize(
    ("overrides", "attr"),
    [
        ({"nope": "string"}, "type_overrides.nope"),
        ({"price": "string", "tags": "long"}, "type_overrides.tags"),
        ({"price": "text"}, "type_overrides.price"),
        ({"price": "decimal"}, "type_overrides.price"),
        ({"price": "decimal(39,2)"}, "type_overrides.price"),
        ({"price": "decimal(5,6)"}, "type_overrides.price"),
        ({"price": "timestamp"}, "type_overrides.price"),
        ({"ratio": "decimal(10,2)"}, "type_overrides.ratio"),
        ({"updated_at": "timestamp_ntz"}, "type_overrides.updated_at"),
        ({"id": "double"}, "type_overrides.id"),
    ],
)
def test_a_type_that_its_column_does_not_take(overrides: dict[str, str], attr: str) -> None:
    with pytest.raises(RuleError) as raised:
        change(INCREMENTAL, CHOOSABLE, type_overrides=overrides)
    assert raised.value.attr == attr


def test_types_that_their_columns_take() -> None:
    wanted = {"id": "decimal(20,0)", "price": "double", "ratio": "string", "tags": "string"}
    chosen = change(INCREMENTAL, CHOOSABLE, type_overrides=wanted)
    assert chosen.type_overrides == wanted
    assert change(chosen, CHOOSABLE, type_overrides=None).type_overrides is None
    whole = change(chosen, CHOOSABLE, sync_type="full_refresh", type_overrides={"updated_at": "string", "id": "double"})
    with pytest.raises(RuleError, match="is the cursor") as raised:
        change(whole, CHOOSABLE, sync_type="incremental")
    assert raised.value.attr == "incremental_field"
    by_id = {"sync_type": "incremental", "incremental_field": "id", "incremental_field_type": "integer"}
    floating = change(FRESH, CHOOSABLE, type_overrides={"ratio": "string"})
    with pytest.raises(RuleError, match="part of the key") as raised:
        change(floating, CHOOSABLE, **by_id, primary_key_columns=["ratio"])
    assert raised.value.attr == "primary_key_columns"


def test_floating_point_numbers_are_no_key() -> None:
    with pytest.raises(RuleError, match="ratio is part of the key, but its floating-point numbers") as raised:
        change(INCREMENTAL, CHOOSABLE, primary_key_columns=["id", "ratio"])
    assert raised.value.attr == "primary_key_columns"
    whole = change(FRESH, CHOOSABLE, sync_type="full_refresh", primary_key_columns=["ratio"])
    assert change(
        whole, CHOOSABLE, incremental_field="id", incremental_field_type="integer", sync_type="append"
    ).primary_key_columns == ["ratio"]
    with pytest.raises(RuleError, match="choose other key columns, or append instead"):
        change(whole, CHOOSABLE, incremental_field="id", incremental_field_type="integer", sync_type="incremental")


def test_no_columns_need_a_key_or_a_cursor() -> None:
    assert change(INCREMENTAL, enabled_columns=[]).enabled_columns == []
    whole = SchemaSettings(sync_type="full_refresh")
    assert change(whole, ORDERS, enabled_columns=[]).enabled_columns == []
    with pytest.raises(RuleError, match="No column would be left") as raised:
        change(whole, KEYLESS, enabled_columns=[])
    assert raised.value.attr == "enabled_columns"
    appended = {"sync_type": "append", "incremental_field": "id", "incremental_field_type": "integer"}
    by_cursor = change(FRESH, KEYLESS, **appended, enabled_columns=[])
    with pytest.raises(RuleError, match="No column would be left"):
        change(by_cursor, KEYLESS, sync_type="full_refresh")


def test_a_first_key_may_be_named_over_data() -> None:
    whole = SchemaSettings(should_sync=True, sync_type="full_refresh")
    by_key = {**INCREMENTAL.as_dict(), "primary_key_columns": ["id"]}
    assert change(whole, holding_data(KEYLESS), **by_key).primary_key_columns == ["id"]
    lost_its_key = holding_data(KEYLESS)
    assert change(INCREMENTAL, lost_its_key, primary_key_columns=["id"]).primary_key_columns == ["id"]
    with pytest.raises(RuleError, match="delete the data first"):
        change(whole, holding_data(ORDERS), primary_key_columns=["region"])


def test_unknown_columns_are_named_in_order() -> None:
    with pytest.raises(RuleError, match=r"no such column: b, x\."):
        change(FRESH, enabled_columns=["x", "id", "b"])


@pytest.mark.parametrize(
    ("field", "field_type"),
    [("id", "integer"), ("id", "numeric"), ("updated_at", "datetime"), ("updated_at", "timestamp"), ("day", "date")],
)
def test_a_cursor_that_discovery_offers(field: str, field_type: str) -> None:
    wanted = {"sync_type": "incremental", "incremental_field": field, "incremental_field_type": field_type}
    assert change(FRESH, **wanted).incremental_field == field


def test_a_given_key_stands_in_for_a_missing_one() -> None:
    wanted = {"sync_type": "incremental", "incremental_field": "id", "incremental_field_type": "integer"}
    assert change(FRESH, KEYLESS, **wanted, primary_key_columns=["region", "id"]).primary_key_columns == [
        "region",
        "id",
    ]


def test_naming_the_detected_key_over_data_changes_nothing() -> None:
    assert change(INCREMENTAL, holding_data(ORDERS), primary_key_columns=["id"]).primary_key_columns == ["id"]


def test_switching_modes_over_data_is_the_workers_affair() -> None:
    assert change(INCREMENTAL, holding_data(ORDERS), sync_type="full_refresh").sync_type == "full_refresh"


def test_a_vanished_table_cannot_be_enabled_but_disabled() -> None:
    gone = TableFacts(frozenset(), (), {}, vanished=True, holds_data=True)
    assert not change(INCREMENTAL, gone, should_sync=False).should_sync
    with pytest.raises(RuleError):
        change(SchemaSettings(sync_type="full_refresh"), gone, should_sync=True)


def test_what_is_not_touched_is_not_held_against_a_change() -> None:
    before = SchemaSettings(sync_type="full_refresh", enabled_columns=["dropped_meanwhile"])
    assert change(before, sync_frequency="1hour").enabled_columns == ["dropped_meanwhile"]


PAUSED = INCREMENTAL.with_changes({"should_sync": False})
MANUAL = PAUSED.with_changes({"sync_frequency": "never"})


@pytest.mark.parametrize(
    ("before", "changes", "expected"),
    [
        pytest.param(PAUSED, {"should_sync": True}, Effects(schedule=True, start=True), id="enabling"),
        pytest.param(MANUAL, {"should_sync": True}, Effects(schedule=True), id="enabling what runs by hand only"),
        pytest.param(INCREMENTAL, {"should_sync": False}, Effects(schedule=True, stop=True), id="disabling"),
        pytest.param(INCREMENTAL, {"should_sync": True}, Effects(), id="enabled before"),
        pytest.param(INCREMENTAL, {"sync_frequency": "1hour"}, Effects(schedule=True), id="frequency"),
        pytest.param(INCREMENTAL, {"sync_time_of_day": time(3)}, Effects(schedule=True), id="time of day"),
        pytest.param(PAUSED, {"sync_frequency": "1hour"}, Effects(), id="frequency while disabled"),
        pytest.param(INCREMENTAL, {"sync_type": "append"}, Effects(), id="mode"),
    ],
)
def test_what_a_change_sets_off(before: SchemaSettings, changes: dict[str, Any], expected: Effects) -> None:
    assert effects(before, before.with_changes(changes)) == expected


# Change data capture

CAPTURED = replace(ORDERS, captured=True)
FULL = SchemaSettings(should_sync=True, sync_type="full_refresh")
IN_CDC = SchemaSettings(should_sync=True, sync_type="cdc", sync_frequency="1min")


@pytest.mark.parametrize(
    ("before", "table", "changes", "attr"),
    [
        pytest.param(FULL, ORDERS, {"sync_type": "cdc"}, "sync_type", id="off"),
        pytest.param(FULL, replace(CAPTURED, kind="view"), {"sync_type": "cdc"}, "sync_type", id="a view"),
        pytest.param(FULL, replace(CAPTURED, primary_key=()), {"sync_type": "cdc"}, "primary_key_columns", id="no key"),
        pytest.param(
            replace(FULL, row_filter=[{"column": "id", "op": "=", "value": 1}]),
            CAPTURED,
            {"sync_type": "cdc"},
            "row_filter",
            id="filtered before",
        ),
        pytest.param(
            IN_CDC, CAPTURED, {"row_filter": [{"column": "id", "op": "=", "value": 1}]}, "row_filter", id="filtered"
        ),
        pytest.param(IN_CDC, CAPTURED, {"type_overrides": {"id": "string"}}, "type_overrides", id="overridden"),
        pytest.param(IN_CDC, CAPTURED, {"sync_type": "full_refresh"}, "sync_frequency", id="1min elsewhere"),
        pytest.param(
            replace(IN_CDC, should_sync=False), ORDERS, {"should_sync": True}, "sync_type", id="enabled again"
        ),
    ],
)
def test_a_rule_of_cdc_names_its_setting(
    before: SchemaSettings, table: TableFacts, changes: dict[str, Any], attr: str
) -> None:
    with pytest.raises(RuleError) as raised:
        change(before, table, **changes)
    assert raised.value.attr == attr


def test_a_partitioned_table_and_a_chosen_key_will_do() -> None:
    table = replace(CAPTURED, kind="partitioned_table", primary_key=())
    assert change(FULL, table, sync_type="cdc", primary_key_columns=["id", "day"]).sync_type == "cdc"


def test_what_is_captured_already_can_always_be_disabled() -> None:
    assert not change(IN_CDC, replace(ORDERS, kind="view"), should_sync=False).should_sync
    assert change(IN_CDC, ORDERS, sync_frequency="5min").sync_frequency == "5min"


@pytest.mark.parametrize(
    ("before", "changes", "fresh", "frequency"),
    [
        (FRESH, {"sync_type": "cdc"}, True, "5min"),
        (FRESH, {"sync_type": "cdc"}, False, "6hour"),
        (FRESH, {"sync_type": "cdc", "sync_frequency": "6hour"}, True, "6hour"),
        (FRESH, {"sync_type": "cdc", "sync_frequency": None}, False, "5min"),
        (replace(FRESH, sync_frequency="1hour"), {"sync_type": "cdc"}, True, "1hour"),
        (replace(FRESH, sync_type="cdc"), {"should_sync": True}, True, "6hour"),
        (FRESH, {"sync_type": "full_refresh"}, True, "6hour"),
    ],
)
def test_five_minutes_are_the_default_where_nobody_chose(
    before: SchemaSettings, changes: dict[str, Any], fresh: bool, frequency: str
) -> None:
    assert before.with_changes(changes, fresh=fresh).sync_frequency == frequency


@pytest.mark.parametrize(
    ("before", "changes", "told", "asked"),
    [
        (FULL, {"sync_type": "cdc"}, True, True),
        (replace(IN_CDC, should_sync=False), {"should_sync": True}, True, True),
        (FRESH, {"sync_type": "cdc"}, False, True),
        (IN_CDC, {"should_sync": False}, True, False),
        (IN_CDC, {"sync_type": "append"}, True, False),
        (IN_CDC, {"sync_frequency": "5min"}, True, False),
        (IN_CDC, {"primary_key_columns": ["region"]}, True, False),
        (IN_CDC, {"cdc_table_mode": "both"}, False, False),
        (FULL, {"sync_frequency": "5min"}, False, False),
    ],
)
def test_the_capture_hears_of_what_concerns_it(
    before: SchemaSettings, changes: dict[str, Any], told: bool, asked: bool
) -> None:
    after = before.with_changes(changes)
    assert effects(before, after).capture == told
    assert newly_captured(before, after) == asked
