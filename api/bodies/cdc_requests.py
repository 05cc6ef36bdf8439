"""What clients send about change data capture of a source, one that is there or one that is to be made."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from api.bodies.reading import RequestBody, storable

MOST_TABLES = 10_000
MOST_THRESHOLD_MB = 2**31 - 1
OUT_OF_ORDER = "The warning threshold must lie below the critical one."

Management = Literal["managed", "self_managed"]
ObjectName = Annotated[str, Field(min_length=1, max_length=63), storable]
Tables = Annotated[list[Annotated[str, Field(min_length=1, max_length=400), storable]], Field(max_length=MOST_TABLES)]
Threshold = Annotated[int, Field(ge=1, le=MOST_THRESHOLD_MB)]


class CdcNames(RequestBody):
    """Who looks after slot and publication, and how they are called."""

    cdc_management_mode: Management = Field(
        default="managed", description="who makes and drops slot and publication: Syncline, or you"
    )
    cdc_slot_name: ObjectName | None = Field(default=None, description="needed where you look after it")
    cdc_publication_name: ObjectName | None = Field(default=None, description="needed where you look after it")


class CdcQuestion(CdcNames):
    """How change data capture would be set up."""

    tables: Tables | None = Field(
        default=None, description="that are to be captured; null for those that are set to it, if any are"
    )


class CdcSettings(RequestBody):
    """How changes are captured, and when the log that a source keeps for it is too much."""

    cdc_auto_drop_slot: bool | None = Field(default=None, description="drop a managed slot at the critical threshold")
    cdc_lag_warning_threshold_mb: Threshold | None = Field(default=None, description="1024 where nothing is said")
    cdc_lag_critical_threshold_mb: Threshold | None = Field(default=None, description="10240 where nothing is said")
    cdc_delete_mode: Literal["hard", "soft"] | None = Field(
        default=None, description="what becomes of rows that are deleted at the source: they go, or they are marked"
    )
    cdc_continuous: bool | None = Field(default=None, description="capture all the time, not on a schedule")

    @model_validator(mode="after")
    def _in_order(self) -> "CdcSettings":
        warning, critical = self.cdc_lag_warning_threshold_mb, self.cdc_lag_critical_threshold_mb
        if warning is not None and critical is not None and warning >= critical:
            raise ValueError(OUT_OF_ORDER)
        return self


class CdcPlan(CdcSettings, CdcNames):
    """How change data capture is to be set up with a new source."""


class CdcSetup(CdcSettings, CdcQuestion):
    """How change data capture is to be set up."""
