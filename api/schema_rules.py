"""The rules of a schema's settings, without a server: what may be set together, and what a change sets off."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import time
from typing import Any

from connectors.filters import FilterError, check_filter
from connectors.overrides import OverrideError, check_key, override_type
from metadata.models import CursorFieldType, SyncFrequency, SyncType, WishKind

CURSOR_MODES = frozenset({SyncType.INCREMENTAL, SyncType.APPEND})
KEYED_MODES = frozenset({SyncType.INCREMENTAL, SyncType.CDC, SyncType.WEBHOOK})
CDC_FREQUENCY = SyncFrequency.FIVE_MINUTES
"""The default in place of the usual one."""
CAPTURED_KINDS = frozenset({"table", "partitioned_table"})
TIMES = frozenset({CursorFieldType.DATETIME, CursorFieldType.TIMESTAMP, CursorFieldType.DATE})
COMPATIBLE_CURSOR_TYPES = (
    frozenset({CursorFieldType.INTEGER, CursorFieldType.NUMERIC}),
    frozenset({CursorFieldType.DATETIME, CursorFieldType.TIMESTAMP}),
)
"""Names for one family of values: a client may call a discovered type by the other name."""


class RuleError(ValueError):
    """The settings cannot be as they were asked for. ``attr`` is the setting to look at."""

    def __init__(self, attr: str, detail: str) -> None:
        super().__init__(detail)
        self.attr = attr
        self.detail = detail


@dataclass(frozen=True)
class SchemaSettings:
    """Everything about a schema that a user decides; named as in the metadata and in the API."""

    should_sync: bool = False
    sync_type: str | None = None
    sync_frequency: str = SyncFrequency.SIX_HOURS
    sync_time_of_day: time | None = None
    incremental_field: str | None = None
    incremental_field_type: str | None = None
    incremental_lookback_seconds: int = 0
    primary_key_columns: list[str] | None = None
    cdc_table_mode: str = "consolidated"
    cdc_delete_mode: str | None = None
    enabled_columns: list[str] | None = None
    row_filter: list[dict[str, Any]] | None = None
    type_overrides: dict[str, str] | None = None

    @classmethod
    def of(cls, owner: Any) -> "SchemaSettings":
        """Those of a row of the metadata."""
        return cls(**{setting.name: getattr(owner, setting.name) for setting in fields(cls)})

    def as_dict(self) -> dict[str, Any]:
        return {setting.name: getattr(self, setting.name) for setting in fields(self)}

    def with_changes(self, changes: Mapping[str, Any], *, fresh: bool = False) -> "SchemaSettings":
        """Absent settings stay; ``None`` brings back the default. ``fresh``: the schema was never enabled."""
        defaults = SchemaSettings().as_dict()
        after = replace(self, **{n: defaults[n] if value is None else value for n, value in changes.items()})
        if after.sync_type != SyncType.CDC or changes.get("sync_frequency") is not None:
            return after
        # What a fresh schema has by default nobody chose for it.
        unchosen = fresh and self.sync_type != SyncType.CDC and self.sync_frequency == defaults["sync_frequency"]
        return replace(after, sync_frequency=CDC_FREQUENCY) if unchosen or "sync_frequency" in changes else after


@dataclass(frozen=True)
class TableFacts:
    """What is known of the table behind a schema."""

    columns: frozenset[str]
    primary_key: tuple[str, ...]
    cursor_types: Mapping[str, str]
    """The columns that may be a cursor, with the type that discovery gave each."""
    vanished: bool = False
    holds_data: bool = False
    kinds: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """What each column is compared as, and the labels of an enum (``connectors.base.Column``)."""
    direct: bool = False
    """Its source is queried live: nothing is ever copied."""
    kind: str = "table"
    captured: bool = False
    """Change data capture is enabled on its source."""
    webhook: bool = False
    """Its source can send events about it."""
    webhook_only: bool = False
    """There is no other way to its rows."""

    @classmethod
    def from_discovered(
        cls,
        discovered: Mapping[str, Any],
        *,
        vanished: bool = False,
        holds_data: bool = False,
        direct: bool = False,
        captured: bool = False,
    ) -> "TableFacts":
        return cls(
            columns=frozenset(column["name"] for column in discovered.get("columns", ())),
            primary_key=tuple(discovered.get("primary_key", ())),
            cursor_types={f["field"]: f["field_type"] for f in discovered.get("incremental_fields", ())},
            vanished=vanished,
            holds_data=holds_data,
            direct=direct,
            kind=discovered.get("kind", "table"),
            captured=captured,
            webhook=discovered.get("webhook", False),
            webhook_only=discovered.get("webhook_only", False),
            kinds={
                column["name"]: (column.get("kind", "other"), tuple(column.get("labels") or ()))
                for column in discovered.get("columns", ())
            },
        )


@dataclass(frozen=True)
class Effects:
    """What a change asks of Temporal."""

    schedule: bool = False
    """Make the schedule as the settings are now."""
    start: bool = False
    resync: bool = False
    """Start, with everything read anew."""
    stop: bool = False
    capture: bool = False
    """The source's capture has another table than before, or another pace."""

    def wishes(self) -> list[WishKind]:
        """The same for the outbox, in the order in which Temporal is to hear of it."""
        asked = {
            WishKind.SCHEDULE: self.schedule,
            WishKind.START: self.start,
            WishKind.RESYNC: self.resync,
            WishKind.CANCEL: self.stop,
        }
        return [kind for kind, wanted in asked.items() if wanted]


