"""Registering a source's webhook at its provider: whatever fails, nothing is left there that nobody knows of."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from api.backend import Backend
from api.errors import ApiError, ConflictError, NotFoundError
from api.webhooks import address, pending_inputs, receiving
from connectors.deadline import patience
from connectors.errors import AccessError, SourceError
from connectors.receiving import Receiving
from metadata.models import Source, Webhook
from metadata.registrations import (
    Registration,
    WebhookTakenError,
    claim_webhook,
    come_to_life,
    end_claim,
    followed_schemas,
    forget_webhook,
    is_claimed,
    keep_registered,
    take_back,
)
from metadata.sources import find_source

log = structlog.get_logger(__name__)

TAKE_BACK_SECONDS = 10.0
CLAIM_SECONDS = 10.0

Start = Callable[[Session], None]
"""What brings the webhook to life, in the transaction that stores what goes with it."""


@dataclass(frozen=True)
class Outcome:
    """``error``: why the provider does not send what was asked for; then somebody may do it by hand, or nobody can."""

    pending: list[str]
    made_by_hand: bool
    error: SourceError | None = None


def claim(
    backend: Backend, project_id: int, source_id: uuid.UUID, attr: str | None = None
) -> tuple[Registration, list[str]]:
    """The webhook of a live source, and the tables that are synced by it. Another request that is at it is waited for
    a little; then ``ConflictError``.
    """
    deadline = time.monotonic() + CLAIM_SECONDS
    while True:
        try:
            with backend.database.transaction() as session:
                source = find_source(session, project_id, source_id, lock=True)
                if source is None:
                    raise NotFoundError
                registration = claimed(backend, source, session, attr)
                return registration, [schema.name for schema in followed_schemas(session, source_id)]
        except ConflictError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def claimed(backend: Backend, source: Source, session: Session, attr: str | None = None) -> Registration:
    """For longer than a request may take. ``ConflictError`` where another one is at it."""
    new = Webhook(project_id=source.project_id, source_id=source.id, encrypted_inputs=backend.vault.encrypt({}), url="")
    new.url = address(backend, new.id, attr)
    lease = timedelta(seconds=2 * backend.source_calls.seconds + 60)
    try:
        return claim_webhook(session, source, new, lease)
    except WebhookTakenError as error:
        raise ConflictError(str(error), code="being_registered") from error


def register(
    backend: Backend, connector: Receiving, config: Any, registration: Registration, tables: Sequence[str]
) -> Outcome:
    """Have the provider send what the tables need, and keep what came of it. ``SourceError`` where nothing did."""
    inputs = backend.vault.decrypt(registration.encrypted_inputs)
    url = address(backend, registration.webhook_id)
    try:
        if url != registration.url:
            connector.unregister(config, registration.url)
        found = connector.register(config, url, connector.event_types(config, tables), inputs)
    except AccessError as error:
        pending = pending_inputs(connector, inputs)
        by_hand = registration.made_by_hand or bool(pending)
        _keep(backend, registration, inputs, url, made_by_hand=by_hand)
        return Outcome(pending, by_hand, error)
    known = {**inputs, **found.inputs}
    by_hand = bool(found.pending) or (
        registration.made_by_hand and not found.inputs and connector.endpoint(config, url) is None
    )
    _keep(backend, registration, known, url, made_by_hand=by_hand)
    return Outcome(sorted({*found.pending, *(pending_inputs(connector, known) if tables else ())}), by_hand)


@contextmanager
def held(backend: Backend, registration: Registration, connector: Receiving, config: Any) -> Iterator[None]:
    """What the claim was for. Where it fails, a webhook that was not there before is taken back, here and there."""
    try:
        yield
    except BaseException as error:
        _give_back(backend, registration, connector, config, refused=isinstance(error, AccessError))
        raise
    with backend.database.transaction() as session:
        end_claim(session, registration)


def taken_back(connector: Receiving, config: Any, url: str) -> bool:
    """Whether the provider sends no more there, for certain."""
    try:
        with patience(TAKE_BACK_SECONDS):
            connector.unregister(config, url)
    except SourceError as error:
        log.warning("a webhook is taken back later", reason=error.message)
        return False
    return True


def leave(backend: Backend, source: Source, webhook: Webhook) -> None:
    """Have the provider forget a webhook that is gone here, at once where it answers, else in the background: as well
    where somebody is just registering it, who may come later.
    """
    if is_claimed(webhook):
        return
    connector = receiving(source.source_type)
    try:
        if connector is not None:
            config = backend.stored_config(connector, source)
            with backend.source_calls.bounded(source.project_id):
                if not taken_back(connector, config, webhook.url):
                    return
        with backend.database.transaction() as session:
            forget_webhook(session, webhook.id)
    except (SourceError, ApiError, OperationalError) as error:
        log.warning("a webhook is taken back later", source_id=str(source.id), reason=repr(error))


@contextmanager
def registered_from_birth(
    backend: Backend, source: Source, connector: Receiving, inputs: Mapping[str, Any], tables: Sequence[str]
) -> Iterator[Start]:
    """For a source whose rows the block stores. ``SourceError`` where the provider does not send what they need.

    The source's own row is there before, deleted: so that there is somebody who knows of the webhook, whatever happens.
    """
    config = backend.config(connector, inputs)
    with backend.database.transaction() as session:
        source.deleted_at = source.created_at
        session.add(source)
        session.flush()
        registration = claimed(backend, source, session, "payload.schemas")
    with held(backend, registration, connector, config):
        require(register(backend, connector, config, registration, tables))

        def start(session: Session) -> None:
            if not come_to_life(session, registration):
                raise ConflictError("The provider took too long to register the webhook: try again.")

        source.deleted_at = None
        yield start


def require(outcome: Outcome) -> None:
    """Raise what keeps the provider from sending, unless somebody has seen to that by hand."""
    if outcome.error is not None and (outcome.pending or not outcome.made_by_hand):
        message = f"{outcome.error.message} Or make the webhook by hand first: create_webhook says where."
        raise AccessError(message) from outcome.error


def _keep(
    backend: Backend, registration: Registration, inputs: Mapping[str, str], url: str, *, made_by_hand: bool
) -> None:
    encrypted = backend.vault.encrypt(inputs)
    with backend.database.transaction() as session:
        kept = keep_registered(session, registration, encrypted_inputs=encrypted, url=url, made_by_hand=made_by_hand)
    if not kept:
        raise ConflictError("The webhook was deleted, or took too long to be registered: try again.")


def _give_back(
    backend: Backend, registration: Registration, connector: Receiving, config: Any, *, refused: bool
) -> None:
    """What does not answer is asked again in the background. ``refused``: the provider has made nothing."""
    try:
        clean = refused or not registration.is_new or taken_back(connector, config, registration.url)
        with backend.database.transaction() as session:
            take_back(session, registration, clean=clean)
    except Exception as error:
        # Nobody keeps the claim: it runs out, and whoever comes next makes it right.
        source_id = str(registration.source_id)
        log.warning("the claim of a webhook runs out by itself", source_id=source_id, reason=repr(error))
