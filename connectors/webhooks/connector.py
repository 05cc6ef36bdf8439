"""The source type ``Webhook``: tables that are made of what some sender sends, and of nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from connectors.base import DiscoveredTable, FormField, ReadRequest, SourceForm, TableRead
from connectors.errors import ConfigurationError
from connectors.receiving import Delivery, Endpoint, ObjectChange, Received, Record, RefusedError, Registered
from connectors.surroundings import Surroundings
from connectors.webhooks.config import FIELDS, HMAC, STRIPE, WebhookConfig, parse_config
from connectors.webhooks.events import read_event
from connectors.webhooks.rows import rows_of
from connectors.webhooks.signatures import check_hmac, check_standard, check_stripe, standard_id

SIGNING_SECRET = "signing_secret"  # noqa: S105 - the name of a field


class WebhookConnector:
    """``connectors.receiving.Receiving``, of a sender that cannot be asked for anything."""

    source_type: str = "Webhook"
    form: SourceForm = SourceForm(
        name="Webhook",
        label="Webhook",
        caption="Say how the sender signs its events, and what is where in them. Then make the webhook, give its "
        "address to the sender and the sender's signing secret here.",
        docs_url="https://www.standardwebhooks.com",
        fields=FIELDS,
    )
    sync_types: tuple[str, ...] = ("webhook",)
    webhook_fields: tuple[FormField, ...] = (
        FormField(SIGNING_SECRET, "Signing secret", type="password", required=True, secret=True),
    )

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> WebhookConfig:
        return parse_config(inputs)

    def validate(self, config: WebhookConfig) -> None:
        """There is nobody to be asked."""

    def discover(self, config: WebhookConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        return [_table(config, name) for name in sorted(config.tables) if names is None or name in names]

    def read(self, config: WebhookConfig, request: ReadRequest) -> AbstractContextManager[TableRead]:
        raise ConfigurationError("A table of events is made of what is sent: what came once cannot be read again.")

    def cancel(self, config: WebhookConfig, read_id: str) -> None:
        """Nothing is ever read."""

    def receive(self, config: WebhookConfig, inputs: Mapping[str, str], received: Received) -> Delivery:
        secret = inputs.get(SIGNING_SECRET, "")
        if config.scheme == STRIPE:
            check_stripe(secret, received, config.hmac.header)
        elif config.scheme == HMAC:
            check_hmac(config.hmac, secret, received)
        else:
            check_standard(secret, received)
        given = None if config.scheme in (STRIPE, HMAC) else standard_id(received)
        event = read_event(config, received.body, given)
        return Delivery(event.type, () if event.table is None else (event.table,), event.id)

    def changes(
        self, config: WebhookConfig, table: str, event_type: str, body: bytes, event_id: str | None = None
    ) -> Sequence[ObjectChange]:
        """None where the body is of another shape than a configuration of today says."""
        try:
            event = read_event(config, body, event_id)
        except RefusedError:
            return ()
        return event.changes if event.table == table else ()

    def rows(
        self, config: WebhookConfig, request: ReadRequest, changes: Sequence[ObjectChange]
    ) -> AbstractContextManager[TableRead]:
        return rows_of(_table(config, request.table), request, changes)

    def current(self, config: WebhookConfig, table: str, records: Sequence[Record]) -> Iterator[ObjectChange | None]:
        return iter([None] * len(records))

    def event_types(self, config: WebhookConfig, tables: Sequence[str]) -> tuple[str, ...]:
        return config.event_types or ("*",)

    def register(
        self,
        config: WebhookConfig,
        url: str,
        event_types: Sequence[str],
        inputs: Mapping[str, str] | None = None,
    ) -> Registered:
        """The sender makes the secret, or takes one that somebody gives to both."""
        return Registered(pending=() if (inputs or {}).get(SIGNING_SECRET) else (SIGNING_SECRET,))

    def endpoint(self, config: WebhookConfig, url: str) -> Endpoint | None:
        return None

    def unregister(self, config: WebhookConfig, url: str) -> bool:
        return False


def _table(config: WebhookConfig, name: str) -> DiscoveredTable:
    return DiscoveredTable(
        name=name,
        kind="table",
        columns=(),
        primary_key=config.primary_key,
        webhook=True,
        webhook_only=True,
    )
