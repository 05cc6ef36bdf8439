"""Every timeout and retry policy of the workflows, named once."""

from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

Result = TypeVar("Result")

EXTRACTION_QUEUE_SUFFIX = "-extract"
SNAPSHOT_QUEUE_SUFFIX = "-snapshot"
CAPTURE_QUEUE_SUFFIX = "-capture"

QUICK = timedelta(seconds=20)
"""A step that only touches the database or Temporal."""

RETRIES_WITHIN_A_TASK = timedelta(seconds=5)
"""A quick step that waits longer than this for its next attempt waits by a timer of Temporal's."""

LONG = timedelta(days=7)
"""A step that is bounded by its heartbeats, not by a clock."""

HEARTBEAT = timedelta(seconds=15)
"""Children are attended every second; a worker that is silent for so long is gone."""

ONCE = RetryPolicy(maximum_attempts=1)
"""For what the next run does as well."""

FOR_EVER = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30)
)
"""For what must happen in the end: finishing a job, deleting data."""

PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=12,
)
"""For work on the source and the lake: some ten minutes of trouble are survived inside a run, the rest by the next."""


async def quick(activity: str, order: Any, result: type[Result], **options: Any) -> Result:
    """A step that must happen in the end, whatever it takes. A local activity: Temporal has less to do for it."""
    answer: Result = await workflow.execute_local_activity(
        activity,
        order,
        result_type=result,
        start_to_close_timeout=QUICK,
        local_retry_threshold=RETRIES_WITHIN_A_TASK,
        retry_policy=FOR_EVER,
        **options,
    )
    return answer


async def long(
    activity: str, order: Any, result: type[Result], *, retry_policy: RetryPolicy = PATIENT, **options: Any
) -> Result:
    """A step that takes its time and heartbeats. A cancel waits until it has really stopped."""
    answer: Result = await workflow.execute_activity(
        activity,
        order,
        result_type=result,
        start_to_close_timeout=LONG,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=retry_policy,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        **options,
    )
    return answer


async def hold(order: Any) -> None:
    """A step that lasts until it is cancelled. Nobody waits for its end: it may be on a worker that is gone."""
    await workflow.execute_activity(
        "hold",
        order,
        result_type=type(None),
        task_queue=workflow.info().task_queue + SNAPSHOT_QUEUE_SUFFIX,
        start_to_close_timeout=LONG,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=PATIENT,
        cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
    )


def type_of(error: ActivityError) -> str | None:
    """The type by which an activity's error left it."""
    return error.cause.type if isinstance(error.cause, ApplicationError) else None
