"""What is said about change data capture: whether a source can have it, and how it is doing."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api.bodies.cdc_requests import CdcQuestion
from api.bodies.setup import Connection
from metadata.models import LogLevel


class CdcConnection(CdcQuestion, Connection):
    """How change data capture would be set up for a source that is not there yet, with its connection's fields."""


class CdcProblem(BaseModel):
    """Something that stands in the way, and what to do about it."""

    code: str
    message: str
    fix: str


class CdcPrerequisites(BaseModel):
    valid: bool
    errors: list[CdcProblem]


class CdcEnabled(BaseModel):
    success: bool
    schedules_ready: bool = Field(description="the scheduler knows of it already; else it will within minutes")


class CdcDisabled(BaseModel):
    success: bool
    already_disabled: bool


class CdcSettingsKept(BaseModel):
    success: bool
    unchanged: bool


class CdcTable(BaseModel):
    """A table whose changes are captured, and how far they have come to the lake."""

    id: uuid.UUID = Field(description="of the schema")
    name: str
    applied_position: str | None = Field(description="the table has everything that was committed up to there")
    applied_at: datetime | None = Field(description="start of the newest completed run")
    status: str | None


class CdcEvent(BaseModel):
    at: datetime
    level: LogLevel
    message: str
    fields: dict[str, Any]


class CdcStatus(BaseModel):
    """Null where change data capture is not enabled. Positions look like `16/B374D848`."""

    enabled: bool
    management_mode: str | None = None
    slot_name: str | None = None
    publication_name: str | None = None
    lag_warning_threshold_mb: int | None = None
    lag_critical_threshold_mb: int | None = None
    auto_drop_slot: bool | None = None
    delete_mode: str | None = None
    continuous: bool | None = None
    slot_exists: bool | None = None
    publication_exists: bool | None = None
    slot_active: bool | None = None
    wal_status: str | None = Field(default=None, description="reserved, extended, unreserved or lost")
    lag_bytes: int | None = Field(default=None, description="log that was not captured yet")
    lag_seconds: float | None = Field(default=None, description="since the newest capture, where there is a lag")
    retained_bytes: int | None = Field(default=None, description="log that the source keeps because of the slot")
    limit_bytes: int | None = Field(default=None, description="at which the source gives the slot up by itself")
    forecast_seconds: float | None = Field(
        default=None,
        description="until the critical threshold or the source's own limit, at the measured growth; null without any",
    )
    published_tables: list[str] = []
    captured_position: str | None = None
    captured_at: datetime | None = None
    latest_error: str | None = None
    tables: list[CdcTable] = []
    events: list[CdcEvent] = Field(default=[], description="the newest first")