def check(before: SchemaSettings, after: SchemaSettings, table: TableFacts) -> None:
    """Raise ``RuleError`` for the first rule that the change breaks.

    What the change does not touch is not held against it: a schema can always be disabled.
    """
    enabled = after.should_sync and not before.should_sync
    moded = enabled or after.sync_type != before.sync_type
    if table.direct:
        _check_direct(after)
    if moded:
        _check_webhook(after, table)
    _check_captured(before, after, table, moded)
    _check_enabling(after, table, enabled)
    if moded or _cursor(before) != _cursor(after):
        _check_cursor(after, table)
    if moded or before.primary_key_columns != after.primary_key_columns:
        _check_key(before, after, table)
    _check_frequency(after)
    if moded or before.enabled_columns != after.enabled_columns:
        _check_something_left(after, table)
    if before.enabled_columns != after.enabled_columns:
        _check_columns("enabled_columns", after.enabled_columns or (), table)
    if before.row_filter != after.row_filter:
        _check_filter(after.row_filter or [], table)
    chosen = before.type_overrides != after.type_overrides
    if chosen:
        _check_overrides(after.type_overrides or {}, table)
    if chosen or moded or _cursor(before) != _cursor(after) or before.primary_key_columns != after.primary_key_columns:
        _check_overrides_fit(after, table, chosen)


def effects(before: SchemaSettings, after: SchemaSettings) -> Effects:
    """Enabling starts a run at once (``never`` leaves that to its user), as does a change to events; disabling stops
    one, a new time neither.
    """
    capture = _captured_part(before) != _captured_part(after)
    if (after.should_sync and not before.should_sync) or newly_followed(before, after):
        return Effects(schedule=True, start=after.sync_frequency != SyncFrequency.NEVER, capture=capture)
    if before.should_sync and not after.should_sync:
        return Effects(schedule=True, stop=True, capture=capture)
    timed = (before.sync_frequency, before.sync_time_of_day) != (after.sync_frequency, after.sync_time_of_day)
    return Effects(schedule=after.should_sync and timed, capture=capture)


def newly_captured(before: SchemaSettings, after: SchemaSettings) -> bool:
    """The source has to be asked whether it can: its table was not captured until now."""
    moded = after.sync_type != before.sync_type or (after.should_sync and not before.should_sync)
    return after.sync_type == SyncType.CDC and moded


