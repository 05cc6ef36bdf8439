"""The bridge from routes, which block, to the Temporal gateway, which is async. The API's only module on Temporal."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from metadata.intents import ScheduleIntent
from scheduling.connection import TemporalAddress, connect
from scheduling.gateway import SyncGateway

T = TypeVar("T")
log = structlog.get_logger(__name__)

CALL_SECONDS = 10.0
PING_SECONDS = 3.0
SECONDS_PER_CALL = 0.1
ERASE_SECONDS = 20.0
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
        self._attributes_known = False

    @classmethod
    async def to(cls, target: TemporalAddress, task_queue: str) -> "TemporalBridge":
        return cls(SyncGateway(await connect(target, lazy=True), task_queue))

    def ping(self) -> None:
        self._wait(self._gateway.ping(), PING_SECONDS)

    def ensure_schedules(self, intents: Collection[ScheduleIntent], *, trigger: bool = False) -> None:
        self._wait(_all(lambda i: self._ensure_schedule(i, trigger=trigger), intents), _time_for(intents))

    def delete_schedules(self, schema_ids: Collection[str]) -> None:
        self._wait(_all(self._gateway.delete_schedule, schema_ids), _time_for(schema_ids))

    def start_runs(self, intents: Collection[ScheduleIntent]) -> None:
        """Trigger each schema's schedule; one that is missing is made."""
        self._wait(_all(self._start_run, intents), _time_for(intents))

    def resync(self, intent: ScheduleIntent) -> None:
        self._wait(self._resync(intent), CALL_SECONDS)

    def cancel_run(self, schema_id: str) -> bool:
        """False when nothing runs."""
        return self._wait(self._gateway.cancel_run(schema_id), CALL_SECONDS)

    def erase(self, project_id: int, schema_ids: Collection[str]) -> bool:
        """Stop the runs and delete the lake data; False where that goes on in the background."""
        erased = self._wait(_all(lambda i: self._gateway.erase(project_id, i), schema_ids), ERASE_SECONDS)
        return all(erased)

    async def _ensure_schedule(self, intent: ScheduleIntent, *, trigger: bool) -> None:
        """A schedule carries search attributes, which no worker may have registered yet."""
        if not self._attributes_known:
            await self._gateway.ensure_search_attributes()
            self._attributes_known = True
        await self._gateway.ensure_schedule(intent, trigger=trigger)

    async def _start_run(self, intent: ScheduleIntent) -> None:
        try:
            await self._gateway.trigger(intent.schema_id)
        except LookupError:
            await self._ensure_schedule(intent, trigger=True)

    async def _resync(self, intent: ScheduleIntent) -> None:
        try:
            await self._gateway.resync(intent.schema_id)
        except LookupError:
            await self._ensure_schedule(intent, trigger=True)

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


@contextmanager
def left_to_reconciler(wish: str) -> Iterator[None]:
    """For calls whose intent is stored already: when Temporal is away the reconciler makes up for them later."""
    try:
        yield
    except TemporalUnavailableError as error:
        log.warning("left to the reconciler", wish=wish, reason=repr(error.__cause__))
