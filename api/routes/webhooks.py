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
    """Have the provider send here what the enabled tables of the sync type webhook need. Called again, it makes right
    what is not. Where the provider refuses, ``success`` is false. 400 where the source type does not support webhooks.
    """
    return webhooks.create(backend, caller, source_id)


@router.post("/{id}/update_webhook_inputs/", name="update_webhook_inputs", openapi_extra=documented(WebhookInputs))
def update_webhook_inputs(
    backend: BackendDep, caller: Writer, source_id: KnownSource, body: Inputs
) -> WebhookInputsKept:
    """Give the webhook's own fields their values, such as the signing secret of one that was made by hand. 400 where
    there is no webhook, or no such field.
    """
    return webhooks.update_inputs(backend, caller, source_id, body)


@router.post("/{id}/delete_webhook/", name="delete_webhook")
def delete_webhook(backend: BackendDep, caller: Writer, source_id: KnownSource) -> WebhookDeleted:
    """Take the webhook back, here and at the provider. 400 while an enabled table is synced by it. A provider that does
    not answer is asked again in the background.
    """
    return webhooks.delete(backend, caller, source_id)


@router.get("/{id}/webhook_info/", name="webhook_info")
def webhook_info(backend: BackendDep, caller: Reader, source_id: ObjectId) -> WebhookInfo:
    """Whether the source type supports webhooks, and how the source's own is doing here and at the provider."""
    return webhooks.info(backend, caller, source_id)
