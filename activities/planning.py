"""What a run does with what is there: intent from the database, facts from the table's own log. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from lake.position import EMPTY, Position

KEYED = ("incremental", "cdc", "webhook")
OWN_ROWS = ("cdc", "webhook")
"""Modes whose rows say more of themselves than those of others: they are never made of those."""


class Action(StrEnum):
    LOAD = "first load"
    CONTINUE = "continue"
    TAKE_OVER = "take over the cursor"
    """The rows are right; the cursor starts at the table's own maximum of the new field."""
    NARROW = "take columns out"
    """The rows stay. Where they stand then is to be decided anew."""
    REBUILD = "rebuild"
    """In a shadow generation; readers keep the old rows until it is whole."""
    OVERWRITE = "overwrite"


@dataclass(frozen=True)
class Intent:
    """What the settings ask for."""

    mode: str
    generation: int
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None
    columns: tuple[str, ...] | None = None
    """Those to be read, key and cursor among them, in the order of the alphabet; None for all there are."""
    row_filter: str = ""
    type_overrides: tuple[tuple[str, str], ...] = ()
    """Columns and the types that were chosen for them, in the order of the alphabet."""
    known_columns: frozenset[str] = frozenset()
    """What discovery last saw: it tells whether "all" is more than what was selected before."""
    reads: bool = True
    """Rows can be read anew; of a table that is made of events alone they cannot."""
    batches_of: str | None = None
    """The run for which a full refresh is read in batches, out of sight; None where it comes in one."""


@dataclass(frozen=True)
class Decision:
    action: Action
    base: Position
    """What the first batch builds on. For a take-over its cursor is still to be read from the table."""
    new_generation: bool = False
    """The rebuild needs a generation of its own first: the settings changed what the rows mean."""
    reason: str = ""


Broken = Callable[[Position], str | None]
"""Why the change log cannot bring a table from there up to date; None where it can."""


def _whole(_: Position) -> str | None:
    return None


def decide(intent: Intent, table: Position, shadow: Position = EMPTY, broken: Broken = _whole) -> Decision:
    """Compare intent with the table's position (and its shadow's, where a rebuild may be under way)."""
    if intent.mode == "full_refresh" and intent.batches_of is not None:
        return _in_batches(intent, table, shadow)
    if intent.mode == "full_refresh":
        return Decision(Action.OVERWRITE if table.sequence else Action.LOAD, _towards(intent, table))
    if table.sequence == 0:
        if intent.mode == "cdc":
            # Out of sight as well: what is read is no state of the source until the changes meanwhile are in it.
            return _rebuild(intent, shadow, "", broken)
        return Decision(Action.LOAD, _towards(intent, EMPTY))
    if table.generation != intent.generation:
        return _rebuild(intent, shadow, "its rows are to be read anew", broken)
    if reason := _unprovable(intent, table) or _out_of_log(intent, table, broken):
        return Decision(Action.REBUILD, _towards(intent, EMPTY), new_generation=True, reason=reason)
    if intent.columns is not None and table.columns != intent.columns:
        return Decision(Action.NARROW, table, reason="columns were disabled")
    if reason := _to_be_taken_over(intent, table):
        return Decision(Action.TAKE_OVER, _towards(intent, table), reason=reason)
    return Decision(Action.CONTINUE, _towards(intent, table))


def _rebuild(intent: Intent, shadow: Position, reason: str, broken: Broken) -> Decision:
    begun = (
        shadow.sequence > 0
        and shadow.generation == intent.generation
        and shadow.mode == intent.mode
        and shadow.cursor_field == intent.cursor_field
        and (shadow.columns, shadow.row_filter) == (intent.columns, intent.row_filter)
        and shadow.type_overrides == intent.type_overrides
        and (intent.mode not in KEYED or shadow.primary_key == intent.primary_key)
        and not _out_of_log(intent, shadow, broken)
    )
    if shadow.sequence > 0 and not begun:
        return Decision(Action.REBUILD, _towards(intent, EMPTY), new_generation=True, reason=reason)
    return Decision(Action.REBUILD, _towards(intent, shadow if begun else EMPTY), reason=reason)


def _in_batches(intent: Intent, table: Position, shadow: Position) -> Decision:
    """Only the run itself goes on with what it has begun: another one reads another state of the source."""
    if shadow.sequence > 0 and shadow.run_id == intent.batches_of and shadow.generation == intent.generation:
        return Decision(Action.REBUILD, _towards(intent, shadow))
    taken = shadow.sequence > 0 or (table.sequence > 0 and table.generation == intent.generation)
    return Decision(Action.REBUILD, _towards(intent, EMPTY), new_generation=taken)


def _unprovable(intent: Intent, table: Position) -> str | None:
    """Why the stored rows cannot be what this mode would have made of them; None where they can, or nothing else could
    be made of them.
    """
    if not intent.reads:
        return None
    if table.row_filter != intent.row_filter:
        return "the row filter changed"
    if _brings_columns(intent, table):
        return "columns were enabled"
    if _chosen(table.type_overrides, intent) != _chosen(intent.type_overrides, intent):
        return "the type of a column was chosen anew"
    if intent.mode != table.mode and (intent.mode in OWN_ROWS or table.mode in OWN_ROWS):
        return f"the sync type was {table.mode}"
    if intent.mode in KEYED and table.mode == intent.mode and table.primary_key != intent.primary_key:
        return "the primary key changed"
    if table.state is not None and table.cursor_field != intent.cursor_field:
        return "what was read last may not be complete without the cursor that it was read by"
    if not table.loaded and (table.mode != intent.mode or table.cursor_field != intent.cursor_field):
        return "the first load was not complete when the settings changed"
    return None


def _out_of_log(intent: Intent, table: Position, broken: Broken) -> str | None:
    return broken(table) if intent.mode == "cdc" else None


def _brings_columns(intent: Intent, table: Position) -> bool:
    """Would the next rows have columns that the stored ones were read without?"""
    if table.columns is None:
        return False
    if intent.columns is not None:
        return not set(intent.columns) <= set(table.columns)
    return not intent.known_columns or not intent.known_columns <= set(table.columns)


def _chosen(overrides: tuple[tuple[str, str], ...], intent: Intent) -> dict[str, str]:
    """The types of the columns that are copied: what others would be of does not matter."""
    return {name: kind for name, kind in overrides if intent.columns is None or name in intent.columns}


def _to_be_taken_over(intent: Intent, table: Position) -> str | None:
    """Why the stored rows must be looked at before the run can go on from them; None where it just can."""
    if table.mode == "full_refresh" or table.cursor_field != intent.cursor_field:
        return f"the cursor is now {intent.cursor_field}"
    if table.mode == "append" and intent.mode == "incremental":
        return "appended rows are to be replaced by their key"
    return None


def _towards(intent: Intent, position: Position) -> Position:
    """The position with the intent's meaning, so that what is committed next says what it is."""
    return replace(
        position,
        mode=intent.mode,
        primary_key=intent.primary_key,
        cursor_field=intent.cursor_field,
        columns=intent.columns,
        row_filter=intent.row_filter,
        type_overrides=intent.type_overrides,
        cursor=position.cursor if position.cursor_field == intent.cursor_field else None,
        log=position.log if intent.mode == "cdc" else None,
        state=position.state if position.cursor_field == intent.cursor_field else None,
    )
