"""The metadata: what users want (projects, keys, sources, schemas) and what happened (state, jobs, tables).

Times are UTC; SQLite gives them back without a zone, so every column goes through ``UtcDateTime``.
Deletes are soft: ``deleted_at`` is set, and every query leaves such rows out unless it says otherwise.
"""

import uuid
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Index,
    Integer,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

LIVE: dict[str, Any] = {
    "sqlite_where": text("deleted_at IS NULL"),
    "postgresql_where": text("deleted_at IS NULL"),
}
"""An index of what is not deleted."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the metadata")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


class SyncType(StrEnum):
    FULL_REFRESH = "full_refresh"
    INCREMENTAL = "incremental"
    APPEND = "append"
    WEBHOOK = "webhook"
    CDC = "cdc"


class SchemaStatus(StrEnum):
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    PAUSED = "Paused"
    CANCELLED = "Cancelled"


class JobStatus(StrEnum):
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class SyncFrequency(StrEnum):
    NEVER = "never"
    ONE_MINUTE = "1min"
    FIVE_MINUTES = "5min"
    FIFTEEN_MINUTES = "15min"
    THIRTY_MINUTES = "30min"
    ONE_HOUR = "1hour"
    SIX_HOURS = "6hour"
    TWELVE_HOURS = "12hour"
    ONE_DAY = "24hour"
    SEVEN_DAYS = "7day"
    THIRTY_DAYS = "30day"


class WishKind(StrEnum):
    """What a stored change still wants of Temporal."""

    SCHEDULE = "schedule"
    START = "start"
    CANCEL = "cancel"
    RESYNC = "resync"
    UNSCHEDULE = "unschedule"
    ERASE = "erase"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class TableKind(StrEnum):
    """Which of a schema's tables in the lake: its rows as they are at the source, or one row for each change."""

    MAIN = "main"
    HISTORY = "history"


class TableMode(StrEnum):
    """Which of them change data capture writes."""

    CONSOLIDATED = "consolidated"
    CDC_ONLY = "cdc_only"
    BOTH = "both"


class DeleteMode(StrEnum):
    """What becomes of a row that was deleted at the source: it goes, or it is marked."""

    HARD = "hard"
    SOFT = "soft"


class CursorFieldType(StrEnum):
    INTEGER = "integer"
    NUMERIC = "numeric"
    DATETIME = "datetime"
    DATE = "date"
    TIMESTAMP = "timestamp"
    OBJECTID = "objectid"


DIRECT = "direct"
"""The access method of a source that is never copied, but read live by each query."""


