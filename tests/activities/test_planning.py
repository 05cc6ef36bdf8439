"""What a run decides, from the settings and the table's own position."""

import json
from dataclasses import replace
from typing import Any

import pytest

from activities.planning import Action, Intent, decide
from lake.position import EMPTY, LogMark, Position

INCREMENTAL = Intent("incremental", generation=1, primary_key=("id",), cursor_field="updated_at")
SEEN = frozenset({"id", "name", "updated_at"})
TABLE = Position(
    sequence=7,
    fence=4,
    generation=1,
    run_id="r",
    batch=0,
    mode="incremental",
    primary_key=("id",),
    cursor_field="updated_at",
    cursor="2026-01-01T00:00:00.000000",
    loaded=True,
    version=9,
)


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "append"])
def test_nothing_there_is_a_first_load(mode: str) -> None:
    decision = decide(replace(INCREMENTAL, mode=mode), EMPTY)
    assert decision.action is Action.LOAD
    assert decision.base.sequence == 0
    assert decision.base.cursor is None
    assert decision.base.mode == mode


def test_unchanged_settings_continue_from_the_cursor() -> None:
    decision = decide(INCREMENTAL, TABLE)
    assert decision.action is Action.CONTINUE
    assert decision.base == TABLE


def test_an_interrupted_first_load_goes_on_where_it_stopped() -> None:
    decision = decide(INCREMENTAL, replace(TABLE, loaded=False))
    assert decision.action is Action.CONTINUE
    assert decision.base.cursor == TABLE.cursor


def test_full_refresh_overwrites_whatever_is_there() -> None:
    decision = decide(Intent("full_refresh", 1), TABLE)
    assert decision.action is Action.OVERWRITE
    assert decision.base.sequence == TABLE.sequence
    assert decision.base.cursor is None


BATCHED = Intent("full_refresh", generation=2, batches_of="job")


@pytest.mark.parametrize(
    ("table", "shadow", "new_generation"),
    [
        (EMPTY, EMPTY, False),
        (replace(TABLE, generation=2), EMPTY, True),
        (TABLE, EMPTY, False),
        (TABLE, replace(TABLE, generation=2, run_id="another job"), True),
        (EMPTY, replace(TABLE, generation=2, run_id="another job"), True),
    ],
)
def test_a_full_refresh_in_batches_begins_out_of_sight(table: Position, shadow: Position, new_generation: bool) -> None:
    decision = decide(BATCHED, table, shadow)
    assert (decision.action, decision.new_generation) == (Action.REBUILD, new_generation)
    assert (decision.base.sequence, decision.base.state, decision.base.mode) == (0, None, "full_refresh")


def test_a_full_refresh_in_batches_goes_on_with_its_own() -> None:
    shadow = Position(sequence=3, generation=2, run_id="job", mode="full_refresh", state="page 4", loaded=True)
    decision = decide(BATCHED, TABLE, shadow)
    assert (decision.action, decision.new_generation) == (Action.REBUILD, False)
    assert decision.base == replace(shadow, columns=None)


def test_a_read_that_is_not_over_goes_by_its_cursor_alone() -> None:
    begun = replace(TABLE, state="page 4")
    assert decide(INCREMENTAL, begun).base.state == "page 4"
    assert decide(replace(INCREMENTAL, mode="append"), begun).base.state == "page 4"
    decision = decide(replace(INCREMENTAL, cursor_field="created_at"), begun)
    assert (decision.action, decision.new_generation, decision.base.state) == (Action.REBUILD, True, None)


def test_full_refresh_of_a_table_that_followed_a_log_has_no_place_in_it() -> None:
    decision = decide(Intent("full_refresh", 1), replace(TABLE, mode="cdc", log=LogMark(1, 5, 100, "members")))
    assert (decision.action, decision.base.log) == (Action.OVERWRITE, None)


def test_a_raised_generation_rebuilds_without_touching_the_old_rows() -> None:
    decision = decide(replace(INCREMENTAL, generation=2), TABLE)
    assert decision.action is Action.REBUILD
    assert decision.base.sequence == 0
    assert not decision.new_generation


