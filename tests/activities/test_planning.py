"""What a run decides, from the settings and the table's own position."""

from dataclasses import replace

import pytest

from activities.planning import Action, Intent, decide
from lake.position import EMPTY, Position

INCREMENTAL = Intent("incremental", generation=1, primary_key=("id",), cursor_field="updated_at")
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


@pytest.mark.parametrize(
    ("intent", "table"),
    [
        (INCREMENTAL, replace(TABLE, mode="append", primary_key=())),
        (replace(INCREMENTAL, primary_key=("id", "tenant")), TABLE),
        (replace(INCREMENTAL, selection="[id]"), TABLE),
        (replace(INCREMENTAL, cursor_field="id"), replace(TABLE, loaded=False)),
    ],
    ids=["append to incremental", "other key", "other columns", "other cursor before the load ended"],
)
def test_rows_that_cannot_be_proven_right_are_rebuilt_in_a_new_generation(intent: Intent, table: Position) -> None:
    decision = decide(intent, table)
    assert decision.action is Action.REBUILD
    assert decision.new_generation
    assert decision.reason
    assert decision.base.sequence == 0
