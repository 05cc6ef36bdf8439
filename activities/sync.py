"""The steps of a run: thin, they join the connectors to the lake and tell the database what happened."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from temporalio import activity

from activities import jobs, reading
from activities.cdc.folding import FoldOrder, TableChangedError, fold_changes
from activities.cdc.following import Follower
from activities.child import Progress
from activities.children import Children
from activities.heartbeat import beating
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
    SwapInput,
)
from activities.planner import Planned, Planner, record
from activities.run_log import RunLog
from activities.webhooks.applying import apply_events
from connectors import registry
from connectors.surroundings import Surroundings
from lake.errors import MissingRowError, StalePositionError
from lake.failpoints import reach
from lake.position import Position
from lake.publish import Published
from lake.storage import LakeStore
from metadata.intents import RunIntent, ScheduleIntent
from metadata.inventory import Inventory
from metadata.runs import Runs
from scheduling.gateway import SyncGateway
from scheduling.timing import timing

log = structlog.get_logger()

PROGRESS_SECONDS = 1.0


class SyncActivities:
    """Registered as bound methods. They block, each on a thread of the worker's pool."""

    def __init__(
        self,
        runs: Runs,
        inventory: Inventory,
        store: LakeStore,
        children: Children,
        gateway: SyncGateway,
        loop: asyncio.AbstractEventLoop,
        run_log: RunLog,
        part_bytes: int,
        surroundings: Surroundings,
    ) -> None:
        self._surroundings = surroundings
        self._part_bytes = part_bytes
        self._run_log = run_log
        self._runs = runs
        self._inventory = inventory
        self._store = store
        self._children = children
        self._follower = Follower(runs, store, gateway, loop, run_log, surroundings)
        self._planner = Planner(runs, store, children, run_log, self._follower)
        self._gateway = gateway
        self._loop = loop

    @activity.defn(name="begin")
    def begin(self, order: BeginInput) -> Run | None:
        """Make the job, raise the fence. None where there is nothing to run: then the schedule goes or stays quiet."""
        intent = self._runs.intent(order.project_id, order.schema_id)
        if intent is None:
            log.info("schema is gone, deleting its schedule", schema_id=order.schema_id)
            self._await(self._gateway.delete_schedule(order.schema_id))
            return None
        if not intent.should_sync or intent.sync_type is None:
            return None
        trigger = _trigger(order, self._inventory.schedule_intent(order.schema_id))
        begun = self._runs.begin(order.project_id, order.schema_id, order.workflow_id, order.workflow_run_id, trigger)
        if begun is None:
            return None
        reach("after-begin")
        return _run(begun.intent, begun.job_id)

    @activity.defn(name="extract", no_thread_cancel_exception=True)
    def extract(self, order: ExtractInput) -> Extracted:
        """Plan where that is still to be done, read the next batch from the source into staged files, and publish it at
        once where it is short.

        Idempotent: a retry stages anew under other names, and finds what an earlier attempt has published.
        """
        run = order.run
        planned = Planned(order.plan) if order.plan else self._planner.plan(run, order.batch)
        plan = planned.plan
        take = self._fold if _folds(run, plan) else self._read
        read = self._found(order, planned) or take(order, plan)
        extracted = read.extracted
        if read.published is not None:
            extracted = replace(extracted, published=self._published(run, plan, read.published, extracted.digest))
        return extracted if order.plan else replace(extracted, plan=plan)

    def _found(self, order: ExtractInput, planned: Planned) -> reading.Read | None:
        if planned.published is None:
            return None
        with beating():
            self._run_log.published(order.run, planned.plan, order.batch, planned.published)
        return reading.found(planned.published)

    def _read(self, order: ExtractInput, plan: Plan) -> reading.Read:
        run = order.run
        connector = registry.connector(run.source_type)
        config = connector.parse_config(self._runs.inputs(run.project_id, run.schema_id), self._surroundings)
        part = f".{order.part.held.number}.{order.part.number}" if order.part else ""
        info = activity.info()
        # Of this attempt alone: who is late to stop its own read must not stop another's.
        read_id = f"{run.job_id[:8]}-{order.batch}{part}-{info.activity_id}-{info.attempt}"
        progress = _LiveFigures(self._runs, order)
        begun = time.monotonic()
        self._run_log.reading_again(order, info.attempt)
        read = self._children.run(
            apply_events if _applies(run, plan) else reading.extract,
            self._store,
            reading.Reading(order, plan, config, read_id, self._part_bytes),
            on_progress=progress,
            on_stop=lambda: connector.cancel(config, read_id),
        )
        with beating():
            progress.end(read.extracted)
            self._run_log.read(order, plan, read, begun)
        return read

    def _fold(self, order: ExtractInput, plan: Plan) -> reading.Read:
        """What the change log has behind the table's position; behind a first read, once it has all that was read."""
        run, base = order.run, Position.from_dict(plan.base)
        if base.log is not None and base.log.position < base.log.horizon:
            self._follower.await_horizon(run, base.log)
        elif base.log is not None and order.batch == 0:
            self._follower.freshen(run, base.log)
        progress = _LiveFigures(self._runs, order)
        begun = time.monotonic()
        try:
            read = self._children.run(
                fold_changes,
                self._store,
                FoldOrder(order, plan, self._children.memory_limit_bytes),
                on_progress=progress,
            )
        except (TableChangedError, MissingRowError) as error:
            if run.is_history and not plan.rebuild:
                raise
            self._runs.raise_generation(run.job_id, plan.generation)
            self._run_log.read_anew(run, str(error))
            raise StalePositionError("The table must be read anew.") from error
        with beating():
            self._run_log.folded(order, plan, read, begun)
        return read

    @activity.defn(name="publish", no_thread_cancel_exception=True)
    def publish(self, order: PublishInput) -> PublishResult:
        """Commit a staged batch, once whatever happens, and copy the table's new state into the database."""
        published = self._children.run(jobs.publish, self._store, order)
        with beating():
            self._run_log.published(order.run, order.plan, order.batch, published)
        return self._published(order.run, order.plan, published, order.digest)

    @activity.defn(name="swap_in", no_thread_cancel_exception=True)
    def swap_in(self, order: SwapInput) -> None:
        """Replace the table's rows by the rebuilt ones, in one commit."""
        published = self._children.run(jobs.swap_in, self._store, order)
        with beating():
            record(self._runs, order.run, published.position, published.facts)
            self._run_log.swapped_in(order.run, published)

    @activity.defn(name="maintain", no_thread_cancel_exception=True)
    def maintain(self, order: MaintainInput) -> None:
        """Merge small files and shorten the log. What the run read is committed already and stays as it is."""
        maintained, facts = self._children.run(jobs.maintain, self._store, order)
        with beating():
            record(self._runs, order.run, maintained.position, facts)
            self._run_log.maintained(order.run, maintained)

    @activity.defn(name="finish")
    def finish(self, order: FinishInput) -> None:
        """Close the job and tell the schema. Absorbing: the first outcome stays."""
        reach("before-finish")
        run = order.run
        finished = self._runs.finish(
            run.job_id,
            order.status,
            error=order.error,
            warnings=order.warnings,
            retryable=order.retryable,
            own_error=order.own_error,
            rows_synced=order.rows_synced,
            bytes_written=order.bytes_written,
        )
        log.info("run finished", schema_id=run.schema_id, job_id=run.job_id, status=order.status, error=order.error)
        if finished.schema_gone:
            self._await(self._gateway.delete_schedule(run.schema_id))
        elif finished.disabled:
            intent = self._inventory.schedule_intent(run.schema_id)
            if intent is not None:
                self._await(self._gateway.ensure_schedule(intent))

    def _published(self, run: Run, plan: Plan, published: Published, digest: str | None) -> PublishResult:
        reach("after-publish")
        if not plan.rebuild:
            with beating():
                record(self._runs, run, published.position, published.facts, digest if published.nothing_new else None)
        return PublishResult(
            published.position.as_dict(),
            rows=published.rows_added + published.rows_changed + published.rows_deleted,
            bytes_written=published.bytes_written,
            maintenance_due=published.facts.debt.is_due,
        )

    def _await(self, call: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(call, self._loop).result(timeout=30)


class _LiveFigures:
    """Copies a reader's figures into the job, now and then."""

    def __init__(self, runs: Runs, order: ExtractInput) -> None:
        self._runs = runs
        self._order = order
        self._written = time.monotonic()

    def __call__(self, done: Progress) -> None:
        if time.monotonic() - self._written >= PROGRESS_SECONDS:
            self._written = time.monotonic()
            self._write(done)

    def end(self, extracted: Extracted) -> None:
        """The parts of a table add up to what the job shows: each must be whole there."""
        if self._order.part is not None:
            self._write(Progress(extracted.rows, extracted.size_bytes))

    def _write(self, done: Progress) -> None:
        order = self._order
        job_id, part = order.run.job_id, order.part
        try:
            if part is not None:
                self._runs.part_progress(job_id, part.number, done.rows, part.row_estimate, done.size_bytes)
                return
            self._runs.progress(
                job_id,
                rows_synced=order.rows_before + done.rows,
                rows_to_sync=done.expected_rows,
                bytes_written=order.bytes_before + done.size_bytes,
            )
        except Exception as error:
            # Only figures to look at: no reason to throw away hours of reading.
            log.warning("progress not recorded", job_id=order.run.job_id, error=type(error).__name__)


def _trigger(order: BeginInput, intent: ScheduleIntent | None) -> str:
    """A timed start happens just when the schedule fires; every other one somebody asked for."""
    if order.scheduled_at is None or intent is None:
        return "manual"
    when = timing(intent.schema_id, intent.sync_frequency, intent.sync_time_of_day, intent.enabled_at)
    return "schedule" if when.fires_at(datetime.fromisoformat(order.scheduled_at)) else "manual"


def _folds(run: Run, plan: Plan) -> bool:
    """Whether the batch comes from the change log: once the table was read, which sets a horizon, all of them do."""
    log = Position.from_dict(plan.base).log
    return run.mode == "cdc" and log is not None and log.horizon > 0


def _applies(run: Run, plan: Plan) -> bool:
    """Whether the batch comes from the inbox: once the table was read, where it can be, all of them do."""
    return run.mode == "webhook" and (Position.from_dict(plan.base).loaded or not run.reads)


def _run(intent: RunIntent, job_id: str) -> Run:
    assert intent.sync_type is not None
    keyed = intent.sync_type in ("incremental", "append")
    return Run(
        project_id=intent.project_id,
        source_id=intent.source_id,
        schema_id=intent.schema_id,
        source_type=intent.source_type,
        schema_name=intent.schema_name,
        table_name=intent.table_name,
        table_path=intent.table_path,
        job_id=job_id,
        fence=intent.fence,
        generation=intent.generation,
        mode=intent.sync_type,
        primary_key=list(intent.primary_key),
        key_detected=intent.key_detected,
        cursor_field=intent.incremental_field if keyed else None,
        cursor_type=intent.incremental_field_type if keyed else None,
        lookback_seconds=intent.lookback_seconds,
        enabled_columns=list(intent.enabled_columns) if intent.enabled_columns is not None else None,
        row_filter=[dict(clause) for clause in intent.row_filter],
        type_overrides=intent.type_overrides,
        soft_deletes=intent.capture is not None and intent.capture.delete_mode == "soft",
        table_mode=intent.capture.table_mode if intent.capture else "consolidated",
        reads=not intent.webhook_only,
    )
