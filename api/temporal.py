"""The bridge from routes, which block, to the Temporal gateway, which is async. The API's only module on Temporal."""

import asyncio
import concurrent.futures
import uuid
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from metadata.intents import CaptureIntent
from metadata.outbox import Errand
from scheduling.connection import TemporalAddress, connect
from scheduling.gateway import SyncGateway
from scheduling.outbox import Fulfilled, fulfil

T = TypeVar("T")

CALL_SECONDS = 10.0
PING_SECONDS = 3.0
SECONDS_PER_CALL = 0.1
CALLS_AT_ONCE = 20


class TemporalUnavailableError(Exception):
    """Temporal did not do what it was asked: out of reach, too slow, or it refused."""


class TemporalBridge:
    """The gateway's calls for threads. Each waits for its answer, bounded, or raises ``TemporalUnavailableError``.

    Made on the event loop that carries the calls; never to be called from that loop's own thread. The connection is
    made by the first call and again after each failure, so that the API starts and stays up without Temporal.
    """

    def __init__(self, gateway: SyncGateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def to(cls, target: TemporalAddress, task_queue: str) -> "TemporalBridge":
        return cls(SyncGateway(await connect(target, lazy=True), task_queue))

    def ping(self) -> None:
        self._wait(self._gateway.ping(), PING_SECONDS)

    def fulfil(self, errands: Collection[Errand]) -> list[Fulfilled]:
        """Each as far as it comes; ``TemporalUnavailableError`` where nothing is known of how far that is."""
        return self._wait(_all(lambda errand: fulfil(self._gateway, errand), errands), _time_for(errands))

    def cancel_run(self, schema_id: str) -> bool:
        """False when nothing runs."""
        return self._wait(self._gateway.cancel_run(schema_id), CALL_SECONDS)

    def start_runs(self, schema_ids: Collection[str]) -> None:
        """A run of each, now; where one is active, exactly one more after it. What has no schedule gets none.

        ``TemporalUnavailableError`` where some of them may not have been asked for.
        """
        self._wait(_all(self._start_run, schema_ids), _time_for(schema_ids))

    def ensure_capture(self, intent: CaptureIntent) -> None:
        """Let a source's capture run as its settings say, or be removed."""
        self._wait(self._gateway.ensure_capture(intent), CALL_SECONDS)

    def wait_erased(self, schema_ids: Collection[str], seconds: float) -> None:
        """Until the lake data of these schemas is gone; ``TemporalUnavailableError`` where that takes longer."""
        self._wait(_all(self._gateway.erased, schema_ids), seconds)

    async def _start_run(self, schema_id: str) -> None:
        with suppress(LookupError):
            await self._gateway.trigger(schema_id, str(uuid.uuid4()))

    def _wait(self, call: Coroutine[Any, Any, T], seconds: float) -> T:
        pending = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return pending.result(seconds)
        except concurrent.futures.TimeoutError as error:
            pending.cancel()
            raise TemporalUnavailableError("Temporal did not answer in time.") from error
        except (RPCError, WorkflowFailureError, RuntimeError) as error:
            # A connection that cannot be made is a plain RuntimeError of the SDK.
            raise TemporalUnavailableError("Temporal could not do what it was asked.") from error


def _time_for(calls: Collection[Any]) -> float:
    return CALL_SECONDS + SECONDS_PER_CALL * len(calls)


async def _all(call: Callable[[Any], Coroutine[Any, Any, T]], arguments: Collection[Any]) -> list[T]:
    """The call for each argument, some at once; the first failure is raised after all have ended."""
    places = asyncio.Semaphore(CALLS_AT_ONCE)

    async def one(argument: Any) -> T:
        async with places:
            return await call(argument)

    results = await asyncio.gather(*(one(argument) for argument in arguments), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
