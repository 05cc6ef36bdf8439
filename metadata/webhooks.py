"""Webhooks of sources, as those see them who receive events and who apply them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import col, select

from metadata.database import Database
from metadata.live import nothing_deleted, parse_id
from metadata.models import Project, Schema, Source, SyncType, Webhook
from metadata.runs import FAILURES_THAT_DISABLE
from metadata.vault import Vault

ENDPOINT_SECONDS = 2.0
"""How old what is known of an endpoint may be where its events are received: who enables a table waits so long before
its back-fill begins, as events until then may have passed it by.
"""


@dataclass(frozen=True)
class WebhookEndpoint:
    """What is needed to receive a webhook's events. Inputs are in the clear."""

    project_id: int
    source_id: str
    source_type: str
    source_inputs: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, str] = field(repr=False)
    """Values of the webhook's own fields."""
    schemas: Mapping[str, str]
    """Ids of the schemas whose events are kept, by their names: the enabled ones of the sync type ``webhook``, and
    those that failures have disabled, where what came once cannot be read again.
    """


class Webhooks:
    """Ids are text. Thread-safe."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def endpoint(self, webhook_id: str) -> WebhookEndpoint | None:
        """None where there is none, or its source or project is gone. One statement."""
        with self._database.read() as session:
            found = session.exec(
                select(Webhook, Source, Schema)
                .join(Source, col(Source.id) == Webhook.source_id)
                .join(Project, col(Project.id) == Webhook.project_id)
                .outerjoin(Schema, (col(Schema.source_id) == Source.id) & (_enabled() | _failed()))
                .where(Webhook.id == parse_id(webhook_id))
                .where(*(col(table.deleted_at).is_(None) for table in (Webhook, Source, Project)))
            ).all()
        if not found:
            return None
        webhook, source, _ = found[0]
        return WebhookEndpoint(
            project_id=source.project_id,
            source_id=str(source.id),
            source_type=source.source_type,
            source_inputs=self._vault.decrypt(source.encrypted_inputs),
            inputs=self._vault.decrypt(webhook.encrypted_inputs),
            schemas={schema.name: str(schema.id) for _, _, schema in found if schema is not None and _is_kept(schema)},
        )

    def receiving(self, schema_ids: Collection[str]) -> set[str]:
        """Those of these schemas that a run may be asked for whenever events come: enabled, of the sync type
        ``webhook``, not deleted, and without a failure that waits for somebody: that is tried again at the schedule's
        own pace.
        """
        asked = [identity for text in schema_ids if (identity := parse_id(text)) is not None]
        statement = (
            select(Schema.id)
            .join(Source, col(Source.id) == Schema.source_id)
            .join(Project, col(Project.id) == Schema.project_id)
            .where(col(Schema.id).in_(asked), _enabled(), col(Schema.failures_in_a_row) == 0, *nothing_deleted())
        )
        with self._database.read() as session:
            return {str(found) for found in session.exec(statement)}


def _enabled() -> Any:
    return _live() & col(Schema.should_sync).is_(True)


def _failed() -> Any:
    return _live() & (col(Schema.failures_in_a_row) >= FAILURES_THAT_DISABLE)


def _live() -> Any:
    return (col(Schema.sync_type) == SyncType.WEBHOOK) & col(Schema.deleted_at).is_(None)


def _is_kept(schema: Schema) -> bool:
    return schema.should_sync or bool(schema.discovered.get("webhook_only"))
