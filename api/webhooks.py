"""What the actions on webhooks have in common: who has any, where they are, and what they need."""

import uuid
from collections.abc import Mapping

from api.backend import Backend
from api.errors import InvalidError
from connectors.receiving import Receiving
from connectors.registry import UnknownSourceTypeError, connector

PATH = "/public/webhooks/dwh/"


def receiving(source_type: str) -> Receiving | None:
    """The connector, where its sources can send events."""
    try:
        found = connector(source_type)
    except UnknownSourceTypeError:
        return None
    return found if isinstance(found, Receiving) else None


def required(source_type: str) -> Receiving:
    """``InvalidError`` where its sources cannot send events."""
    found = receiving(source_type)
    if found is None:
        raise InvalidError(f"The source type {source_type} does not support webhooks.", code="unsupported")
    return found


def address(backend: Backend, webhook_id: uuid.UUID, attr: str | None = None) -> str:
    """Where the provider sends its events. ``InvalidError`` where the installation has no public address."""
    if backend.public_url is None:
        raise InvalidError(
            "This installation has no public address to which events could be sent: set SYNCLINE_PUBLIC_URL.",
            attr=attr,
            code="no_public_url",
        )
    return f"{backend.public_url}{PATH}{webhook_id}"


def pending_inputs(connector: Receiving, inputs: Mapping[str, str]) -> list[str]:
    """Fields of the webhook that must be given, and are not."""
    return [field.name for field in connector.webhook_fields if field.required and not inputs.get(field.name)]


def public_inputs(connector: Receiving, inputs: Mapping[str, str]) -> dict[str, str]:
    """Without secrets."""
    shown = [field.name for field in connector.webhook_fields if not field.secret]
    return {name: inputs[name] for name in shown if name in inputs}
