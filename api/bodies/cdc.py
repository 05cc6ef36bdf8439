"""What is said about change data capture: whether a source can have it, its settings, and how it is doing."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from api.bodies.reading import RequestBody, storable
from api.bodies.setup import Connection

MOST_TABLES = 10_000
MOST_THRESHOLD_MB = 2**31 - 1

Management = Literal["managed", "self_managed"]
ObjectName = Annotated[str, Field(min_length=1, max_length=63), storable]
Tables = Annotated[list[Annotated[str, Field(min_length=1, max_length=400), storable]], Field(max_length=MOST_TABLES)]
Threshold = Annotated[int, Field(ge=1, le=MOST_THRESHOLD_MB)]


class CdcQuestion(RequestBody):
    """How change data capture would be set up."""

    cdc_management_mode: Management = Field(
        default="managed", description="who makes and drops slot and publication: Syncline, or you"
    )
    tables: Tables | None = Field(default=None, description="that are to be captured; null for all")
    cdc_slot_name: ObjectName | None = None
    cdc_publication_name: ObjectName | None = None


class CdcConnection(CdcQuestion, Connection):
    """The same for a source that is not there yet, with the fields of its connection."""


class CdcThresholds(RequestBody):
    """When the log that a source keeps for us is too much."""

    cdc_auto_drop_slot: bool | None = Field(default=None, description="drop a managed slot at the critical threshold")
    cdc_lag_warning_threshold_mb: Threshold | None = None
    cdc_lag_critical_threshold_mb: Threshold | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "CdcThresholds":
        warning, critical = self.cdc_lag_warning_threshold_mb, self.cdc_lag_critical_threshold_mb
        if warning is not None and critical is not None and warning >= critical:
            raise ValueError("The warning threshold must lie below the critical one")
        return self


class CdcSetup(CdcThresholds, CdcQuestion):
    """How change data capture is to be set up."""


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
    schedules_ready: bool


class CdcDisabled(BaseModel):
    success: bool
    already_disabled: bool


class CdcSettingsKept(BaseModel):
    success: bool
    unchanged: bool


class CdcStatus(BaseModel):
    """Null where change data capture is not enabled."""

    enabled: bool
    management_mode: str | None = None
    slot_name: str | None = None
    publication_name: str | None = None
    lag_warning_threshold_mb: int | None = None
    lag_critical_threshold_mb: int | None = None
    slot_exists: bool | None = None
    publication_exists: bool | None = None
    lag_bytes: int | None = None
    published_tables: list[str] = []
