"""Webhooks whose sender is the test: what is stored of them, how their events are signed, and what came of these."""

import hashlib
import hmac
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

from lake.inbox import Inbox, InboxEvent, inbox_root
from lake.storage import LakeStore
from metadata.database import Database
from metadata.keys import FIRST_PROJECT_ID
from metadata.models import Schema, Source, SyncType, Webhook
from metadata.vault import Vault

TABLES = ("customers", "orders")


@dataclass(frozen=True)
class Hook:
    """``schemas``: ids by the names of the tables."""

    id: str
    source_id: str
    secret: str
    schemas: dict[str, str]

    @property
    def path(self) -> str:
        return f"/public/webhooks/dwh/{self.id}"

    def headers(self, body: bytes, at: float | None = None) -> dict[str, str]:
        """Signed as Stripe does it."""
        seconds = int(time.time() if at is None else at)
        mac = hmac.new(self.secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
        return {"Content-Type": "application/json", "Stripe-Signature": f"t={seconds},v1={mac}"}


def make_hook(database: Database, vault: Vault, **enabled: bool) -> Hook:
    """Of a source with two tables, which an event tells apart by its ``object``; ``orders=False`` disables one."""
    inputs = {"signature": "stripe", "tables": ", ".join(TABLES), "table": "object", "key": "id"}
    return _stored(database, vault, "Webhook", inputs, {name: enabled.get(name, True) for name in TABLES})


def make_stripe_hook(database: Database, vault: Vault, *tables: str) -> Hook:
    """Of a Stripe account, with these tables of it."""
    return _stored(database, vault, "Stripe", {"api_key": "rk_test"}, dict.fromkeys(tables, True))


def _stored(
    database: Database, vault: Vault, source_type: str, inputs: dict[str, Any], enabled: dict[str, bool]
) -> Hook:
    secret = f"whsec_{secrets.token_hex(16)}"
    project = {"project_id": FIRST_PROJECT_ID}
    source = Source(
        **project,
        source_type=source_type,
        prefix=f"h{secrets.token_hex(4)}_",
        encrypted_inputs=vault.encrypt(inputs),
    )
    webhook = Webhook(
        **project,
        source_id=source.id,
        encrypted_inputs=vault.encrypt({"signing_secret": secret}),
        url="https://syncline.example.com/public/webhooks/dwh/",
    )
    schemas = [
        Schema(**project, source_id=source.id, name=name, should_sync=wanted, sync_type=SyncType.WEBHOOK)
        for name, wanted in enabled.items()
    ]
    with database.transaction() as session:
        session.add(source)
        session.flush()
        session.add_all([webhook, *schemas])
    return Hook(str(webhook.id), str(source.id), secret, {each.name: str(each.id) for each in schemas})


def change(database: Database, kind: type[Any], id: str, **values: Any) -> None:
    """Change a row of the metadata."""
    with database.transaction() as session:
        row = session.get(kind, uuid.UUID(id))
        assert row is not None
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)


def events_of(store: LakeStore, schema_id: str) -> list[InboxEvent]:
    """What is in the inbox, in the order of its files."""
    inbox = Inbox(store, inbox_root(schema_id))
    return [event for file in inbox.files(100_000) for event in inbox.read(file.path)]
