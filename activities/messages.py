"""What the workflows and the activities say to each other: references and small facts, never rows or secrets."""

from dataclasses import dataclass, field, replace
from typing import Any

from connectors.base import Part, Snapshot
from metadata.names import history_name, history_path


@dataclass(frozen=True)
class BeginInput:
    project_id: int
    schema_id: str
    workflow_id: str
    workflow_run_id: str
    scheduled_at: str | None = None
    """When the schedule meant this run to start, ISO 8601: tells a timed start from a manual one."""


@dataclass(frozen=True)
class Run:
    """One run that has begun: its job, its fence, and the settings it goes by."""

    project_id: int
    source_id: str
    schema_id: str
    source_type: str
    schema_name: str
    table_name: str
    table_path: str
    job_id: str
    fence: int
    generation: int
    mode: str
    primary_key: list[str] = field(default_factory=list)
    key_detected: bool = False
    """The key is the source's own, not the user's choice."""
    cursor_field: str | None = None
    cursor_type: str | None = None
    lookback_seconds: int = 0
    enabled_columns: list[str] | None = None
    row_filter: list[dict[str, Any]] = field(default_factory=list)
    type_overrides: dict[str, str] = field(default_factory=dict)
    soft_deletes: bool = False
    """Rows that the source deletes are kept, and marked."""
    table_mode: str = "consolidated"
    """Which tables the source's log makes: ``consolidated``, ``cdc_only`` (its history) or ``both``."""
    reads: bool = True
    """The source's rows can be read; where all that is known of them are its events, they cannot."""
    is_history: bool = False
    """Of these the history is meant, and table name and path are its own."""


def outputs(run: Run) -> list[Run]:
    """The run for each table that it writes: of change data capture the main one, its history, or both."""
    if run.table_mode == "consolidated":
        return [run]
    history = replace(
        run,
        table_name=history_name(run.table_name),
        table_path=history_path(run.table_path),
        is_history=True,
        soft_deletes=False,
    )
    return [run, history] if run.table_mode == "both" else [history]


@dataclass(frozen=True)
class Plan:
    """Where a run's copying starts: the generation it writes, and the position its next batch builds on."""

    generation: int
    rebuild: bool
    base: dict[str, Any]
    """``lake.position.Position`` of the table that the batches go to."""
    reason: str = ""
    stored: dict[str, str] | None = None
    """Columns of the table that a cursor read adds to, by their source names, with Delta's names of their types. None
    where the reader has to look for itself."""
    repeat: str | None = None
    """Digest (``activities.repeats``) of the newest read that brought nothing new."""


@dataclass(frozen=True)
class HoldInput:
    """``number`` counts the snapshots that one run takes."""

    run: Run
    number: int


@dataclass(frozen=True)
class Held:
    """A snapshot that is held for a run: what the holder tells the workflow."""

    number: int
    snapshot: Snapshot


@dataclass(frozen=True)
class PublishResult:
    position: dict[str, Any]
    rows: int
    bytes_written: int
    maintenance_due: bool = False


@dataclass(frozen=True)
class Extracted:
    """A staged batch or part: where its manifest lies, and whether the source has more.

    Where ``parts`` are named nothing was staged: the table is to be read in these. Without a manifest nothing is left
    to be published.
    """

    manifest: str
    rows: int
    size_bytes: int
    more: bool
    row_estimate: int | None = None
    warnings: list[dict[str, Any]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    text_columns: list[str] = field(default_factory=list)
    lasting: bool = True
    """As in ``connectors.base.ReadReport``."""
    digest: str | None = None
    """Of a short read (``activities.repeats``)."""
    repeats: bool = False
    """The same rows as before brought nothing new to this table: nothing was staged."""
    published: PublishResult | None = None
    """It was so short that the step that read it has published it as well."""
    plan: Plan | None = None
    """By which it was read, where the order had none."""
    said: list[str] = field(default_factory=list)
    """As in ``connectors.base.ReadReport``."""


@dataclass(frozen=True)
class StagedPart:
    """What was staged of a part, and the snapshot of which it has the rows."""

    held: Held
    extracted: Extracted


@dataclass(frozen=True)
class PartOrder:
    """Which part of a table to read, as it is in which snapshot."""

    number: int
    count: int
    part: Part
    held: Held
    text_columns: list[str] = field(default_factory=list)
    """Known to need text in some part."""
    earlier: StagedPart | None = None
    """Need not be read again where it has the same rows."""
    row_estimate: int | None = None
    """Of the whole table."""


@dataclass(frozen=True)
class ExtractInput:
    run: Run
    plan: Plan | None
    """None where the step is to plan first."""
    batch: int
    rows_before: int = 0
    bytes_before: int = 0
    narrow: bool = False
    whole: bool = False
    """Do not divide the table, however large it is."""
    part: PartOrder | None = None


@dataclass(frozen=True)
class PublishInput:
    run: Run
    plan: Plan
    batch: int
    manifests: list[str]
    """Of one batch: several where it was read in parts."""
    last: bool
    digest: str | None = None
    """Of what was read, to be known again should it bring nothing new."""


@dataclass(frozen=True)
class SwapInput:
    run: Run
    plan: Plan
    batch: int


@dataclass(frozen=True)
class MaintainInput:
    run: Run
    generation: int


@dataclass(frozen=True)
class FinishInput:
    run: Run
    status: str
    rows_synced: int
    bytes_written: int
    error: str | None = None
    retryable: bool = True
    own_error: bool = False
    warnings: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class ReconcileResult:
    schedules_repaired: int = 0
    schedules_removed: int = 0
    jobs_closed: int = 0
    erasures_resumed: int = 0
    failed: int = 0
    """Schemas and jobs that could not be looked after; the log says why."""
    webhooks_taken_back: int = 0
    """At their providers."""
    events_sent_again: int = 0
    """By providers, where nobody had acknowledged them."""