def test_a_rebuild_under_way_goes_on_from_its_shadow() -> None:
    shadow = replace(TABLE, sequence=3, generation=2, cursor="2025-06-01T00:00:00.000000", loaded=False)
    decision = decide(replace(INCREMENTAL, generation=2), TABLE, shadow)
    assert decision.action is Action.REBUILD
    assert decision.base == shadow


def test_a_shadow_of_other_settings_is_not_gone_on_with() -> None:
    shadow = replace(TABLE, sequence=3, generation=2, cursor_field="created_at", loaded=False)
    decision = decide(replace(INCREMENTAL, generation=2), TABLE, shadow)
    assert decision.action is Action.REBUILD
    assert decision.new_generation
    assert decision.base.sequence == 0


def test_full_refresh_to_incremental_keeps_the_rows_and_takes_over_the_cursor() -> None:
    stored = replace(TABLE, mode="full_refresh", primary_key=(), cursor_field=None, cursor=None)
    decision = decide(INCREMENTAL, stored)
    assert decision.action is Action.TAKE_OVER
    assert decision.base.sequence == stored.sequence


def test_another_cursor_field_takes_over() -> None:
    decision = decide(replace(INCREMENTAL, cursor_field="id"), TABLE)
    assert decision.action is Action.TAKE_OVER
    assert decision.base.cursor is None


def test_disabled_columns_are_taken_out_and_the_rows_stay() -> None:
    narrower = replace(INCREMENTAL, columns=("id", "updated_at"), known_columns=SEEN)
    for table in (TABLE, replace(TABLE, columns=tuple(sorted(SEEN))), replace(TABLE, loaded=False)):
        decision = decide(narrower, table)
        assert decision.action is Action.NARROW
        assert decision.base == table
        after = decide(narrower, replace(table, columns=narrower.columns))
        assert (after.action, after.base.cursor) == (Action.CONTINUE, TABLE.cursor)


def test_naming_all_columns_or_none_is_the_same_while_nothing_else_is_there() -> None:
    everything = replace(TABLE, columns=tuple(sorted(SEEN)))
    decision = decide(replace(INCREMENTAL, known_columns=SEEN), everything)
    assert decision.action is Action.CONTINUE
    assert decision.base == TABLE


def test_columns_go_before_a_cursor_is_taken_over() -> None:
    intent = replace(INCREMENTAL, cursor_field="id", columns=("id",), known_columns=SEEN)
    assert decide(intent, TABLE).action is Action.NARROW
    assert decide(intent, replace(TABLE, columns=("id",))).action is Action.TAKE_OVER


def test_appended_rows_are_held_against_the_key_before_they_are_replaced_by_it() -> None:
    decision = decide(INCREMENTAL, replace(TABLE, mode="append", primary_key=()))
    assert decision.action is Action.TAKE_OVER
    assert (decision.base.cursor, decision.base.primary_key) == (TABLE.cursor, ("id",))


def test_incremental_to_append_goes_on() -> None:
    decision = decide(replace(INCREMENTAL, mode="append", primary_key=()), TABLE)
    assert decision.action is Action.CONTINUE
    assert (decision.base.mode, decision.base.primary_key) == ("append", ())


@pytest.mark.parametrize("change", [{"columns": ("id", "updated_at")}, {"row_filter": "[1]"}])
def test_a_rebuild_under_other_settings_begins_anew(change: dict[str, Any]) -> None:
    shadow = replace(TABLE, sequence=3, generation=2, loaded=False)
    decision = decide(replace(INCREMENTAL, generation=2, **change), TABLE, shadow)
    assert (decision.action, decision.new_generation, decision.base.sequence) == (Action.REBUILD, True, 0)


@pytest.mark.parametrize(
    ("intent", "table"),
    [
        (replace(INCREMENTAL, primary_key=("id", "tenant")), TABLE),
        (replace(INCREMENTAL, row_filter="[1]"), TABLE),
        (INCREMENTAL, replace(TABLE, row_filter="[1]")),
        (replace(INCREMENTAL, columns=("id", "name", "updated_at")), replace(TABLE, columns=("id", "updated_at"))),
        (replace(INCREMENTAL, known_columns=SEEN), replace(TABLE, columns=("id", "updated_at"))),
        (INCREMENTAL, replace(TABLE, columns=("id", "updated_at"))),
        (replace(INCREMENTAL, cursor_field="id"), replace(TABLE, loaded=False)),
        (replace(INCREMENTAL, mode="append", primary_key=()), replace(TABLE, loaded=False)),
        (INCREMENTAL, Position(sequence=7, generation=1)),
    ],
    ids=[
        "other key",
        "a row filter",
        "a row filter cleared",
        "a column enabled",
        "all columns enabled",
        "all columns enabled, none known",
        "other cursor before the load ended",
        "other mode before the load ended",
        "a position that got lost",
    ],
)
def test_rows_that_cannot_be_proven_right_are_rebuilt_in_a_new_generation(intent: Intent, table: Position) -> None:
    decision = decide(intent, table)
    assert decision.action is Action.REBUILD
    assert decision.new_generation
    assert decision.reason
    assert decision.base.sequence == 0


