"""What clients get to see."""

import uuid
from datetime import datetime, time
from typing import Any

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from metadata.models import SyncFrequency


class TableColumn(TypedDict):
    """A plain dict, as is ``AvailableColumn``: a page has tens of thousands of them."""

    key: str
    name: str
    type: str
    nullable: bool


class TableBody(BaseModel):
    """A schema's Delta table."""

    id: uuid.UUID
    name: str
    format: str = "Delta"
    url_pattern: str = Field(description="root of the Delta table, for any Delta reader")
    row_count: int
    size_in_s3_mib: float
    columns: list[TableColumn]


class AvailableColumn(TypedDict):
    name: str
    type: str
    nullable: bool
    primary_key: bool


class SchemaBody(BaseModel):
    """A table of a source: how it is copied, and how that went."""

    id: uuid.UUID
    name: str
    label: str | None
    description: str | None
    table: TableBody | None = Field(description="null before the first load")
    should_sync: bool
    last_synced_at: datetime | None = Field(description="start of the newest completed run")
    latest_error: str | None
    incremental: bool
    status: str | None = Field(description="Running, Completed, Failed, Paused, Cancelled; null when it never ran")
    sync_type: str | None
    incremental_field: str | None
    incremental_field_type: str | None
    incremental_lookback_seconds: int
    sync_frequency: SyncFrequency
    sync_time_of_day: time | None = Field(description="UTC")
    primary_key_columns: list[str] | None
    cdc_table_mode: str
    cdc_delete_mode: str | None = Field(description="null: as the source has it")
    enabled_columns: list[str] | None
    row_filter: list[dict[str, Any]] | None
    type_overrides: dict[str, str] | None = Field(description="lake types in place of the usual ones, by column")
    available_columns: list[AvailableColumn]


class RevenueAnalyticsConfig(BaseModel):
    enabled: bool
    include_invoiceless_charges: bool = True


class SourceBody(BaseModel):
    """A database or account, with its schemas."""

    id: uuid.UUID
    created_at: datetime
    created_by: str | None
    status: str
    source_type: str
    latest_error: str | None
    prefix: str
    description: str | None
    access_method: str
    engine: str
    last_run_at: datetime | None = Field(description="start of the newest completed job")
    schemas: list[SchemaBody]
    job_inputs: dict[str, Any] = Field(description="without secrets")
    revenue_analytics_config: RevenueAnalyticsConfig
    user_access_level: str
    supports_webhooks: bool


class JobSchema(BaseModel):
    id: uuid.UUID
    name: str
    label: str | None
    should_sync: bool
    sync_type: str | None
    last_synced_at: datetime | None


class JobBody(BaseModel):
    """One run of one schema; its figures are live while it runs."""

    id: uuid.UUID
    created_at: datetime
    created_by: str | None
    finished_at: datetime | None
    status: str
    schema_: JobSchema = Field(alias="schema")
    rows_synced: int
    rows_to_sync: int | None
    bytes_written: int
    latest_error: str | None
    warnings: list[dict[str, Any]]
    workflow_id: str
    workflow_run_id: str
    trigger: str


class RefreshBody(BaseModel):
    added: int
    deleted: int
    total_tables_seen: int


class IncrementalFieldBody(BaseModel):
    field: str
    field_type: str
    label: str
    type: str
    nullable: bool
    is_indexed: bool


class IncrementalFieldsBody(BaseModel):
    """What the source says of this table right now."""

    incremental_fields: list[IncrementalFieldBody]
    incremental_available: bool
    append_available: bool
    cdc_available: bool
    full_refresh_available: bool
    supports_webhooks: bool
    webhook_only: bool = Field(description="made of events: there is no other way to its rows")
    available_columns: list[AvailableColumn]
    detected_primary_keys: list[str] | None


class HealthBody(BaseModel):
    status: str


class ReadyBody(BaseModel):
    status: str
    checks: dict[str, str] = Field(description="database, temporal, lake: ok or unavailable")
