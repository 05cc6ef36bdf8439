"""Webhooks as their providers have them: those that are gone here are taken back, unanswered events are sent again."""

import time

import structlog

from activities.heartbeat import stop_if_asked
from activities.schedules import Failures
from connectors.deadline import patience
from connectors.errors import SourceError
from connectors.receiving import Receiving, Resending
from connectors.registry import connector
from connectors.surroundings import Surroundings
from metadata.registrations import KnownWebhook, RegisteredWebhooks

log = structlog.get_logger()

PAGE = 100
PATIENCE_SECONDS = 20.0
"""For one provider, that is to forget a webhook."""
RESEND_SECONDS = 60.0
"""For one provider, that is to send again."""
REMEMBERED_SECONDS = 3 * 86_400.0
"""How long GitHub remembers what it has sent."""
OVERLAP_SECONDS = 900.0


class WebhookUpkeep:
    """One round tries each once; one that cannot be looked after does not keep the others waiting. It may be killed
    anywhere and run again.
    """

    def __init__(self, webhooks: RegisteredWebhooks, surroundings: Surroundings) -> None:
        self._webhooks = webhooks
        self._surroundings = surroundings
        self._clean_at: dict[str, float] = {}
        """When everything that a webhook had sent was last seen to be answered."""

    def take_back(self, failures: Failures) -> int:
        """How many were taken back that their providers still had, when they did not answer."""
        done = 0
        after: str | None = None
        while page := self._webhooks.left(after, PAGE):
            for webhook in page:
                stop_if_asked()
                with failures.survived("webhook not taken back", webhook.webhook_id):
                    done += self._is_taken_back(webhook)
            after = page[-1].webhook_id
        return done

    def send_again(self, failures: Failures) -> int:
        """How many events are sent again that nobody has acknowledged."""
        count = 0
        after: str | None = None
        while page := self._webhooks.followed(after, PAGE):
            for webhook in page:
                stop_if_asked()
                with failures.survived("events not sent again", webhook.webhook_id):
                    count += self._sent_again(webhook)
            after = page[-1].webhook_id
        return count

    def _is_taken_back(self, webhook: KnownWebhook) -> bool:
        found = connector(webhook.source_type)
        if isinstance(found, Receiving):
            try:
                config = found.parse_config(self._webhooks.source_inputs(webhook), self._surroundings)
                with patience(PATIENCE_SECONDS):
                    deleted = found.unregister(config, webhook.url)
            except SourceError as error:
                log.warning("webhook not taken back yet", webhook_id=webhook.webhook_id, reason=error.message)
                return False
            log.info("webhook taken back", webhook_id=webhook.webhook_id, deleted=deleted)
        self._webhooks.forget(webhook.webhook_id)
        return True

    def _sent_again(self, webhook: KnownWebhook) -> int:
        found, now = connector(webhook.source_type), time.time()
        if not isinstance(found, Resending):
            return 0
        since = self._clean_at.get(webhook.webhook_id, now - REMEMBERED_SECONDS) - OVERLAP_SECONDS
        try:
            config = found.parse_config(self._webhooks.source_inputs(webhook), self._surroundings)
            with patience(RESEND_SECONDS):
                count = found.send_again(config, webhook.url, since)
        except SourceError as error:
            log.warning("events not sent again", webhook_id=webhook.webhook_id, reason=error.message)
            return 0
        if count:
            log.info("events sent again", webhook_id=webhook.webhook_id, events=count)
        else:
            self._clean_at[webhook.webhook_id] = now
        return count
