"""Declared providers that send events: ``connectors.receiving.Receiving``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from connectors.base import DiscoveredTable, FormField, ReadRequest, TableRead
from connectors.receiving import Delivery, Endpoint, ObjectChange, Received, Record, Registered
from connectors.rest.config import RestConfig
from connectors.rest.connector import DeclaredConnector
from connectors.rest.rows import open_rows
from connectors.rest.webhook_current import current_objects
from connectors.rest.webhook_declaration import WebhookDeclaration
from connectors.rest.webhook_events import changes_of, delivery_of, needed_types
from connectors.rest.webhook_github import GitHubHooks
from connectors.rest.webhook_places import SECRET, WebhookPlace
from connectors.rest.webhook_stripe import StripeEndpoints
from connectors.webhooks.signatures import check_github, check_stripe

_CHECKS: Mapping[str, Callable[[str, Received], None]] = {"stripe": check_stripe, "github": check_github}
_PLACES: Mapping[str, WebhookPlace] = {"stripe": StripeEndpoints(), "github": GitHubHooks()}


class ReceivingConnector(DeclaredConnector):
    """A provider whose events are declared as well."""

    sync_types: tuple[str, ...] = (*DeclaredConnector.sync_types, "webhook")
    webhook_fields: tuple[FormField, ...] = (
        FormField(SECRET, "Signing secret", type="password", required=True, secret=True),
    )

    def discover(self, config: RestConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        tables = self._webhooks(config).tables
        return [replace(each, webhook=each.name in tables) for each in super().discover(config, names)]

    def receive(self, config: RestConfig, inputs: Mapping[str, str], received: Received) -> Delivery:
        webhooks = self._webhooks(config)
        _CHECKS[webhooks.provider](inputs.get(SECRET, ""), received)
        return delivery_of(webhooks, received)

    def changes(
        self, config: RestConfig, table: str, event_type: str, body: bytes, event_id: str | None = None
    ) -> Sequence[ObjectChange]:
        return changes_of(config.declaration, table, event_type, body)

    def rows(
        self, config: RestConfig, request: ReadRequest, changes: Sequence[ObjectChange]
    ) -> AbstractContextManager[TableRead]:
        return open_rows(config, request, changes)

    def current(self, config: RestConfig, table: str, records: Sequence[Record]) -> Iterator[ObjectChange | None]:
        return current_objects(config, table, records)

    def event_types(self, config: RestConfig, tables: Sequence[str]) -> tuple[str, ...]:
        return needed_types(self._webhooks(config), tables)

    def register(
        self, config: RestConfig, url: str, event_types: Sequence[str], inputs: Mapping[str, str] | None = None
    ) -> Registered:
        """Without any events nothing is made: it is just seen whether webhooks may be managed."""
        return self._place(config).register(config, url, event_types, inputs or {})

    def endpoint(self, config: RestConfig, url: str) -> Endpoint | None:
        return self._place(config).endpoint(config, url)

    def unregister(self, config: RestConfig, url: str) -> bool:
        return self._place(config).unregister(config, url)

    def send_again(self, config: RestConfig, url: str, since: float) -> int:
        return self._place(config).send_again(config, url, since)

    def _webhooks(self, config: RestConfig) -> WebhookDeclaration:
        assert config.declaration.webhooks is not None
        return config.declaration.webhooks

    def _place(self, config: RestConfig) -> WebhookPlace:
        return _PLACES[self._webhooks(config).provider]
