"""The webhook of a source: making it at the provider, its inputs, how it is doing, and taking it back."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session

from api.actions.webhook_setup import claim, held, register
from api.auth import Caller
from api.backend import Backend
from api.bodies.webhooks import (
    ExternalStatus,
    WebhookDeleted,
    WebhookInfo,
    WebhookInputs,
    WebhookInputsKept,
    WebhookMade,
)
from api.errors import ConflictError, InvalidError, NotFoundError
from api.objects import live_source
from api.webhooks import pending_inputs, public_inputs, receiving, required
from connectors.errors import SourceError
from connectors.receiving import ALL_EVENTS, Endpoint, Receiving
from metadata.models import Source, Webhook, utc_now
from metadata.registrations import (
    end_webhook,
    followed_schemas,
    forget_webhook,
    is_claimed,
    live_webhook,
)
from metadata.sources import find_source


def create(backend: Backend, caller: Caller, source_id: uuid.UUID) -> WebhookMade:
    """Have the provider send what the enabled tables need. Called again, it makes right what is not."""
    connector, config = _known(backend, caller, source_id)
    with backend.source_calls.bounded(caller.project_id):
        registration, tables = claim(backend, caller.project_id, source_id)
        try:
            with held(backend, registration, connector, config):
                outcome = register(backend, connector, config, registration, tables)
        except SourceError as error:
            url = None if registration.is_new else registration.url
            return WebhookMade(success=False, webhook_url=url, error=error.message, pending_inputs=[])
    with backend.database.read() as session:
        webhook = live_webhook(session, source_id)
    return WebhookMade(
        success=outcome.error is None,
        webhook_url=None if webhook is None else webhook.url,
        error=None if outcome.error is None else f"{outcome.error.message} {_BY_HAND}",
        pending_inputs=outcome.pending,
    )


def update_inputs(backend: Backend, caller: Caller, source_id: uuid.UUID, body: WebhookInputs) -> WebhookInputsKept:
    """What is absent stays. Who gives a secret where there was none has made the webhook at the provider himself."""
    connector, _ = _known(backend, caller, source_id)
    given = {name: value.strip() for name, value in body.inputs.items()}
    _check_inputs(connector, given)
    with backend.database.transaction() as session:
        _locked(session, caller, source_id)
        webhook = live_webhook(session, source_id, lock=True)
        if webhook is None:
            raise InvalidError("This source has no webhook yet: create it first.", code="no_webhook")
        _refuse_claimed(webhook)
        stored = backend.vault.decrypt(webhook.encrypted_inputs)
        webhook.made_by_hand = webhook.made_by_hand or bool(pending_inputs(connector, stored))
        webhook.encrypted_inputs, webhook.updated_at = backend.vault.encrypt({**stored, **given}), utc_now()
        session.add(webhook)
    return WebhookInputsKept(success=True, error=None)


def delete(backend: Backend, caller: Caller, source_id: uuid.UUID) -> WebhookDeleted:
    """Nothing is received from then on. A provider that does not answer is asked again in the background."""
    connector, config = _known(backend, caller, source_id)
    with backend.source_calls.bounded(caller.project_id):
        with backend.database.transaction() as session:
            _locked(session, caller, source_id)
            webhook = live_webhook(session, source_id, lock=True)
            if webhook is None:
                return WebhookDeleted(success=True, external_deleted=False, error=None)
            if followed := followed_schemas(session, source_id):
                names = ", ".join(schema.name for schema in followed)
                raise InvalidError(f"These tables are synced by it: {names}. Disable them first.", code="in_use")
            _refuse_claimed(webhook)
            end_webhook(session, webhook)
        try:
            deleted = connector.unregister(config, webhook.url)
        except SourceError as error:
            return WebhookDeleted(success=True, external_deleted=False, error=error.message)
    with backend.database.transaction() as session:
        forget_webhook(session, webhook.id)
    return WebhookDeleted(success=True, external_deleted=deleted, error=None)


def info(backend: Backend, caller: Caller, source_id: uuid.UUID) -> WebhookInfo:
    """As it is here, and, asked just now, at the provider."""
    source = live_source(backend, caller, source_id)
    connector = receiving(source.source_type)
    with backend.database.read() as session:
        webhook = None if connector is None else live_webhook(session, source_id)
        followed = [] if webhook is None else followed_schemas(session, source_id)
    if connector is None or webhook is None:
        return _without(supports=connector is not None)
    status, missing = _at_provider(backend, connector, source, webhook, [schema.name for schema in followed])
    inputs = backend.vault.decrypt(webhook.encrypted_inputs)
    return WebhookInfo(
        supports_webhooks=True,
        exists=True,
        webhook_url=webhook.url,
        schema_mapping={schema.name: str(schema.id) for schema in followed},
        inputs=public_inputs(connector, inputs),
        pending_inputs=pending_inputs(connector, inputs),
        external_status=status,
        missing_events=missing,
    )


_BY_HAND = (
    "Or make the webhook by hand at the provider, with this address and the events that webhook_info names, and give "
    "its signing secret by update_webhook_inputs."
)


def _at_provider(
    backend: Backend, connector: Receiving, source: Source, webhook: Webhook, tables: Sequence[str]
) -> tuple[ExternalStatus | None, list[str]]:
    needed: tuple[str, ...] = ()
    with backend.source_calls.bounded(source.project_id):
        try:
            config = backend.stored_config(connector, source)
            needed = connector.event_types(config, tables)
            endpoint = connector.endpoint(config, webhook.url)
        except SourceError as error:
            return ExternalStatus(exists=None, error=error.message), list(needed)
    if endpoint is None and webhook.made_by_hand:
        # There is nobody to be asked.
        return None, [each for each in needed if each != ALL_EVENTS]
    if endpoint is None:
        return ExternalStatus(exists=False), list(needed)
    return _described(endpoint), _missing(needed, endpoint.event_types)


def _described(endpoint: Endpoint) -> ExternalStatus:
    return ExternalStatus(
        exists=True,
        url=endpoint.url,
        enabled_events=list(endpoint.event_types),
        status=endpoint.status,
        description=endpoint.description,
        created_at=endpoint.created_at,
    )


def _missing(needed: Sequence[str], sent: Sequence[str]) -> list[str]:
    return [] if ALL_EVENTS in sent else sorted(set(needed) - set(sent))


def _without(*, supports: bool) -> WebhookInfo:
    return WebhookInfo(
        supports_webhooks=supports,
        exists=False,
        webhook_url=None,
        schema_mapping={},
        inputs={},
        pending_inputs=[],
        external_status=None,
        missing_events=[],
    )


def _known(backend: Backend, caller: Caller, source_id: uuid.UUID) -> tuple[Receiving, Any]:
    source = live_source(backend, caller, source_id)
    connector = required(source.source_type)
    try:
        return connector, backend.stored_config(connector, source)
    except SourceError as error:
        raise InvalidError(error.message, code=error.code) from error


def _check_inputs(connector: Receiving, given: Mapping[str, str]) -> None:
    fields = {field.name: field for field in connector.webhook_fields}
    for name, value in given.items():
        if name not in fields:
            known = ", ".join(fields)
            raise InvalidError(f"The webhook has no such field; there are: {known}.", attr=f"inputs.{name}")
        if fields[name].required and not value:
            raise InvalidError("This must not be blank.", attr=f"inputs.{name}")


def _refuse_claimed(webhook: Webhook) -> None:
    if is_claimed(webhook):
        raise ConflictError(
            "The webhook of this source is being changed right now: try again in a moment.", code="being_registered"
        )


def _locked(session: Session, caller: Caller, source_id: uuid.UUID) -> Source:
    source = find_source(session, caller.project_id, source_id, lock=True)
    if source is None:
        raise NotFoundError
    return source
