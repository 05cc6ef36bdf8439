"""The public address of webhooks, as plain ASGI before everything else: a request costs no more than it must."""

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from starlette.types import Receive, Scope, Send

from api.ingress.answers import (
    ACCEPTED,
    IGNORED,
    UNAVAILABLE,
    UNKNOWN,
    WRONG_METHOD,
    Answer,
    AnswerError,
    GoneError,
    limited,
    refused,
)
from api.ingress.body import check_headers, headers_of, read_body
from api.ingress.endpoints import Endpoints, Known
from api.ingress.figures import IngressFigures
from api.ingress.gathering import Gatherer, Waiting
from api.ingress.left import LeftInboxes
from api.ingress.room import Place, Room
from api.ingress.runs import Runs
from api.limits import TokenBuckets
from api.temporal import TemporalBridge
from connectors.receiving import Delivery, Received, RefusedError
from connectors.surroundings import Surroundings
from lake.inbox import InboxEvent
from lake.storage import LakeStore
from metadata.webhooks import Webhooks

log = structlog.get_logger(__name__)

PREFIX = "/public/webhooks/dwh/"
ANSWER_SECONDS = 20.0
"""How long a sender waits for its answer: the known ones give up a little later. The event may be safe after all."""
SMALL_BYTES = 2**16
"""Larger bodies are checked in a thread: nobody else waits for that."""
CHECKS_AT_ONCE = 2
BURST_SECONDS = 5
"""An endpoint may have so many seconds' worth of its events at once."""

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True)
class IngressLimits:
    """``events_per_second``: of one endpoint; 0 for no limit."""

    body_bytes: int
    waiting_bytes: int
    gather_seconds: float
    events_per_second: float
    apply_seconds: float


class Ingress:
    """Made and called on the event loop that it answers on."""

    def __init__(
        self,
        webhooks: Webhooks,
        surroundings: Surroundings,
        store: LakeStore,
        temporal: TemporalBridge,
        figures: IngressFigures,
        limits: IngressLimits,
    ) -> None:
        self._limits, self._figures = limits, figures
        self._endpoints = Endpoints(webhooks, surroundings)
        self._runs = Runs(webhooks, temporal, limits.apply_seconds)
        self._left = LeftInboxes(store, self._runs)
        self._gatherer = Gatherer(store, self._runs, figures, limits.gather_seconds)
        self._room = Room(limits.waiting_bytes)
        self._buckets = TokenBuckets(limits.events_per_second, limits.events_per_second * BURST_SECONDS)
        self._checks = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="webhook-check")

    def start(self) -> None:
        self._runs.start()
        self._left.start()

    def stop(self) -> None:
        """When the last request is answered. Not to be called from the event loop's thread."""
        self._left.stop()
        self._runs.stop()
        self._endpoints.close()
        self._gatherer.close()
        self._checks.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        try:
            answer = await self._answer(scope, receive, begun)
        except AnswerError as error:
            answer = error.answer
        except GoneError:
            self._figures.answered("gone")
            return
        except Exception as error:
            # Of the text nothing is logged: it may have some of the body in it.
            log.error("an event could not be received", reason=type(error).__name__)
            answer = UNAVAILABLE
        self._figures.answered(answer.outcome)
        if answer is ACCEPTED:
            self._figures.durable.observe(time.perf_counter() - begun)
        await answer.send(send)

    async def _answer(self, scope: Scope, receive: Receive, begun: float) -> Answer:
        if scope["method"] != "POST":
            return WRONG_METHOD
        id = scope["path"].removeprefix(PREFIX).removesuffix("/")
        known = await self._endpoints.find(id) if _ID.fullmatch(id) else None
        if known is None:
            return UNKNOWN
        if wait := self._buckets.take(id):
            return limited(wait)
        headers = headers_of(scope)
        check_headers(headers, self._limits.body_bytes)
        with Place(self._room, id) as place:
            body = await read_body(receive, self._limits.body_bytes, place)
            received = Received(headers, body, time.time())
            delivery = await self._checked(known, received)
            schema_ids = {known.schemas[table] for table in delivery.tables if table in known.schemas}
            if not schema_ids:
                return IGNORED
            waiting = Waiting(len(schema_ids), place.handed_over())
        event = InboxEvent(delivery.event_type, body, received.at, delivery.event_id)
        for schema_id in schema_ids:
            self._gatherer.add(schema_id, event, waiting)
        return await self._safe(waiting, begun + ANSWER_SECONDS - time.perf_counter())

    async def _checked(self, known: Known, received: Received) -> Delivery:
        try:
            if len(received.body) <= SMALL_BYTES:
                return known.connector.receive(known.config, known.inputs, received)
            return await asyncio.get_running_loop().run_in_executor(
                self._checks, known.connector.receive, known.config, known.inputs, received
            )
        except RefusedError as error:
            raise AnswerError(refused(error)) from error

    async def _safe(self, waiting: Waiting, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                return ACCEPTED if await waiting.safe else UNAVAILABLE
        except TimeoutError:
            return UNAVAILABLE
