"""What is known of endpoints: read from the metadata, and never older than ``ENDPOINT_SECONDS``."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.ingress.answers import BUSY, UNAVAILABLE, AnswerError
from connectors.errors import SourceError
from connectors.receiving import Receiving
from connectors.registry import UnknownSourceTypeError, connector
from connectors.surroundings import Surroundings
from metadata.errors import MetadataError
from metadata.webhooks import ENDPOINT_SECONDS, WebhookEndpoint, Webhooks

log = structlog.get_logger(__name__)

FRESH_SECONDS = ENDPOINT_SECONDS / 2
"""After which what is known is read again, while it is still good."""
MOST_KNOWN = 20_000
"""Ids that are remembered, those that nobody has among them."""
MOST_LOOKS = 100
"""Ids that were not asked for before, at once: a flood of made-up ones shuts out nobody whose id is known."""
LOOK_SECONDS = 5.0
"""How long a request waits for the metadata."""
AFTER_FAILURE_SECONDS = 0.5
"""How long after the metadata did not answer nobody asks."""


@dataclass(frozen=True)
class Known:
    """``schemas``: ids of those whose events are wanted, by the names of their tables."""

    connector: Receiving
    config: Any = field(repr=False)
    inputs: Mapping[str, str] = field(repr=False)
    schemas: Mapping[str, str]
    stored: WebhookEndpoint = field(repr=False)


@dataclass(frozen=True)
class Seen:
    """``at``: when the look began, by the clock that only goes forward. ``known``: None where there is no such id.

    ``broken``: there is one, but what is stored of it cannot be used.
    """

    at: float
    known: Known | None
    broken: bool = False

    def answer(self) -> Known | None:
        if self.broken:
            raise AnswerError(UNAVAILABLE)
        return self.known


class Endpoints:
    """Of the event loop's thread; its looks have threads of their own."""

    def __init__(self, webhooks: Webhooks, surroundings: Surroundings) -> None:
        self._webhooks, self._surroundings = webhooks, surroundings
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._looks: dict[str, asyncio.Future[Seen]] = {}
        self._away_until = 0.0
        self._first_looks = ThreadPoolExecutor(2, thread_name_prefix="webhook-new")
        self._later_looks = ThreadPoolExecutor(2, thread_name_prefix="webhook-known")

    async def find(self, id: str) -> Known | None:
        """``AnswerError`` where that cannot be said now."""
        seen = self._seen.get(id)
        age = ENDPOINT_SECONDS if seen is None else time.monotonic() - seen.at
        if seen is not None and age < ENDPOINT_SECONDS:
            self._seen.move_to_end(id)
            if age > FRESH_SECONDS and seen.known is not None and id not in self._looks:
                self._look_again(id, seen.known)
            return seen.answer()
        pending = self._looks.get(id) or self._look(id, seen.known if seen else None)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found = await asyncio.shield(pending)
        except (TimeoutError, SQLAlchemyError) as error:
            raise AnswerError(UNAVAILABLE) from error
        return found.answer()

    def close(self) -> None:
        for pool in (self._first_looks, self._later_looks):
            pool.shutdown(wait=False, cancel_futures=True)

    def _look(self, id: str, before: Known | None) -> asyncio.Future[Seen]:
        if time.monotonic() < self._away_until:
            raise AnswerError(UNAVAILABLE)
        if before is None and len(self._looks) >= MOST_LOOKS:
            raise AnswerError(BUSY)
        pool = self._later_looks if before else self._first_looks
        look = asyncio.get_running_loop().run_in_executor(pool, self._seen_now, id, before)
        self._looks[id] = look
        look.add_done_callback(lambda done: self._note(id, done))
        return look

    def _look_again(self, id: str, known: Known) -> None:
        """Where that cannot be now, what is known is good for a while."""
        with suppress(AnswerError):
            self._look(id, known)

    def _note(self, id: str, look: asyncio.Future[Seen]) -> None:
        del self._looks[id]
        if look.cancelled():
            return
        if error := look.exception():
            log.warning("endpoints cannot be looked up", reason=type(error).__name__)
            self._away_until = time.monotonic() + AFTER_FAILURE_SECONDS
            return
        self._seen[id] = look.result()
        self._seen.move_to_end(id)
        if len(self._seen) > MOST_KNOWN:
            self._seen.popitem(last=False)

    def _seen_now(self, id: str, before: Known | None) -> Seen:
        """In a thread."""
        at = time.monotonic()
        try:
            stored = self._webhooks.endpoint(id)
            return Seen(at, None if stored is None else self._known(stored, before))
        except (MetadataError, SourceError) as error:
            log.warning("an endpoint cannot be used", webhook_id=id, reason=str(error))
            return Seen(at, None, broken=True)

    def _known(self, stored: WebhookEndpoint, before: Known | None) -> Known | None:
        if before is not None and before.stored == stored:
            return before
        try:
            found = connector(stored.source_type)
        except UnknownSourceTypeError:
            return None
        if not isinstance(found, Receiving):
            return None
        config = found.parse_config(stored.source_inputs, self._surroundings)
        return Known(found, config, stored.inputs, stored.schemas, stored)
