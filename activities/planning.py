"""What a run does with what is there: intent from the database, facts from the table's own log. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

from lake.position import EMPTY, Position


class Action(StrEnum):
    LOAD = "first load"
    CONTINUE = "continue"
    TAKE_OVER = "take over the cursor"
    """The rows are right; the cursor starts at the table's own maximum of the new field."""
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
    selection: str = ""


@dataclass(frozen=True)
class Decision:
    action: Action
    base: Position
    """What the first batch builds on. For a take-over its cursor is still to be read from the table."""
    new_generation: bool = False
    """The rebuild needs a generation of its own first: the settings changed what the rows mean."""
    reason: str = ""


def decide(intent: Intent, table: Position, shadow: Position = EMPTY) -> Decision:
    """Compare intent with the table's position (and its shadow's, where a rebuild may be under way)."""
    if intent.mode == "full_refresh":
        return Decision(Action.OVERWRITE if table.sequence else Action.LOAD, _towards(intent, table))
    if table.sequence == 0:
        return Decision(Action.LOAD, _towards(intent, EMPTY))
    if table.generation != intent.generation:
        return _rebuild(intent, shadow, "a resync was asked for")
    if reason := _unprovable(intent, table):
        return Decision(Action.REBUILD, _towards(intent, EMPTY), new_generation=True, reason=reason)
    if table.mode == "full_refresh" or table.cursor_field != intent.cursor_field:
        return Decision(Action.TAKE_OVER, _towards(intent, table), reason=f"the cursor is now {intent.cursor_field}")
    return Decision(Action.CONTINUE, _towards(intent, table))


def _rebuild(intent: Intent, shadow: Position, reason: str) -> Decision:
    begun = (
        shadow.sequence > 0
        and shadow.generation == intent.generation
        and shadow.mode == intent.mode
        and shadow.cursor_field == intent.cursor_field
        and shadow.selection == intent.selection
        and (intent.mode != "incremental" or shadow.primary_key == intent.primary_key)
    )
    if shadow.sequence > 0 and not begun:
        return Decision(Action.REBUILD, _towards(intent, EMPTY), new_generation=True, reason=reason)
    return Decision(Action.REBUILD, _towards(intent, shadow if begun else EMPTY), reason=reason)


def _unprovable(intent: Intent, table: Position) -> str | None:
    """Why the stored rows cannot be what this mode would have made of them; None where they can."""
    if table.selection != intent.selection:
        return "the selected columns or the row filter changed"
    if intent.mode == "incremental":
        if table.mode == "append":
            return "rows were appended without a key before"
        if table.mode == "incremental" and table.primary_key != intent.primary_key:
            return "the primary key changed"
    if not table.loaded and (table.mode != intent.mode or table.cursor_field != intent.cursor_field):
        return "the first load was not complete when the settings changed"
    return None


def _towards(intent: Intent, position: Position) -> Position:
    """The position with the intent's meaning, so that what is committed next says what it is."""
    return replace(
        position,
        mode=intent.mode,
        primary_key=intent.primary_key,
        cursor_field=intent.cursor_field,
        selection=intent.selection,
        cursor=position.cursor if position.cursor_field == intent.cursor_field else None,
    )
