"""What is said while a source is being set up: before it exists, and about what it can do."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.bodies.reading import RequestBody, storable
from api.bodies.responses import AvailableColumn, IncrementalFieldBody
from api.bodies.source_requests import Prefix

SourceType = Annotated[str, Field(max_length=100), storable]
AccessMethod = Literal["warehouse", "direct"]


class Connection(RequestBody):
    """A source that is not there yet: its type, and beside it the connection's fields as the type's form names them."""

    model_config = ConfigDict(extra="allow")

    source_type: SourceType
    access_method: AccessMethod = "warehouse"

    def inputs(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class PreviewQuestion(Connection):
    """As ``Connection``, with the table to look at."""

    resource: Annotated[str, Field(max_length=400), storable]


class PreviewColumn(BaseModel):
    name: str
    type: str = Field(description="the lake's name of it")


class Preview(BaseModel):
    """Some rows of a table of a source that is not there yet."""

    resource: str
    columns: list[PreviewColumn] = Field(description="in the types that these rows alone would have")
    rows: list[list[Any]] = Field(description="values in the order of the columns; decimals and times as text")


class PrefixQuestion(RequestBody):
    source_type: SourceType
    prefix: Prefix | None = None
    access_method: AccessMethod = "warehouse"


class RevenueAnalyticsChanges(RequestBody):
    """What is absent stays as it is; ``null`` brings back the default of the source type."""

    enabled: bool | None = None
    include_invoiceless_charges: bool | None = None


class TableChoice(BaseModel):
    """A table that a source would have, and how it could be copied."""

    table: str
    label: str | None
    description: str | None
    kind: str = Field(description="table, view, materialized_view, partitioned_table or foreign_table")
    rows: int | None = Field(description="the source's own estimate; null where it has none")
    should_sync: bool = Field(default=False, description="nothing is chosen yet")
    sync_type: str | None = Field(default=None, description="nothing is chosen yet")
    full_refresh_available: bool
    incremental_available: bool
    append_available: bool
    cdc_available: bool
    supports_webhooks: bool
    webhook_only: bool = Field(description="made of events: there is no other way to its rows")
    incremental_field: str | None = Field(description="the cursor that suggests itself")
    incremental_fields: list[IncrementalFieldBody]
    available_columns: list[AvailableColumn]
    detected_primary_keys: list[str] | None


class WizardOption(BaseModel):
    label: str
    value: str


class WizardField(BaseModel):
    """One input of a connection's form."""

    name: str
    label: str
    type: str = Field(description="text, password, number, select, textarea or boolean")
    required: bool
    secret: bool = Field(description="never given back")
    default: str | int | bool | None
    placeholder: str
    options: list[WizardOption] = Field(description="of a select")


class Capabilities(BaseModel):
    sync_types: list[str] = Field(description="how tables of such a source can be copied")
    cdc: bool
    webhooks: bool
    direct: bool = Field(description="whether it can be queried live without being copied")


class WizardSource(BaseModel):
    """A source type, with the form that makes a source of it."""

    name: str
    label: str
    caption: str
    docs_url: str
    fields: list[WizardField]
    webhook_fields: list[WizardField] = Field(description="those of its webhook, for update_webhook_inputs")
    capabilities: Capabilities
