"""What workers and the API learn from the metadata: values, never rows. Ids are text."""

from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from metadata.models import Schema, SchemaState, Source
from metadata.names import table_name, table_path


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


def run_intent(schema: Schema, source: Source, state: SchemaState) -> RunIntent:
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
        primary_key=tuple(schema.primary_key_columns or schema.discovered.get("primary_key") or ()),
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


def lake_path(schema: Schema, source: Source) -> str:
    """Where the schema's table lies, below the lake's root."""
    return table_path(schema.project_id, table_name(source.prefix, source.source_type, schema.name), schema.id)


def _text(value: str | None) -> str | None:
    """A plain ``str``: what comes fresh from a user is an enum, what comes from the database is not."""
    return None if value is None else str(value)