TEXT = (("name", "string"),)


@pytest.mark.parametrize(
    ("intent", "table"),
    [
        (replace(INCREMENTAL, type_overrides=TEXT), TABLE),
        (INCREMENTAL, replace(TABLE, type_overrides=TEXT)),
        (replace(INCREMENTAL, type_overrides=(("name", "double"),)), replace(TABLE, type_overrides=TEXT)),
    ],
)
def test_another_type_of_a_column_rebuilds(intent: Intent, table: Position) -> None:
    decision = decide(intent, table)
    assert (decision.action, decision.new_generation) == (Action.REBUILD, True)
    assert decision.base.type_overrides == intent.type_overrides
    begun = replace(table, type_overrides=intent.type_overrides, generation=2, cursor="x", loaded=False)
    again = decide(replace(intent, generation=2), table, begun)
    assert (again.action, again.new_generation, again.base.cursor) == (Action.REBUILD, False, "x")
    other = decide(replace(intent, generation=2), table, replace(begun, type_overrides=(("id", "string"),)))
    assert (other.action, other.new_generation) == (Action.REBUILD, True)


def test_the_type_of_a_column_that_is_not_copied_does_not_matter() -> None:
    without = replace(INCREMENTAL, columns=("id", "updated_at"), type_overrides=TEXT)
    assert decide(without, replace(TABLE, columns=("id", "updated_at"))).action is Action.CONTINUE
    narrowing = replace(INCREMENTAL, columns=("id", "updated_at"))
    assert decide(narrowing, replace(TABLE, type_overrides=TEXT)).action is Action.NARROW


def test_a_position_keeps_its_types_as_text() -> None:
    position = replace(TABLE, type_overrides=TEXT)
    assert Position.from_dict(json.loads(json.dumps(position.as_dict()))) == position


EVENTS = Intent("webhook", generation=1, primary_key=("id",))
KEPT_BY_EVENTS = replace(TABLE, mode="webhook", cursor_field=None, cursor=None, state='{"gone": null, "taken": "x"}')


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "append", "cdc"])
def test_rows_that_do_not_know_how_new_they_are_are_read_anew_for_events(mode: str) -> None:
    decision = decide(EVENTS, replace(TABLE, mode=mode))
    assert (decision.action, decision.new_generation) == (Action.REBUILD, True)
    assert decision.base.sequence == 0


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_rows_of_events_are_not_gone_on_with_by_a_cursor(mode: str) -> None:
    decision = decide(replace(INCREMENTAL, mode=mode), KEPT_BY_EVENTS)
    assert (decision.action, decision.new_generation) == (Action.REBUILD, True)


def test_events_go_on_from_what_the_table_has_of_its_inbox() -> None:
    decision = decide(EVENTS, KEPT_BY_EVENTS)
    assert (decision.action, decision.base) == (Action.CONTINUE, KEPT_BY_EVENTS)


@pytest.mark.parametrize(
    "change",
    [
        {"row_filter": "[...]"},
        {"columns": ("id", "name"), "known_columns": SEEN},
        {"type_overrides": (("name", "string"),)},
    ],
)
def test_what_cannot_be_read_again_is_never_given_up_for_other_settings(change: dict[str, Any]) -> None:
    """They hold for what comes from then on."""
    intent = replace(EVENTS, reads=False, **change)
    table = replace(KEPT_BY_EVENTS, columns=intent.columns)
    decision = decide(intent, table)
    assert decision.action is Action.CONTINUE
    assert (decision.base.sequence, decision.base.state) == (table.sequence, table.state)