def newly_followed(before: SchemaSettings, after: SchemaSettings) -> bool:
    """Events about its table are wanted that were not until now: those of the time before were missed."""
    return _is_followed(after) and not _is_followed(before)


def _is_followed(settings: SchemaSettings) -> bool:
    return settings.should_sync and settings.sync_type == SyncType.WEBHOOK


def _captured_part(settings: SchemaSettings) -> tuple[str, list[str] | None] | None:
    """What a source's capture has to know of a schema; None where it has nothing to do with it."""
    if settings.sync_type != SyncType.CDC or not settings.should_sync:
        return None
    return settings.sync_frequency, settings.primary_key_columns


def _check_direct(after: SchemaSettings) -> None:
    for name in ("should_sync", "sync_type"):
        if getattr(after, name):
            raise RuleError(name, "The tables of a direct source are queried live and never synced.")


def _check_webhook(after: SchemaSettings, table: TableFacts) -> None:
    if after.sync_type == SyncType.WEBHOOK and not table.webhook:
        raise RuleError("sync_type", "This table does not support webhooks.")
    if table.webhook_only and after.sync_type not in (None, SyncType.WEBHOOK):
        raise RuleError("sync_type", "This table is made of events and of nothing else: choose the sync type webhook.")


def _check_captured(before: SchemaSettings, after: SchemaSettings, table: TableFacts, moded: bool) -> None:
    if after.sync_type != SyncType.CDC:
        return
    if moded and not table.captured:
        raise RuleError("sync_type", "Change data capture is not enabled on this source.")
    if moded and table.kind not in CAPTURED_KINDS:
        kind = table.kind.replace("_", " ")
        raise RuleError("sync_type", f"The source keeps no log of the changes of a {kind}: choose another sync type.")
    for name in ("row_filter", "type_overrides"):
        if getattr(after, name) and (moded or getattr(before, name) != getattr(after, name)):
            raise RuleError(name, f"The setting {name} is not supported with the sync type cdc: send null for it.")


def _check_enabling(after: SchemaSettings, table: TableFacts, enabled: bool) -> None:
    if after.should_sync and after.sync_type is None:
        raise RuleError("sync_type", "Choose a sync type before you enable the schema.")
    if enabled and table.vanished:
        raise RuleError("should_sync", "The source no longer has this table, so it cannot be enabled.")


def _cursor(settings: SchemaSettings) -> tuple[str | None, str | None, int]:
    return settings.incremental_field, settings.incremental_field_type, settings.incremental_lookback_seconds


def _check_cursor(after: SchemaSettings, table: TableFacts) -> None:
    field, field_type, lookback_seconds = _cursor(after)
    needed = after.sync_type in CURSOR_MODES
    if needed and field is None:
        raise RuleError("incremental_field", f"The sync type {after.sync_type} needs an incremental field.")
    if needed and field_type is None:
        raise RuleError("incremental_field_type", f"The sync type {after.sync_type} needs the field's type.")
    if field is not None and field not in table.cursor_types:
        raise RuleError("incremental_field", f"The column {field} is not among this table's incremental fields.")
    if field is not None and field_type is not None:
        _check_cursor_type(field, field_type, table.cursor_types[field])
    if needed and lookback_seconds and field_type not in TIMES:
        raise RuleError("incremental_lookback_seconds", f"A look-back needs a cursor that is a time, not {field_type}.")


def _check_cursor_type(field: str, given: str, discovered: str) -> None:
    if given != discovered and not any({given, discovered} <= family for family in COMPATIBLE_CURSOR_TYPES):
        raise RuleError("incremental_field_type", f"The field {field} is of type {discovered}, not {given}.")


