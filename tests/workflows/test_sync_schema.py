"""Signals at awkward moments. Temporal is real; the steps are the test's own, so that it holds the moment."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.messages import (
    BeginInput,
    Extracted,
    ExtractInput,
    FinishInput,
    MaintainInput,
    Plan,
    PublishInput,
    PublishResult,
    Run,
)
from scheduling.contract import CANCEL_SIGNAL, RESYNC_SIGNAL, SYNC_SCHEMA, SyncSchemaInput
from tests.kit.servers import RunningTemporal, run_temporal
from tests.workflows.record import SHORT_HISTORIES
from tests.workflows.sandbox import workflow_runner
from worker import WORKFLOWS
from workflows.policies import EXTRACTION_QUEUE_SUFFIX

Ask = Callable[[WorkflowHandle[Any, Any]], Awaitable[Any]]


@dataclass
class Steps:
    """The step named ``held`` says when it has begun, and ends when it is let go, deaf to cancels."""

    held: str
    fails: bool = False
    maintenance_due: bool = False
    batches: int = 1
    begun: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    seen: list[str] = field(default_factory=list)
    rows: int = 0

    @property
    def through(self) -> list[str]:
        """``seen``, without an extract that was only begun: a signal is heard once begin, which is local, has ended,
        and may or may not be faster than who reads.
        """
        late = self.held == "begin" and self.seen[1] == "extract"
        return self.seen[:1] + self.seen[2:] if late else self.seen

    def _reach(self, step: str) -> None:
        self.seen.append(step)
        if step == self.held and not self.let_go.is_set():
            self.begun.set()
            assert self.let_go.wait(30)
            if self.fails:
                raise ApplicationError("The session was ended.", {"own": False}, non_retryable=True)

    @activity.defn(name="begin")
    def begin(self, order: BeginInput) -> Run | None:
        self._reach("begin")
        return Run(1, "source", "schema", "Postgres", "t", "t", "path", "job", fence=1, generation=1, mode="append")

    @activity.defn(name="extract")
    def extract(self, order: ExtractInput) -> Extracted:
        self._reach("extract")
        more = order.batch + 1 < self.batches
        plan = order.plan or Plan(generation=1, rebuild=False, base={})
        return Extracted("manifest", rows=1, size_bytes=1, more=more, plan=plan)

    @activity.defn(name="publish")
    def publish(self, order: PublishInput) -> PublishResult:
        self._reach("publish")
        return PublishResult({}, rows=1, bytes_written=1, maintenance_due=self.maintenance_due)

    @activity.defn(name="maintain")
    def maintain(self, order: MaintainInput) -> None:
        self._reach("maintain")

    @activity.defn(name="finish")
    def finish(self, order: FinishInput) -> None:
        self.seen.append(order.status)
        self.rows = order.rows_synced


def run_and_ask(temporal: RunningTemporal, task_queue: str, steps: Steps, ask: Ask) -> WorkflowExecutionStatus | None:
    """Start a run, ask something of it while a step is held, let go; how the first part of the run ended."""

    async def play() -> WorkflowExecutionStatus | None:
        client = await Client.connect(temporal.address, namespace=temporal.namespace)
        with ThreadPoolExecutor(4) as threads:
            light = Worker(
                client,
                task_queue=task_queue,
                workflows=WORKFLOWS,
                activities=[steps.begin, steps.finish],
                activity_executor=threads,
                workflow_runner=workflow_runner(),
            )
            extracting = Worker(
                client,
                task_queue=task_queue + EXTRACTION_QUEUE_SUFFIX,
                activities=[steps.extract, steps.publish, steps.maintain],
                activity_executor=threads,
            )
            async with light, extracting:
                handle = await client.start_workflow(
                    SYNC_SCHEMA, SyncSchemaInput(1, "schema"), id=task_queue, task_queue=task_queue
                )
                try:
                    assert await asyncio.to_thread(steps.begun.wait, 30)
                    await ask(handle)
                finally:
                    steps.let_go.set()
                await handle.result()
                first = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
                return (await first.describe()).status

    return asyncio.run(play())


async def cancel(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.signal(CANCEL_SIGNAL)


async def resync(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.signal(RESYNC_SIGNAL)


async def ask_nothing(_: WorkflowHandle[Any, Any]) -> None:
    return


async def cancel_in_temporal(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.cancel()


UNTIL = {
    "begin": ["begin"],
    "extract": ["begin", "extract"],
}


@pytest.mark.parametrize("ask", [cancel, cancel_in_temporal])
@pytest.mark.parametrize("step", UNTIL)
def test_a_cancel_counts_though_the_step_ends_well(
    temporal: RunningTemporal, task_queue: str, step: str, ask: Ask
) -> None:
    steps = Steps(step)
    assert run_and_ask(temporal, task_queue, steps, ask) == WorkflowExecutionStatus.COMPLETED
    assert steps.through == [*UNTIL[step], "Cancelled"]


def test_a_step_that_fails_while_it_is_stopped_counts_as_stopped(temporal: RunningTemporal, task_queue: str) -> None:
    steps = Steps("extract", fails=True)
    run_and_ask(temporal, task_queue, steps, cancel)
    assert steps.seen == [*UNTIL["extract"], "Cancelled"]


def test_a_run_that_nobody_stops_fails_as_it_does(temporal: RunningTemporal, task_queue: str) -> None:
    steps = Steps("extract", fails=True)
    run_and_ask(temporal, task_queue, steps, ask_nothing)
    assert steps.seen == [*UNTIL["extract"], "Failed"]


@pytest.mark.parametrize("fails", [False, True])
def test_maintenance_is_done_once_where_it_is_due_and_its_failure_is_not_the_run_s(
    temporal: RunningTemporal, task_queue: str, fails: bool
) -> None:
    steps = Steps("maintain", fails=fails, maintenance_due=True)
    run_and_ask(temporal, task_queue, steps, ask_nothing)
    assert steps.seen == ["begin", "extract", "publish", "maintain", "Completed"]


@pytest.mark.parametrize("step", UNTIL)
def test_a_resync_stops_the_run_and_starts_one_that_goes_through(
    temporal: RunningTemporal, task_queue: str, step: str
) -> None:
    steps = Steps(step)
    assert run_and_ask(temporal, task_queue, steps, resync) == WorkflowExecutionStatus.CONTINUED_AS_NEW
    assert steps.through == [*UNTIL[step], "Cancelled", "begin", "extract", "publish", "Completed"]


def test_a_long_run_goes_on_in_a_fresh_history_as_it_began() -> None:
    """It begins once, whatever the settings are by then, and its figures add up."""
    steps = Steps("extract", batches=6)
    with run_temporal(options=SHORT_HISTORIES) as temporal:
        ended = run_and_ask(temporal, "long", steps, ask_nothing)
    assert ended == WorkflowExecutionStatus.CONTINUED_AS_NEW
    assert steps.seen == ["begin", *["extract", "publish"] * 6, "Completed"]
    assert steps.rows == 6
