"""How an error becomes Temporal's: one pure function decides what is retried, one interceptor applies it.

Temporal matches error types by exact name, so everything that leaves an activity is an ``ApplicationError`` with one
of the types below; its message is what the user reads, and ``details`` says whose fault it is.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.messages import Run
from activities.run_log import RunLog
from connectors.errors import BusyError, NotDivisibleError, SnapshotLostError, SourceError
from lake.errors import (
    DuplicateKeyError,
    FencedError,
    IncompatibleSchemaError,
    LakeError,
    StalePositionError,
    UnsafeStoreError,
)
from metadata.errors import EraseUnfinishedError, NotFoundError

STALE_POSITION = "stale_position"
FENCED = "fenced"
OUT_OF_MEMORY = "out_of_memory"
WORKER_SHUTDOWN = "worker_shutdown"
ERASE_PENDING = "erase_pending"
STILL_RUNNING = "still_running"
GONE = "gone"

GOES_ON = (OUT_OF_MEMORY, STALE_POSITION, SnapshotLostError.code, NotDivisibleError.code)
"""The run does it in another way."""

LOG_PATIENCE_SECONDS = 5.0

log = structlog.get_logger()


class ChildDiedError(Exception):
    """A child process ended without an answer: its driver crashed, or somebody killed it."""


class OutOfMemoryError(Exception):
    """A child process passed its memory limit and was ended."""


class WorkerShutdownError(Exception):
    """The worker is stopping; what it did is retried elsewhere."""


class StillRunningError(Exception):
    """A run has not stopped yet; the erasure waits for it."""


@dataclass(frozen=True)
class Failure:
    """``retryable``: worth another try of the same activity. ``own``: Syncline's side, never held against a schema."""

    type: str
    message: str
    retryable: bool
    own: bool
    retry_after_seconds: float | None = None


def classify(error: BaseException) -> Failure:
    """What an activity's error means. Pure."""
    match error:
        case BusyError():
            return Failure(error.code, error.message, True, False, error.retry_after_seconds)
        case SourceError():
            return Failure(error.code, error.message, error.retryable, False)
        case StalePositionError():
            return Failure(
                STALE_POSITION, "The table changed while this batch was read; it is read again.", False, True
            )
        case FencedError():
            return Failure(FENCED, "A newer run of this schema took over.", False, True)
        case DuplicateKeyError():
            return Failure("key_violation", str(error), False, False)
        case IncompatibleSchemaError():
            return Failure("schema_changed", str(error), False, False)
        case UnsafeStoreError():
            return Failure("unsafe_store", str(error), False, True)
        case LakeError():
            return Failure(
                "lake", "The lake's storage could not be reached or written; the run tries again.", True, True
            )
        case OutOfMemoryError():
            return Failure(OUT_OF_MEMORY, str(error), False, True)
        case WorkerShutdownError():
            return Failure(WORKER_SHUTDOWN, "The worker was stopped; another one goes on.", True, True, 0.1)
        case EraseUnfinishedError():
            return Failure(ERASE_PENDING, "Waiting until the old data is deleted.", True, True, 1.0)
        case StillRunningError():
            return Failure(STILL_RUNNING, "Waiting until the run has stopped.", True, True, 1.0)
        case NotFoundError():
            return Failure(GONE, "The table or its source was deleted.", False, True)
        case ChildDiedError():
            return Failure("reader_died", str(error), True, True)
        case _:
            return Failure("internal", "Something went wrong inside Syncline; the run tries again.", True, True)


class TranslateErrors(Interceptor):
    """Installed in the worker: every activity's error leaves it as an ``ApplicationError``, and is in the run's log."""

    def __init__(self, run_log: RunLog) -> None:
        self._run_log = run_log

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _TranslateErrors(next, self._run_log)


class _TranslateErrors(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, run_log: RunLog) -> None:
        super().__init__(next)
        self._run_log = run_log

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await self.next.execute_activity(input)
        except (ApplicationError, CancelledError):
            raise
        except Exception as error:
            failure = classify(error)
            info = activity.info()
            log.warning(
                "activity failed",
                activity=info.activity_type,
                workflow_id=info.workflow_id,
                attempt=info.attempt,
                type=failure.type,
                exc_info=failure.type in ("internal", "lake", "reader_died"),
                error=failure.message,
                cause=str(error.__cause__) if error.__cause__ else None,
            )
            await self._record(input, failure)
            # `from None`: a cause would carry the driver's own words into the workflow's history.
            raise ApplicationError(
                failure.message,
                {"own": failure.own},
                type=failure.type,
                non_retryable=not failure.retryable,
                next_retry_delay=(
                    timedelta(seconds=failure.retry_after_seconds) if failure.retry_after_seconds is not None else None
                ),
            ) from None

    async def _record(self, input: ExecuteActivityInput, failure: Failure) -> None:
        """In the log of the activity's run, if it has one; a database that is slow to take it is not waited for."""
        order = input.args[0] if input.args else None
        run = order if isinstance(order, Run) else getattr(order, "run", None)
        if not isinstance(run, Run):
            return
        info = activity.info()
        goes_on = failure.retryable or failure.type in GOES_ON
        record = asyncio.to_thread(
            self._run_log.attempt_failed,
            run,
            info.activity_type,
            info.attempt,
            failure.type,
            failure.message,
            goes_on=goes_on,
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(record, LOG_PATIENCE_SECONDS)