def _check_key(before: SchemaSettings, after: SchemaSettings, table: TableFacts) -> None:
    chosen = after.primary_key_columns
    if chosen is not None:
        if not chosen:
            raise RuleError("primary_key_columns", "Name at least one column, or send null for the detected key.")
        if len(set(chosen)) < len(chosen):
            raise RuleError("primary_key_columns", "A column is named twice.")
        _check_columns("primary_key_columns", chosen, table)
    key = chosen or list(table.primary_key)
    if after.sync_type in KEYED_MODES:
        _check_key_tells_rows_apart(key, after, table)
    key_before = before.primary_key_columns or list(table.primary_key)
    # A first key changes nothing: the rows had none to go by.
    if table.holds_data and key_before and key != key_before:
        raise RuleError(
            "primary_key_columns", "The primary key cannot change while the table holds data: delete the data first."
        )


def _check_key_tells_rows_apart(key: Sequence[str], after: SchemaSettings, table: TableFacts) -> None:
    if not key:
        raise RuleError("primary_key_columns", f"The sync type {after.sync_type} needs primary key columns.")
    for column in key:
        if _kind(column, table) == "float":
            raise RuleError(
                "primary_key_columns",
                f"The column {column} is part of the key, but its floating-point numbers cannot tell rows apart: "
                "choose other key columns, or append instead.",
            )


def _check_frequency(after: SchemaSettings) -> None:
    if after.sync_frequency == SyncFrequency.ONE_MINUTE and after.sync_type != SyncType.CDC:
        raise RuleError("sync_frequency", "A frequency of 1min needs the sync type cdc; 5min is the fastest other.")


def _check_columns(attr: str, named: Collection[str], table: TableFacts) -> None:
    if unknown := sorted(set(named) - table.columns):
        raise RuleError(attr, f"The table has no such column: {', '.join(unknown)}.")


def _check_something_left(after: SchemaSettings, table: TableFacts) -> None:
    """No enabled column is well where key or cursor come along all the same."""
    if after.sync_type is None or after.enabled_columns != []:
        return
    has_cursor = after.sync_type in CURSOR_MODES and after.incremental_field is not None
    if not (has_cursor or after.primary_key_columns or table.primary_key):
        raise RuleError("enabled_columns", "No column would be left: the table has neither a key nor a cursor.")


def _check_filter(clauses: Sequence[Mapping[str, Any]], table: TableFacts) -> None:
    _check_columns("row_filter", [clause["column"] for clause in clauses], table)
    for place, clause in enumerate(clauses):
        kind, labels = table.kinds.get(clause["column"], ("other", ()))
        try:
            check_filter(clause["column"], kind, labels, clause["op"], clause.get("value"))
        except FilterError as error:
            raise RuleError(f"row_filter.{place}.{error.part}", error.message) from error


def _check_overrides(overrides: Mapping[str, str], table: TableFacts) -> None:
    for column, wanted in overrides.items():
        attr = f"type_overrides.{column}"
        _check_columns(attr, [column], table)
        try:
            override_type(column, _kind(column, table), wanted)
        except OverrideError as error:
            raise RuleError(attr, error.message) from error


def _check_overrides_fit(after: SchemaSettings, table: TableFacts, chosen: bool) -> None:
    """What orders the rows stays in its own type, and what tells them apart in one that can."""
    overrides = after.type_overrides or {}
    cursor = after.incremental_field
    if after.sync_type in CURSOR_MODES and cursor is not None and cursor in overrides:
        attr = f"type_overrides.{cursor}" if chosen else "incremental_field"
        raise RuleError(attr, f"The column {cursor} is the cursor: its type cannot be overridden.")
    if after.sync_type not in KEYED_MODES:
        return
    for column in after.primary_key_columns or table.primary_key:
        if column not in overrides:
            continue
        try:
            check_key(column, _kind(column, table), overrides[column])
        except OverrideError as error:
            raise RuleError(f"type_overrides.{column}" if chosen else "primary_key_columns", error.message) from error


def _kind(column: str, table: TableFacts) -> str:
    return table.kinds.get(column, ("other", ()))[0]
