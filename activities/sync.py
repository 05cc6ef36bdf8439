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
from activities.children import Children, Progress
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
from activities.planning import Action, Decision, Intent, decide
from activities.run_log import RunLog
from connectors import registry
from connectors.errors import SchemaChangedError
from lake import query
from lake.errors import FencedError
from lake.facts import TableFacts
from lake.failpoints import reach
from lake.position import EMPTY, Position
from lake.publish import Published
from lake.storage import LakeStore
from lake.table import generation_root, open_table, read_position
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
    ) -> None:
        self._part_bytes = part_bytes
        self._run_log = run_log
        self._runs = runs
        self._inventory = inventory
        self._store = store
        self._children = children
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

    @activity.defn(name="plan", no_thread_cancel_exception=True)
    def plan(self, run: Run) -> Plan:
        """Compare the settings with what the table's log says, and decide what the run does."""
        if run.mode == "incremental" and not run.primary_key:
            # Before anything is decided: the table's rows are as good as ever.
            raise SchemaChangedError(f"{run.schema_name} has no primary key any more: choose primary key columns.")
        intent = self._runs.intent(run.project_id, run.schema_id)
        # An earlier plan of this very run may have raised the generation: what holds now counts.
        generation = intent.generation if intent else run.generation
        cached = Position.from_dict(intent.position) if intent and intent.position else None
        with beating():
            opened = open_table(self._store, run.table_path, cached)
            table = opened.position
            moved = table.sequence > 0 and table.generation != generation
            shadow = read_position(self._store, generation_root(run.table_path, generation)) if moved else EMPTY
        if table.fence > run.fence or table.generation > generation:
            self._runs.catch_up(run.schema_id, table.fence, table.generation)
            raise FencedError("A newer run owns the table.")
        wanted = _intent(run, generation, intent.available_columns if intent else frozenset())
        decision = decide(wanted, table, shadow)
        narrowed = decision.action is Action.NARROW
        if narrowed:
            self._run_log.planned(run, decision.action, decision.reason)
            decision = decide(wanted, self._narrow(run, wanted, table), shadow)
        if decision.action is Action.TAKE_OVER:
            decision = self._take_over(run, wanted, decision)
        if decision.new_generation:
            generation = self._runs.raise_generation(run.job_id)
        log.info("planned", schema_id=run.schema_id, action=decision.action, reason=decision.reason)
        self._run_log.planned(run, decision.action, decision.reason)
        return Plan(
            generation=generation,
            rebuild=decision.action is Action.REBUILD,
            base=decision.base.as_dict(),
            reason=decision.reason,
            stored=query.column_types(opened) if decision.action is Action.CONTINUE and not narrowed else None,
            repeat=intent.repeat if intent else None,
        )

    @activity.defn(name="extract", no_thread_cancel_exception=True)
    def extract(self, order: ExtractInput) -> Extracted:
        """Read the next batch from the source into staged files, and publish it at once where it is short.

        Idempotent: a retry stages anew under other names, and finds what an earlier attempt has published.
        """
        run = order.run
        connector = registry.connector(run.source_type)
        config = connector.parse_config(self._runs.inputs(run.project_id, run.schema_id))
        part = f".{order.part.held.number}.{order.part.number}" if order.part else ""
        info = activity.info()
        # Of this attempt alone: who is late to stop its own read must not stop another's.
        read_id = f"{run.job_id[:8]}-{order.batch}{part}-{info.activity_id}-{info.attempt}"
        given = reading.Reading(order, config, read_id, self._part_bytes)
        progress = _LiveFigures(self._runs, order)
        begun = time.monotonic()
        self._run_log.reading_again(order, activity.info().attempt)
        read = self._children.run(
            reading.extract,
            self._store,
            given,
            on_progress=progress,
            on_stop=lambda: connector.cancel(config, read_id),
        )
        with beating():
            progress.end(read.extracted)
            self._run_log.staged(order, read.extracted, begun)
        if read.published is None:
            return read.extracted
        return replace(read.extracted, published=self._published(order, read.published, read.extracted.digest))

    @activity.defn(name="publish", no_thread_cancel_exception=True)
    def publish(self, order: PublishInput) -> PublishResult:
        """Commit a staged batch, once whatever happens, and copy the table's new state into the database."""
        return self._published(order, self._children.run(jobs.publish, self._store, order), order.digest)

    @activity.defn(name="swap_in", no_thread_cancel_exception=True)
    def swap_in(self, order: SwapInput) -> None:
        """Replace the table's rows by the rebuilt ones, in one commit."""
        published = self._children.run(jobs.swap_in, self._store, order)
        with beating():
            self._record(order.run, published.position, published.facts)
            self._run_log.swapped_in(order.run, published)

    @activity.defn(name="maintain", no_thread_cancel_exception=True)
    def maintain(self, order: MaintainInput) -> None:
        """Merge small files and shorten the log. What the run read is committed already and stays as it is."""
        maintained, facts = self._children.run(jobs.maintain, self._store, order)
        with beating():
            self._record(order.run, maintained.position, facts)
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

    def _published(self, order: ExtractInput | PublishInput, published: Published, digest: str | None) -> PublishResult:
        reach("after-publish")
        with beating():
            if not order.plan.rebuild:
                self._record(order.run, published.position, published.facts)
            if published.nothing_new and digest:
                self._runs.brought_nothing(order.run.schema_id, digest)
            self._run_log.published(order, published)
        return PublishResult(
            published.position.as_dict(),
            rows=published.rows_added + published.rows_changed,
            bytes_written=published.bytes_written,
            maintenance_due=published.facts.debt.is_due,
        )

    def _narrow(self, run: Run, wanted: Intent, table: Position) -> Position:
        """Take the disabled columns out of the table, and say so."""
        position, facts = self._children.run(jobs.narrow, self._store, run, wanted.columns, table)
        self._record(run, position, facts)
        return position

    def _take_over(self, run: Run, wanted: Intent, decision: Decision) -> Decision:
        """The cursor from the table's own rows; a rebuild where they cannot give one or do not fit the key."""
        cursor, duplicate = self._children.run(
            jobs.inspect, self._store, run.table_path, run.cursor_field, jobs.key_of(run)
        )
        if cursor is None or duplicate is not None:
            reason = "the table has no value in the new cursor" if cursor is None else "stored rows share a primary key"
            base = decide(wanted, EMPTY).base
            return Decision(Action.REBUILD, base, new_generation=True, reason=reason)
        return replace(decision, base=replace(decision.base, cursor=cursor))

    def _record(self, run: Run, position: Position, facts: TableFacts) -> None:
        self._runs.committed(run.schema_id, position.as_dict())
        self._runs.table_saved(
            run.project_id,
            run.schema_id,
            run.table_name,
            run.table_path,
            facts.row_count,
            facts.size_bytes,
            facts.columns,
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
    )


def _intent(run: Run, generation: int, known_columns: frozenset[str]) -> Intent:
    return Intent(
        mode=run.mode,
        generation=generation,
        primary_key=jobs.key_of(run),
        cursor_field=run.cursor_field,
        columns=jobs.columns_of(run),
        row_filter=jobs.filter_text(run),
        type_overrides=tuple(sorted(run.type_overrides.items())),
        known_columns=known_columns,
    )
