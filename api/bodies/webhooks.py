"""What is said about the webhooks by which a provider tells of changes."""

from typing import Annotated, Any

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


class WebhookInfo(BaseModel):
    """The webhook of a source, as it is here and at the provider."""

    supports_webhooks: bool
    exists: bool
    webhook_url: str | None
    schema_mapping: dict[str, str] = Field(description="from the provider's names of objects to ids of schemas")
    inputs: dict[str, Any] = Field(description="without secrets")
    external_status: dict[str, Any] | None = Field(description="what the provider says of it")
    missing_events: list[str] = Field(description="that the provider does not send yet")
