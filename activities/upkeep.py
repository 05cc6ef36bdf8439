"""Repairs: the reconciler and the erasure of deleted data."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from temporalio import activity

from activities.errors import StillRunningError
from activities.heartbeat import beating, stop_if_asked
from activities.messages import ReconcileResult
from activities.schedules import Failures, ScheduleRepair
from activities.webhooks.upkeep import WebhookUpkeep
from lake.inbox import inbox_root
from lake.ledger import ledger_root
from lake.storage import LakeStore
from lake.sweep import erase, sweep
from metadata.intents import RunningJob, WrittenTable
from metadata.inventory import Inventory
from metadata.logs import RunLogs
from metadata.names import history_path
from metadata.runs import Runs
from scheduling.contract import EraseTableInput
from scheduling.gateway import SyncGateway

log = structlog.get_logger()

PAGE = 500
GRACE = timedelta(minutes=2)
"""How long a run may be unknown to Temporal before its job counts as left behind."""

ORPHAN_AGE = timedelta(hours=24)
"""Staged files of ended runs are kept this long: a reader or a slow worker may still hold them."""

REMAINS = timedelta(days=7)
"""How long what a cut-off worker may have written is looked for where a deleted schema's table was."""

STOP_PATIENCE_SECONDS = 5.0
"""How long a thread is spent on waiting for a run to stop, before that waits for its next attempt."""

LEFT_BEHIND = "The run ended without a word, perhaps terminated by hand; the next one goes on."


class UpkeepActivities:
    """Each may be killed anywhere and run again."""

    def __init__(
        self,
        runs: Runs,
        inventory: Inventory,
        store: LakeStore,
        gateway: SyncGateway,
        loop: asyncio.AbstractEventLoop,
        logs: RunLogs,
        log_retention: timedelta,
        webhooks: WebhookUpkeep,
        forget_tokens: Callable[[], int],
    ) -> None:
        """``forget_tokens``: of logins that nobody has used for long; how many they were."""
        self._forget_tokens = forget_tokens
        self._webhooks = webhooks
        self._logs = logs
        self._log_retention = log_retention
        self._runs = runs
        self._inventory = inventory
        self._store = store
        self._gateway = gateway
        self._loop = loop

    @activity.defn(name="stop_runs", no_thread_cancel_exception=True)
    def stop_runs(self, order: EraseTableInput) -> None:
        """Return once no run of the schema has begun and not ended.

        A run that has not begun writes nothing, and cannot begin before the erasure is over: not waited for, or each
        would wait for the other.
        """
        with beating():
            for job in self._inventory.running_jobs_of(order.schema_id):
                if not self._await(self._gateway.cancel_workflow(job.workflow_id)):
                    self._close(job)
            deadline = time.monotonic() + STOP_PATIENCE_SECONDS
            while self._inventory.running_jobs_of(order.schema_id):
                stop_if_asked()
                if time.monotonic() > deadline:
                    raise StillRunningError
                time.sleep(0.1)

    @activity.defn(name="erase", no_thread_cancel_exception=True)
    def erase(self, order: EraseTableInput) -> None:
        """Delete everything of the schema in the lake, and say so in the database."""
        erasure = self._inventory.erasure(order.project_id, order.schema_id)
        if erasure is not None:
            with beating():
                erase(self._store, erasure.table_path)
                erase(self._store, history_path(erasure.table_path))
                erase(self._store, inbox_root(order.schema_id))
                erase(self._store, ledger_root(order.schema_id))
            self._runs.erased(order.schema_id, erasure.generation)

    @activity.defn(name="reconcile", no_thread_cancel_exception=True)
    def reconcile(self, _: None = None) -> ReconcileResult:
        """Go through all schemas and running jobs by pages.

        One that cannot be looked after does not keep the others waiting. After a crash all is looked at again, which
        costs little, as what was repaired is right now.
        """
        with beating():
            failures = Failures()
            repaired, removed = ScheduleRepair(self._inventory, self._gateway, self._await, failures).run()
            return ReconcileResult(
                schedules_repaired=repaired,
                schedules_removed=removed,
                jobs_closed=self._close_jobs(failures),
                erasures_resumed=self._resume_erasures(failures),
                webhooks_taken_back=self._webhooks.take_back(failures),
                events_sent_again=self._webhooks.send_again(failures),
                failed=failures.count,
            )

    @activity.defn(name="sweep", no_thread_cancel_exception=True)
    def sweep(self, _: None = None) -> int:
        """Delete staged files that no commit refers to and no run will, old log lines and tokens; the number of files.

        A table that cannot be swept does not keep the others waiting.
        """
        deleted, failures = 0, Failures()
        with beating():
            log.info("old log lines deleted", lines=self._logs.delete_before(datetime.now(UTC) - self._log_retention))
            log.info("unused tokens deleted", logins=self._forget_tokens())
            for table in self._written():
                with failures.survived("table not swept", table.schema_id):
                    deleted += self._swept(table)
        return deleted

    def _swept(self, table: WrittenTable) -> int:
        """Of a deleted schema's table nothing is left, but for what a worker wrote that was cut off at that time."""
        deleted = sum(self._swept_path(table, path) for path in (table.table_path, history_path(table.table_path)))
        if table.deleted_at is not None:
            roots = inbox_root(table.schema_id), ledger_root(table.schema_id)
            deleted += sum(self._swept_path(table, root) for root in roots)
        return deleted

    def _swept_path(self, table: WrittenTable, path: str) -> int:
        old = datetime.now(UTC) - ORPHAN_AGE
        if table.deleted_at is None:
            return sweep(self._store, path, self._inventory.live_job_ids(table.schema_id), old)
        left = sum(1 for _ in self._store.list(path)) if table.deleted_at < old else 0
        if left:
            erase(self._store, path)
        return left

    def _written(self) -> Iterator[WrittenTable]:
        after: str | None = None
        while page := self._inventory.written(datetime.now(UTC) - REMAINS, after, PAGE):
            for table in page:
                stop_if_asked()
                yield table
            after = page[-1].schema_id

    def _resume_erasures(self, failures: Failures) -> int:
        resumed = 0
        after: str | None = None
        while page := self._inventory.pending_erasures(after, PAGE):
            for erasure in page:
                stop_if_asked()
                with failures.survived("erasure not resumed", erasure.schema_id):
                    self._await(self._gateway.start_erasure(erasure.project_id, erasure.schema_id))
                    resumed += 1
            after = page[-1].schema_id
        return resumed

    def _close_jobs(self, failures: Failures) -> int:
        """Jobs that say Running although Temporal knows of no run."""
        closed = 0
        after: str | None = None
        while page := self._inventory.running_jobs(datetime.now(UTC) - GRACE, PAGE, after):
            for job in page:
                stop_if_asked()
                with failures.survived("job not looked after", job.schema_id):
                    if not self._await(self._gateway.is_running(job.workflow_id)):
                        self._close(job)
                        closed += 1
            after = page[-1].job_id
        return closed

    def _close(self, job: RunningJob) -> None:
        self._runs.finish(job.job_id, "Failed", error=LEFT_BEHIND, retryable=True, own_error=True)
        log.info("job closed", job_id=job.job_id)

    def _await(self, call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(timeout=60)
