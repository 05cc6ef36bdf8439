"""Webhooks that are gone here are taken back at their providers, which did not answer when that was asked for."""

import structlog

from activities.heartbeat import stop_if_asked
from activities.schedules import Failures
from connectors.deadline import patience
from connectors.errors import SourceError
from connectors.receiving import Receiving
from connectors.registry import connector
from connectors.surroundings import Surroundings
from metadata.registrations import LeftWebhook, LeftWebhooks

log = structlog.get_logger()

PAGE = 100
PATIENCE_SECONDS = 20.0
"""For one provider."""


class Leaving:
    """One round tries each once. May be killed anywhere and run again."""

    def __init__(self, left: LeftWebhooks, surroundings: Surroundings) -> None:
        self._left = left
        self._surroundings = surroundings

    def run(self, failures: Failures) -> int:
        """How many were taken back. One that cannot be does not keep the others waiting."""
        done = 0
        after: str | None = None
        while page := self._left.page(after, PAGE):
            for webhook in page:
                stop_if_asked()
                with failures.survived("webhook not looked after", webhook.webhook_id):
                    done += self._is_taken_back(webhook)
            after = page[-1].webhook_id
        return done

    def _is_taken_back(self, webhook: LeftWebhook) -> bool:
        found = connector(webhook.source_type)
        if isinstance(found, Receiving):
            try:
                config = found.parse_config(self._left.source_inputs(webhook), self._surroundings)
                with patience(PATIENCE_SECONDS):
                    deleted = found.unregister(config, webhook.url)
            except SourceError as error:
                log.warning("webhook not taken back yet", webhook_id=webhook.webhook_id, reason=error.message)
                return False
            log.info("webhook taken back", webhook_id=webhook.webhook_id, deleted=deleted)
        self._left.forget(webhook.webhook_id)
        return True
