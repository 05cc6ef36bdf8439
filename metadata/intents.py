"""What workers and the API learn from the metadata: values, never rows. Ids are text."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from metadata.models import Capture, Schema, SchemaState, Source, SyncFrequency, SyncType
from metadata.names import table_name, table_path


@dataclass(frozen=True)
class CapturePlace:
    """The capture of a run's source, as far as the run needs it."""

    slot: str
    publication: str
    managed: bool
    epoch: int
    sequence: int
    """Of the newest entry of the change log that the database knows: there may be newer ones."""
    position: int
    delete_mode: str
    """``hard`` or ``soft``: the schema's choice, else the capture's."""
    table_mode: str
    """``consolidated``, ``cdc_only`` or ``both``."""
    captured_at: datetime | None = None
    """When the change log last had everything that was committed."""
    continuous: bool = False
    latest_error: str | None = None


@dataclass(frozen=True)
class RunIntent:
    """What the settings of a schema ask of a run, and where its copy stands as far as the database knows."""

    project_id: int
    source_id: str
    schema_id: str
    source_type: str
    schema_name: str
    table_name: str
    table_path: str
    sync_type: str | None
    should_sync: bool
    incremental_field: str | None
    incremental_field_type: str | None
    lookback_seconds: int
    primary_key: tuple[str, ...]
    """The user's choice, else what discovery found."""
    key_detected: bool
    available_columns: frozenset[str]
    """As discovery last saw them."""
    enabled_columns: tuple[str, ...] | None
    row_filter: tuple[dict[str, Any], ...]
    type_overrides: dict[str, str]
    generation: int
    fence: int
    """Of the run, where one has begun; else of the newest run so far."""
    erase_pending: bool
    position: dict[str, Any] | None
    repeat: str | None
    """Digest of the newest read that brought nothing new."""
    asked_at: datetime | None = None
    """When somebody last asked for a run: what was at the source by then is to be in it."""
    capture: CapturePlace | None = None
    """For the sync type cdc; None too where the source's capture is off."""
    webhook_only: bool = False
    """The source tells of the rows by events, and cannot be asked for them."""


@dataclass(frozen=True)
class BegunRun:
    intent: RunIntent
    job_id: str


@dataclass(frozen=True)
class Finished:
    disabled: bool
    """This run was one failure too many: the schema does not sync any more until somebody enables it."""
    schema_gone: bool
    """The schema, its source or its project was deleted meanwhile."""


@dataclass(frozen=True)
class RunningJob:
    job_id: str
    project_id: int
    schema_id: str
    workflow_id: str
    workflow_run_id: str


@dataclass(frozen=True)
class ScheduleIntent:
    """What the settings of a schema ask of its schedule."""

    project_id: int
    source_id: str
    source_type: str
    schema_id: str
    schema_name: str
    table_name: str
    should_sync: bool
    sync_frequency: str
    sync_time_of_day: time | None
    enabled_at: datetime | None
    erase_pending: bool


@dataclass(frozen=True)
class CapturedSchema:
    """A schema whose changes are wanted."""

    schema_id: str
    name: str
    """As discovery calls the table."""
    primary_key: tuple[str, ...]
    sync_frequency: str


@dataclass(frozen=True)
class CaptureIntent:
    """What is wanted of the capture of a source's changes, and how far it came as far as the database knows."""

    project_id: int
    source_id: str
    source_type: str
    slot: str
    publication: str
    managed: bool
    auto_drop: bool
    warning_mb: int
    critical_mb: int
    delete_mode: str
    continuous: bool
    epoch: int
    """Another one whenever the slot is."""
    sequence: int
    """Of the newest known entry of the epoch; 0 before the first."""
    position: int
    """Everything up to it is captured; before the first entry where the slot begins."""
    captured_at: datetime | None
    cluster: str | None
    latest_error: str | None
    removing: bool
    """Nothing is captured any more: slot and publication are to be dropped at the source, then the row."""
    tables: tuple[CapturedSchema, ...] = ()
    """The live, enabled schemas of the sync type cdc, by schema id."""

    @property
    def frequency(self) -> str | None:
        """The shortest among the tables'; ``never`` where all have that, None where there is no table."""
        return min((table.sync_frequency for table in self.tables), key=_SHORTEST_FIRST.index, default=None)


_SHORTEST_FIRST = [str(each) for each in SyncFrequency if each != SyncFrequency.NEVER] + [str(SyncFrequency.NEVER)]


