"""The names and messages by which the API and the workers speak of a workflow; nobody imports the other's code."""

from dataclasses import dataclass
from typing import Any

SYNC_SCHEMA = "SyncSchema"
ERASE_TABLE = "EraseTable"
RECONCILE = "Reconcile"
SWEEP = "Sweep"
CAPTURE_CHANGES = "CaptureChanges"
REMOVE_CAPTURE = "RemoveCapture"
WATCH_CAPTURES = "WatchCaptures"

CANCEL_SIGNAL = "cancel"
RESYNC_SIGNAL = "resync"
SNAPSHOT_SIGNAL = "snapshot"
PROGRESS_QUERY = "progress"

PROJECT_ATTRIBUTE = "SynclineProject"
SOURCE_ATTRIBUTE = "SynclineSource"
SOURCE_TYPE_ATTRIBUTE = "SynclineSourceType"
SCHEMA_ATTRIBUTE = "SynclineSchema"


@dataclass(frozen=True)
class SyncSchemaInput:
    """``carried`` is what a long run knows that goes on in a fresh history."""

    project_id: int
    schema_id: str
    carried: dict[str, Any] | None = None


@dataclass(frozen=True)
class EraseTableInput:
    project_id: int
    schema_id: str


@dataclass(frozen=True)
class CaptureInput:
    """Of one source."""

    project_id: int
    source_id: str


@dataclass(frozen=True)
class Progress:
    """Answer of the ``progress`` query."""

    phase: str = "starting"
    rows_synced: int = 0
    rows_to_sync: int | None = None
    batches: int = 0
    waiting_for: str | None = None


def schedule_id(schema_id: str) -> str:
    """A schema's schedule has the schema's own id."""
    return schema_id


def erase_workflow_id(schema_id: str) -> str:
    return f"erase-{schema_id}"


def capture_schedule_id(source_id: str) -> str:
    return f"capture-{source_id}"


def remove_capture_workflow_id(source_id: str) -> str:
    return f"remove-capture-{source_id}"


def upkeep_id(workflow: str, task_queue: str) -> str:
    """Id of an upkeep schedule. Installations that share a namespace are told apart by their task queues."""
    return f"{task_queue}-{workflow.lower()}"
