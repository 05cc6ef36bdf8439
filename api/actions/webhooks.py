"""Webhooks of a source, whose type says whether it has any."""

import uuid

from api.auth import Caller
from api.backend import Backend
from api.bodies.webhooks import WebhookInfo
from api.errors import InvalidError
from api.objects import live_source
from connectors.registry import can_sync


def refusal(backend: Backend, caller: Caller, source_id: uuid.UUID) -> InvalidError:
    """Why this source can have no webhook."""
    source = live_source(backend, caller, source_id)
    return InvalidError(f"The source type {source.source_type} does not support webhooks.", code="unsupported")


def info(backend: Backend, caller: Caller, source_id: uuid.UUID) -> WebhookInfo:
    source = live_source(backend, caller, source_id)
    return WebhookInfo(
        supports_webhooks=can_sync(source.source_type, "webhook"),
        exists=False,
        webhook_url=None,
        schema_mapping={},
        inputs={},
        external_status=None,
        missing_events=[],
    )
