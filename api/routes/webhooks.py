"""``/api/projects/:project_id/external_data_sources/:id/``: its webhook."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.actions import webhooks
from api.auth import ObjectId, Reader, Writer
from api.backend import BackendDep
from api.bodies.reading import documented, reader
from api.bodies.webhooks import WebhookDeleted, WebhookInfo, WebhookInputs, WebhookInputsKept, WebhookMade
from api.objects import KnownSource

router = APIRouter(prefix="/api/projects/{project_id}/external_data_sources", tags=["external_data_sources"])

Inputs = Annotated[WebhookInputs, Depends(reader(WebhookInputs))]


@router.post("/{id}/create_webhook/", name="create_webhook")
def create_webhook(backend: BackendDep, caller: Writer, source_id: KnownSource) -> WebhookMade:
    """Have the provider send its events here. 400 where the source type does not support webhooks."""
    raise webhooks.refusal(backend, caller, source_id)


@router.post("/{id}/update_webhook_inputs/", name="update_webhook_inputs", openapi_extra=documented(WebhookInputs))
def update_webhook_inputs(
    backend: BackendDep, caller: Writer, source_id: KnownSource, body: Inputs
) -> WebhookInputsKept:
    """Give the webhook's own fields their values. 400 where the source type does not support webhooks."""
    raise webhooks.refusal(backend, caller, source_id)


@router.post("/{id}/delete_webhook/", name="delete_webhook")
def delete_webhook(backend: BackendDep, caller: Writer, source_id: KnownSource) -> WebhookDeleted:
    """Take the webhook back, here and at the provider. 400 where the source type does not support webhooks."""
    raise webhooks.refusal(backend, caller, source_id)


@router.get("/{id}/webhook_info/", name="webhook_info")
def webhook_info(backend: BackendDep, caller: Reader, source_id: ObjectId) -> WebhookInfo:
    """Whether the source type supports webhooks, and how the source's own is doing."""
    return webhooks.info(backend, caller, source_id)