@dataclass(frozen=True)
class Erasure:
    """Lake data that waits to be deleted; its schema may be deleted already."""

    project_id: int
    schema_id: str
    table_path: str
    generation: int
    """The first that may be written once it is gone: tells this erasure from a later one."""


@dataclass(frozen=True)
class WrittenTable:
    """A place in the lake where runs have written."""

    schema_id: str
    table_path: str
    deleted_at: datetime | None
    """When the schema was deleted; None where it is alive."""


def run_intent(schema: Schema, source: Source, state: SchemaState, capture: Capture | None = None) -> RunIntent:
    columns = schema.enabled_columns
    return RunIntent(
        project_id=schema.project_id,
        source_id=str(source.id),
        schema_id=str(schema.id),
        source_type=source.source_type,
        schema_name=schema.name,
        table_name=table_name(source.prefix, source.source_type, schema.name),
        table_path=lake_path(schema, source),
        sync_type=_text(schema.sync_type),
        should_sync=schema.should_sync,
        incremental_field=schema.incremental_field,
        incremental_field_type=_text(schema.incremental_field_type),
        lookback_seconds=schema.incremental_lookback_seconds,
        primary_key=primary_key(schema),
        key_detected=not schema.primary_key_columns,
        available_columns=frozenset(column["name"] for column in schema.discovered.get("columns") or ()),
        enabled_columns=None if columns is None else tuple(columns),
        row_filter=tuple(schema.row_filter or ()),
        type_overrides=dict(schema.type_overrides or {}),
        generation=state.generation,
        fence=state.fence,
        erase_pending=state.erase_pending,
        position=state.position,
        repeat=state.repeat,
        asked_at=state.asked_at,
        capture=None if capture is None or schema.sync_type != SyncType.CDC else _place(capture, schema),
        webhook_only=bool(schema.discovered.get("webhook_only")),
    )


def schedule_intent(schema: Schema, source: Source, state: SchemaState | None) -> ScheduleIntent:
    return ScheduleIntent(
        project_id=schema.project_id,
        source_id=str(source.id),
        source_type=source.source_type,
        schema_id=str(schema.id),
        schema_name=schema.name,
        table_name=table_name(source.prefix, source.source_type, schema.name),
        should_sync=schema.should_sync,
        sync_frequency=str(schema.sync_frequency),
        sync_time_of_day=schema.sync_time_of_day,
        enabled_at=schema.enabled_at,
        erase_pending=state is not None and state.erase_pending,
    )


def capture_intent(capture: Capture, source: Source, captured: Iterable[Schema]) -> CaptureIntent:
    return CaptureIntent(
        project_id=capture.project_id,
        source_id=str(capture.source_id),
        source_type=source.source_type,
        slot=capture.slot_name,
        publication=capture.publication_name,
        managed=capture.managed,
        auto_drop=capture.auto_drop_slot,
        warning_mb=capture.warning_mb,
        critical_mb=capture.critical_mb,
        delete_mode=str(capture.delete_mode),
        continuous=capture.continuous,
        epoch=capture.epoch,
        sequence=capture.sequence,
        position=capture.position,
        captured_at=capture.captured_at,
        cluster=capture.cluster,
        latest_error=capture.latest_error,
        removing=capture.removing,
        tables=tuple(
            CapturedSchema(str(schema.id), schema.name, primary_key(schema), str(schema.sync_frequency))
            for schema in captured
        ),
    )


def primary_key(schema: Schema) -> tuple[str, ...]:
    """The user's choice, else what discovery found."""
    return tuple(schema.primary_key_columns or schema.discovered.get("primary_key") or ())


def lake_path(schema: Schema, source: Source) -> str:
    """Where the schema's table lies, below the lake's root."""
    return table_path(schema.project_id, table_name(source.prefix, source.source_type, schema.name), schema.id)


def _place(capture: Capture, schema: Schema) -> CapturePlace:
    return CapturePlace(
        slot=capture.slot_name,
        publication=capture.publication_name,
        managed=capture.managed,
        epoch=capture.epoch,
        sequence=capture.sequence,
        position=capture.position,
        delete_mode=str(schema.cdc_delete_mode or capture.delete_mode),
        table_mode=str(schema.cdc_table_mode),
        captured_at=capture.captured_at,
        continuous=capture.continuous,
        latest_error=capture.latest_error,
    )


def _text(value: str | None) -> str | None:
    """A plain ``str``: what comes fresh from a user is an enum, what comes from the database is not."""
    return None if value is None else str(value)
