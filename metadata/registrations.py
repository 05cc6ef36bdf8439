"""A source's webhook while it is being registered at its provider: claimed by one request before that hears of it.

Nobody else registers it meanwhile. A claim that nobody keeps runs out: then whoever comes next makes it right.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, update
from sqlmodel import Session, col, or_, select

from metadata.database import Database, for_update
from metadata.errors import MetadataError
from metadata.live import after, parse_id
from metadata.models import Schema, Source, SyncType, Webhook, utc_now
from metadata.vault import Vault

REMAINS = timedelta(days=7)
"""How long a provider is asked to forget a webhook that is gone here."""


class WebhookTakenError(MetadataError):
    """Somebody else is registering it."""


@dataclass(frozen=True)
class Registration:
    """The right to register a source's webhook, until that time, which also tells it from other claims."""

    webhook_id: uuid.UUID
    source_id: uuid.UUID
    until: datetime
    is_new: bool
    """There was none before."""
    newborn: bool
    """The source itself only comes to life with its webhook: until then it counts as deleted."""
    encrypted_inputs: str
    url: str
    """Under which the provider knows it, if it does."""
    made_by_hand: bool


@dataclass(frozen=True)
class KnownWebhook:
    """A webhook by the side that the provider knows."""

    webhook_id: str
    source_type: str
    encrypted_source_inputs: str = field(repr=False)
    url: str


def live_webhook(session: Session, source_id: uuid.UUID, *, lock: bool = False) -> Webhook | None:
    """The caller that also locks the source has done so before."""
    mine = select(Webhook).where(Webhook.source_id == source_id, col(Webhook.deleted_at).is_(None))
    return session.exec(for_update(mine) if lock else mine).first()


def followed_schemas(session: Session, source_id: uuid.UUID) -> list[Schema]:
    """The enabled ones of the sync type webhook, by name."""
    followed = select(Schema).where(
        Schema.source_id == source_id,
        col(Schema.deleted_at).is_(None),
        col(Schema.should_sync),
        Schema.sync_type == SyncType.WEBHOOK,
    )
    return list(session.exec(followed.order_by(col(Schema.name))))


def is_claimed(webhook: Webhook) -> bool:
    return webhook.claimed_until is not None and webhook.claimed_until > utc_now()


def claim_webhook(session: Session, source: Source, new: Webhook, lease: timedelta) -> Registration:
    """The source's webhook, or ``new`` where there is none. ``WebhookTakenError``. The caller holds the source's lock,
    or has it to himself.
    """
    known = live_webhook(session, source.id, lock=True)
    webhook = new if known is None else known
    if is_claimed(webhook):
        raise WebhookTakenError("The webhook of this source is being changed right now: try again in a moment.")
    until = webhook.claimed_until = utc_now() + lease
    if source.deleted_at is not None:
        webhook.removing, webhook.deleted_at = True, utc_now()
    session.add(webhook)
    session.flush()
    return Registration(
        webhook_id=webhook.id,
        source_id=source.id,
        until=until,
        is_new=known is None,
        newborn=source.deleted_at is not None,
        encrypted_inputs=webhook.encrypted_inputs,
        url=webhook.url,
        made_by_hand=webhook.made_by_hand,
    )


def keep_registered(
    session: Session, registration: Registration, *, encrypted_inputs: str, url: str, made_by_hand: bool
) -> bool:
    """What came of it. The claim stays. False where it has run out, or the webhook is gone."""
    webhook = _claimed(session, registration)
    if webhook is None or registration.until <= utc_now():
        return False
    if webhook.deleted_at is not None and not registration.newborn:
        return False
    webhook.encrypted_inputs, webhook.url, webhook.made_by_hand = encrypted_inputs, url, made_by_hand
    session.add(webhook)
    return True


def come_to_life(session: Session, registration: Registration) -> bool:
    """With its source. False where the claim has run out."""
    webhook = _claimed(session, registration)
    if webhook is None or registration.until <= utc_now():
        return False
    webhook.removing, webhook.deleted_at = False, None
    session.add(webhook)
    return True