class Project(SQLModel, table=True):
    """A tenant. Everything else belongs to one."""

    __tablename__ = "project"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ApiKey(SQLModel, table=True):
    """A key of one project. Only the SHA-256 of its secret is kept."""

    __tablename__ = "api_key"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    label: str = Field(max_length=200)
    secret_hash: str = Field(max_length=64, unique=True)
    secret_hint: str = Field(max_length=16, description="the first characters, to tell keys apart")
    scopes: list[str] = Field(default_factory=list, sa_type=JSON)
    role: str = Field(default="manager", max_length=20, description="viewer, editor or manager")
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    created_by: str | None = Field(default=None, max_length=200)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Source(SQLModel, table=True):
    """A database or account that a user gave us."""

    __tablename__ = "source"
    __table_args__ = (
        Index(
            "uq_source_prefix_live",
            "project_id",
            "source_type",
            "prefix",
            unique=True,
            **LIVE,
        ),
        Index("ix_source_page", "project_id", "created_at", "id", **LIVE),
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    source_type: str = Field(max_length=100)
    prefix: str = Field(default="", max_length=100)
    description: str | None = Field(default=None, max_length=400)
    access_method: str = Field(default="warehouse", max_length=20)
    encrypted_inputs: str = Field(sa_type=Text, description="the connection's fields, Fernet over JSON")
    revenue_analytics_enabled: bool | None = Field(default=None, description="None: as the source type has it")
    include_invoiceless_charges: bool = True
    capture_epoch: int = Field(default=0, description="the last of captures that are gone: the next one's is higher")
    created_by: str | None = Field(default=None, max_length=200)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Schema(SQLModel, table=True):
    """One table of a source: what the user wants of it, and how its newest run ended."""

    __tablename__ = "schema"
    __table_args__ = (
        Index(
            "uq_schema_name_live",
            "source_id",
            "name",
            unique=True,
            **LIVE,
        ),
        Index(
            "ix_schema_page",
            "project_id",
            "created_at",
            "id",
            # What a list is filtered by, so that counting and skipping read nothing but the index.
            postgresql_include=["source_id", "status", "sync_type", "should_sync"],
            **LIVE,
        ),
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    source_id: uuid.UUID = Field(foreign_key="source.id")
    name: str = Field(max_length=400)
    label: str | None = Field(default=None, max_length=400)
    description: str | None = Field(default=None, max_length=1000)

    should_sync: bool = False
    sync_type: SyncType | None = Field(default=None, max_length=20, sa_type=Text)
    sync_frequency: SyncFrequency = Field(default=SyncFrequency.SIX_HOURS, sa_type=Text)
    sync_time_of_day: time | None = None
    incremental_field: str | None = None
    incremental_field_type: CursorFieldType | None = Field(default=None, sa_type=Text)
    incremental_lookback_seconds: int = 0
    primary_key_columns: list[str] | None = Field(default=None, sa_type=JSON)
    cdc_table_mode: str = Field(default=TableMode.CONSOLIDATED, max_length=20)
    cdc_delete_mode: str | None = Field(default=None, max_length=20, description="None: as the source's capture has it")
    enabled_columns: list[str] | None = Field(default=None, sa_type=JSON)
    row_filter: list[dict[str, Any]] | None = Field(default=None, sa_type=JSON)
    type_overrides: dict[str, str] | None = Field(default=None, sa_type=JSON)

    discovered: dict[str, Any] = Field(
        default_factory=dict,
        sa_type=JSON,
        description="what discovery last saw: columns, primary_key, incremental_fields, kind, row_estimate, webhook",
    )
    vanished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    status: SchemaStatus | None = Field(default=None, sa_type=Text)
    latest_error: str | None = Field(default=None, sa_type=Text)
    last_synced_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failures_in_a_row: int = Field(default=0, description="not retryable ones: at 3 the schema is disabled")
    enabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Webhook(SQLModel, table=True):
    """Where a source's provider sends its events: ``id`` is the end of the address. A source has one at the most."""

    __tablename__ = "webhook"
    __table_args__ = (
        Index("uq_webhook_source_live", "source_id", unique=True, **LIVE),
        Index("ix_webhook_removing", "id", sqlite_where=text("removing"), postgresql_where=text("removing")),
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    source_id: uuid.UUID = Field(foreign_key="source.id")
    encrypted_inputs: str = Field(sa_type=Text, description="values of its own fields, Fernet over JSON")
    url: str = Field(sa_type=Text, description="as the provider has it")
    made_by_hand: bool = Field(default=False, description="the provider does not let us: its owner chooses the events")
    removing: bool = Field(default=False, description="deleted, and to be taken back at the provider")
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime, description="somebody is registering it")
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SchemaState(SQLModel, table=True):
    """The hot state of a schema's copy, apart from its settings: one row per schema, written under a row lock.

    ``generation`` goes up when the data must be rebuilt (resync, delete_data); ``fence`` with every run.
    ``sequence``, ``cursor`` and what follows copy the newest commit of the Delta log, which is the truth.
    """

    __tablename__ = "schema_state"
    __table_args__ = (
        Index(
            "ix_schema_state_erase",
            "schema_id",
            sqlite_where=text("erase_pending"),
            postgresql_where=text("erase_pending"),
        ),
    )

    schema_id: uuid.UUID = Field(foreign_key="schema.id", primary_key=True)
    generation: int = 1
    fence: int = 0
    erase_pending: bool = Field(default=False, description="lake data waits to be deleted; no run may start")
    sequence: int = Field(default=0, sa_type=BigInteger)
    position: dict[str, Any] | None = Field(
        default=None, sa_type=JSON, description="copy of the newest commit's position (lake.position.Position)"
    )
    repeat: str | None = Field(default=None, max_length=64, description="digest of the newest read without news")
    asked_at: datetime | None = Field(
        default=None,
        sa_type=UtcDateTime,
        description="when somebody last asked for a run: what was there is to be in it",
    )


class Job(SQLModel, table=True):
    """One run of one schema."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_source_created", "source_id", "created_at", "id"),
        Index("ix_job_schema_created", "schema_id", "created_at"),
        Index("ix_job_status", "status", "created_at"),
        UniqueConstraint("workflow_id", "workflow_run_id", name="uq_job_workflow_run"),
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    source_id: uuid.UUID = Field(foreign_key="source.id")
    schema_id: uuid.UUID = Field(foreign_key="schema.id")
    status: JobStatus = Field(default=JobStatus.RUNNING, sa_type=Text)
    trigger: str = Field(default="schedule", max_length=20, description="schedule, manual or resync")
    fence: int = 0
    generation: int = 1
    rows_synced: int = Field(default=0, sa_type=BigInteger)
    rows_to_sync: int | None = Field(default=None, sa_type=BigInteger)
    bytes_written: int = Field(default=0, sa_type=BigInteger)
    parts: dict[str, list[int]] = Field(
        default_factory=dict, sa_type=JSON, description="rows and bytes of each part of a table that is read in parts"
    )
    latest_error: str | None = Field(default=None, sa_type=Text)
    warnings: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    workflow_id: str = Field(max_length=200)
    workflow_run_id: str = Field(max_length=200)
    created_by: str | None = Field(default=None, max_length=200)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LakeTable(SQLModel, table=True):
    """A Delta table of a schema, once there is one."""

    __tablename__ = "lake_table"
    __table_args__ = (UniqueConstraint("schema_id", "kind", name="uq_lake_table_schema_kind"),)

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    schema_id: uuid.UUID = Field(foreign_key="schema.id")
    kind: str = Field(default=TableKind.MAIN, max_length=20)
    name: str = Field(max_length=600, index=True)
    path: str = Field(max_length=1000, description="below the lake's root")
    row_count: int = Field(default=0, sa_type=BigInteger)
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    columns: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Capture(SQLModel, table=True):
    """The capture of a source's changes: how it is wanted, how far it came, and what the source last said of it.

    While it is being set up it is ``removing`` too, under a claim: who dies over that leaves a row that is cleared up.
    """

    __tablename__ = "capture"

    source_id: uuid.UUID = Field(foreign_key="source.id", primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    managed: bool = Field(default=True, description="we make and drop slot and publication; else their owner does")
    slot_name: str = Field(max_length=63)
    publication_name: str = Field(max_length=63)
    auto_drop_slot: bool = Field(default=False, description="drop a managed slot at the critical threshold")
    warning_mb: int = 1024
    critical_mb: int = 10240
    delete_mode: str = Field(default=DeleteMode.HARD, max_length=20)
    continuous: bool = False

    epoch: int = Field(default=1, description="goes up whenever the slot is made anew")
    sequence: int = Field(default=0, sa_type=BigInteger, description="of the newest known entry of the change log")
    position: int = Field(default=0, sa_type=BigInteger, description="everything up to it is captured")
    captured_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cluster: str | None = Field(default=None, sa_type=Text)
    latest_error: str | None = Field(default=None, sa_type=Text)

    retained_bytes: int | None = Field(default=None, sa_type=BigInteger)
    lag_bytes: int | None = Field(default=None, sa_type=BigInteger)
    limit_bytes: int | None = Field(default=None, sa_type=BigInteger)
    wal_status: str | None = Field(default=None, max_length=20)
    growth: float | None = Field(default=None, description="of the retained bytes, in a second")
    watched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    removing: bool = Field(default=False, description="slot and publication are to be dropped at the source")
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class CaptureEvent(SQLModel, table=True):
    """Something that happened to a source's capture, for the people who own the source. Kept as long as log lines."""

    __tablename__ = "capture_event"
    __table_args__ = (
        Index("ix_capture_event_source", "source_id", "at", "id"),
        Index("ix_capture_event_time", "at"),
    )

    id: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger().with_variant(Integer(), "sqlite"),
    )
    project_id: int = Field(foreign_key="project.id")
    source_id: uuid.UUID = Field(foreign_key="source.id")
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    level: LogLevel = Field(default=LogLevel.INFO, sa_type=Text)
    message: str = Field(sa_type=Text)
    fields: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class Wish(SQLModel, table=True):
    """The outbox: what a committed change wants of Temporal. Written with the change, deleted once it is done."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_due", "due_at"), Index("ix_outbox_schema", "schema_id", "created_at"))

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    schema_id: uuid.UUID = Field(foreign_key="schema.id")
    kind: WishKind = Field(sa_type=Text)
    attempts: int = 0
    latest_error: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    due_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class JobLog(SQLModel, table=True):
    """A line that a run wrote for the people who own its table."""

    __tablename__ = "job_log"
    __table_args__ = (
        Index("ix_job_log_schema", "schema_id", "at", "id"),
        Index("ix_job_log_job", "job_id", "id"),
        Index("ix_job_log_time", "at"),
    )

    id: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger().with_variant(Integer(), "sqlite"),
    )
    project_id: int = Field(foreign_key="project.id")
    schema_id: uuid.UUID = Field(foreign_key="schema.id")
    job_id: uuid.UUID = Field(foreign_key="job.id")
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    level: LogLevel = Field(default=LogLevel.INFO, sa_type=Text)
    message: str = Field(sa_type=Text)
    fields: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class RequestBudget(SQLModel, table=True):
    """When the next request to an account of a provider may be sent, in seconds since 1970."""

    __tablename__ = "request_budget"

    account: str = Field(primary_key=True, max_length=64)
    next_at: float


class LoginTokens(SQLModel, table=True):
    """The newest tokens of a login to a provider. Times are in seconds since 1970."""

    __tablename__ = "login_tokens"

    account: str = Field(primary_key=True, max_length=64, description="digest of the login as its user gave it")
    version: int = Field(default=0, description="goes up with whatever is kept")
    encrypted_values: str | None = Field(default=None, sa_type=Text, description="Fernet over JSON")
    good_until: float | None = None
    claim: str | None = Field(default=None, max_length=32, description="of who is asking for the next version")
    claimed_until: float = 0.0
    used_at: float
