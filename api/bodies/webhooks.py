"""What is said about the webhooks by which a provider tells of changes."""

from typing import Annotated

from pydantic import BaseModel, Field

from api.bodies.reading import RequestBody, Text, storable

Name = Annotated[str, Field(min_length=1, max_length=200), storable]


class WebhookInputs(RequestBody):
    """Values for the webhook's own fields, such as a signing secret."""

    inputs: Annotated[dict[Name, Text], Field(min_length=1)]


class WebhookMade(BaseModel):
    success: bool
    webhook_url: str | None = Field(description="where the provider sends its events")
    error: str | None = Field(description="what the provider said, where it refused")
    pending_inputs: list[str] = Field(description="names of inputs that are still to be given")


class WebhookDeleted(BaseModel):
    success: bool
    external_deleted: bool = Field(description="whether it is gone at the provider too")
    error: str | None


class WebhookInputsKept(BaseModel):
    success: bool
    error: str | None


class ExternalStatus(BaseModel):
    """The webhook by the provider's own word."""

    exists: bool | None = Field(description="null where the provider does not say")
    url: str | None = None
    enabled_events: list[str] = Field(default=[], description="types of events that it sends; * for all")
    status: str | None = Field(default=None, description="as the provider calls it, such as enabled or disabled")
    description: str | None = None
    created_at: str | None = None
    error: str | None = Field(default=None, description="why the provider does not say")


class WebhookInfo(BaseModel):
    """The webhook of a source, as it is here and at the provider."""

    supports_webhooks: bool
    exists: bool
    webhook_url: str | None
    schema_mapping: dict[str, str] = Field(description="from tables that are synced by it to ids of their schemas")
    inputs: dict[str, str] = Field(description="without secrets")
    pending_inputs: list[str] = Field(description="names of inputs that are still to be given")
    external_status: ExternalStatus | None = Field(description="null where there is none, or nobody to be asked")
    missing_events: list[str] = Field(
        description="that the tables need and the provider does not send yet; all of them where it does not say"
    )
