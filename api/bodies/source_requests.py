"""What clients send about sources."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from api.bodies.cdc_requests import CdcPlan
from api.bodies.reading import RequestBody, Text, storable
from api.bodies.schema_requests import MOST_SCHEMAS, SchemaChanges

PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Description = Annotated[str, Field(max_length=400), storable]


def _usable_prefix(value: str) -> str:
    if value and not PREFIX.fullmatch(value):
        raise ValueError("A prefix has letters, digits and _ only, and does not start with a digit")
    return value


Prefix = Annotated[str, Field(max_length=100), AfterValidator(_usable_prefix)]


class NamedSchema(SchemaChanges):
    """One table of a new source, with its settings."""

    name: Annotated[str, Field(min_length=1, max_length=400), storable]


class SourcePayload(CdcPlan):
    """The connection's fields, as the source type's form names them, and the tables to set up."""

    model_config = ConfigDict(extra="allow")

    cdc_enabled: bool = Field(default=False, description="begin to capture changes; the fields `cdc_…` say how")
    schemas: Annotated[list[NamedSchema], Field(max_length=MOST_SCHEMAS)] | None = None

    def inputs(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class SourceCreate(RequestBody):
    source_type: Annotated[str, Field(max_length=100), storable]
    payload: SourcePayload
    prefix: Prefix | None = None
    description: Description | None = None
    access_method: Literal["warehouse", "direct"] = "warehouse"
    client_secret: Text | None = Field(default=None, description="accepted for compatibility, not used")
    account_id: Text | None = Field(default=None, description="accepted for compatibility, not used")


class SourceChanges(RequestBody):
    """What is absent stays as it is."""

    prefix: Prefix | None = Field(default=None, description="cannot change")
    description: Description | None = None
    access_method: Literal["warehouse", "direct"] = Field(default="warehouse", description="cannot change")
    job_inputs: dict[str, Any] = Field(
        default_factory=dict, description="merged over the stored ones; a blank or absent secret keeps the stored one"
    )
    client_secret: Text | None = Field(default=None, description="accepted for compatibility, not used")
    account_id: Text | None = Field(default=None, description="accepted for compatibility, not used")