def end_claim(session: Session, registration: Registration) -> None:
    webhook = _claimed(session, registration)
    if webhook is not None:
        webhook.claimed_until, webhook.updated_at = None, utc_now()
        session.add(webhook)


def take_back(session: Session, registration: Registration, *, clean: bool) -> None:
    """It was not to be. ``clean``: the provider knows nothing of it; else that waits to be made so."""
    webhook = _claimed(session, registration)
    if webhook is None:
        return
    if not registration.is_new:
        end_claim(session, registration)
    elif clean:
        session.connection().execute(delete(Webhook).where(col(Webhook.id) == webhook.id))
        if registration.newborn:
            session.connection().execute(delete(Source).where(col(Source.id) == registration.source_id))
    else:
        _end(webhook)
        session.add(webhook)


def end_webhook(session: Session, webhook: Webhook) -> None:
    """Nothing is received any more; what the provider has of it waits to be taken back."""
    _end(webhook)
    session.add(webhook)


def end_webhooks(session: Session, which: ColumnElement[bool]) -> None:
    """The same for several."""
    now = utc_now()
    ended = {"removing": True, "deleted_at": now, "updated_at": now}
    session.connection().execute(update(Webhook).where(which, col(Webhook.deleted_at).is_(None)).values(ended))


def forget_webhook(session: Session, webhook_id: uuid.UUID) -> None:
    """Nothing is left of it at the provider, or nobody knows."""
    session.connection().execute(update(Webhook).where(col(Webhook.id) == webhook_id).values(removing=False))


class RegisteredWebhooks:
    """Webhooks that providers know, as the worker sees them. Thread-safe."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def left(self, after_id: str | None, most: int) -> list[KnownWebhook]:
        """Those that are gone here, and may be there at the provider. By id; what has long been gone is let be."""
        now = utc_now()
        left = (
            select(Webhook, Source)
            .join(Source, col(Source.id) == Webhook.source_id)
            .where(col(Webhook.removing), col(Webhook.deleted_at) > now - REMAINS, *after(Webhook.id, after_id))
            .where(or_(col(Webhook.claimed_until).is_(None), col(Webhook.claimed_until) < now))
            .order_by(col(Webhook.id))
            .limit(most)
        )
        return self._found(left)

    def followed(self, after_id: str | None, most: int) -> list[KnownWebhook]:
        """Those that are not gone, whose events some table wants. By id."""
        wanted = select(Schema.id).where(
            Schema.source_id == Source.id,
            col(Schema.deleted_at).is_(None),
            col(Schema.should_sync),
            Schema.sync_type == SyncType.WEBHOOK,
        )
        alive = (
            select(Webhook, Source)
            .join(Source, col(Source.id) == Webhook.source_id)
            .where(col(Webhook.deleted_at).is_(None), col(Source.deleted_at).is_(None), wanted.exists())
            .where(col(Webhook.made_by_hand).is_(False), *after(Webhook.id, after_id))
            .order_by(col(Webhook.id))
            .limit(most)
        )
        return self._found(alive)

    def _found(self, statement: Any) -> list[KnownWebhook]:
        with self._database.read() as session:
            found = session.exec(statement).all()
        return [
            KnownWebhook(str(webhook.id), source.source_type, source.encrypted_inputs, webhook.url)
            for webhook, source in found
        ]

    def source_inputs(self, webhook: KnownWebhook) -> dict[str, Any]:
        """In the clear."""
        return self._vault.decrypt(webhook.encrypted_source_inputs)

    def forget(self, webhook_id: str) -> None:
        identity = parse_id(webhook_id)
        if identity is not None:
            with self._database.transaction() as session:
                forget_webhook(session, identity)


def _end(webhook: Webhook) -> None:
    webhook.removing, webhook.claimed_until = True, None
    webhook.deleted_at = webhook.updated_at = utc_now()


def _claimed(session: Session, registration: Registration) -> Webhook | None:
    mine = select(Webhook).where(Webhook.id == registration.webhook_id)
    webhook = session.exec(for_update(mine)).first()
    return webhook if webhook is not None and webhook.claimed_until == registration.until else None
