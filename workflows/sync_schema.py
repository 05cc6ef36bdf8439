"""One run of one schema."""

import asyncio
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.messages import (
        BeginInput,
        Extracted,
        ExtractInput,
        FinishInput,
        Held,
        MaintainInput,
        Plan,
        PublishInput,
        PublishResult,
        Run,
        SwapInput,
        outputs,
    )
    from scheduling.contract import (
        CANCEL_SIGNAL,
        PROGRESS_QUERY,
        RESYNC_SIGNAL,
        SNAPSHOT_SIGNAL,
        SYNC_SCHEMA,
        Progress,
        SyncSchemaInput,
    )
    from workflows import policies
    from workflows.divided_read import DividedRead

Result = TypeVar("Result")

MOST_REPLANS = 5
SCHEDULED_START = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@dataclass
class Tally:
    """What the run has done so far; carried over when its history is continued as new."""

    batch: int = 0
    rows: int = 0
    size_bytes: int = 0
    warnings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, staged: list[Extracted], published: PublishResult) -> None:
        self.batch += 1
        self.rows += published.rows
        self.size_bytes += published.bytes_written
        counts = {(w["column"], w["reason"]): w["count"] for w in self.warnings}
        for warning in (warning for extracted in staged for warning in extracted.warnings):
            key = (warning["column"], warning["reason"])
            counts[key] = counts.get(key, 0) + warning["count"]
        self.warnings = [{"column": c, "reason": r, "count": n} for (c, r), n in counts.items()]


@dataclass(frozen=True)
class Outcome:
    status: str
    error: str | None = None
    retryable: bool = True
    own_error: bool = False


COMPLETED = Outcome("Completed")
CANCELLED = Outcome("Cancelled")


@workflow.defn(name=SYNC_SCHEMA)
class SyncSchema:
    """begin → (extract → publish) until the source has no more → swap a rebuild in, or maintain → finish.

    The first extract plans what the run does. A short batch is published by the step that reads it.

    Signal ``cancel`` stops it, whatever it does, and keeps what was committed. Signal ``resync`` stops it and starts a
    run that rebuilds (the caller has raised the generation before). However the copying ends, ``finish`` runs.
    """

    def __init__(self) -> None:
        self._copying: asyncio.Task[None] | None = None
        self._stop_asked = False
        self._resync_asked = False
        self._progress = Progress()
        self._tally = Tally()
        self._reading: DividedRead | None = None

    @workflow.run
    async def run(self, order: SyncSchemaInput) -> str:
        one_run = asyncio.create_task(self._one_run(order))
        try:
            status = await asyncio.shield(one_run)
        except asyncio.CancelledError:
            # Cancelled in Temporal itself: the same as the signal, and the job is finished all the same.
            self.cancel()
            status = await one_run
        if self._resync_asked:
            # The rebuild is a run of its own, with its own job, fence and workflow run id.
            workflow.continue_as_new(SyncSchemaInput(order.project_id, order.schema_id))
        return status

    @workflow.signal(name=CANCEL_SIGNAL)
    def cancel(self) -> None:
        self._stop_asked = True
        if self._copying:
            self._copying.cancel()

    @workflow.signal(name=RESYNC_SIGNAL)
    def resync(self) -> None:
        self._resync_asked = True
        self.cancel()

    @workflow.signal(name=SNAPSHOT_SIGNAL)
    def snapshot(self, held: Held) -> None:
        if self._reading:
            self._reading.snapshot_held(held)

    @workflow.query(name=PROGRESS_QUERY)
    def progress(self) -> Progress:
        return self._progress

    async def _one_run(self, order: SyncSchemaInput) -> str:
        run = self._carried_over(order) or await self._begin(order)
        if run is None:
            return "nothing to do"
        self._copying = asyncio.create_task(self._copy(run))
        if self._stop_asked:
            self._copying.cancel()
        outcome = await self._outcome()
        self._report("finishing")
        await policies.quick("finish", self._finish_input(run, outcome), type(None), summary=outcome.status)
        self._report(outcome.status.lower())
        return outcome.status

    async def _outcome(self) -> Outcome:
        """How the copying ended. Never raises, but for a history that is to be continued as new.

        What fails while it is being stopped is stopped: nobody waits for it any more, and it counts against nobody.
        """
        assert self._copying is not None
        try:
            await self._copying
            return COMPLETED
        except workflow.ContinueAsNewError:
            raise
        except BaseException as error:
            if self._stop_asked or is_cancelled_exception(error):
                return CANCELLED
            return _failed(error)

    async def _begin(self, order: SyncSchemaInput) -> Run | None:
        info = workflow.info()
        scheduled = info.typed_search_attributes.get(SCHEDULED_START)
        self._report("starting")
        begun: Run | None = await policies.quick(
            "begin",
            BeginInput(
                order.project_id,
                order.schema_id,
                workflow_id=info.workflow_id,
                workflow_run_id=info.run_id,
                scheduled_at=scheduled.isoformat() if scheduled else None,
            ),
            Run | None,  # type: ignore[arg-type]
        )
        return begun

    def _finish_input(self, run: Run, outcome: Outcome) -> FinishInput:
        return FinishInput(
            run,
            status=outcome.status,
            rows_synced=self._tally.rows,
            bytes_written=self._tally.size_bytes,
            error=outcome.error,
            retryable=outcome.retryable,
            own_error=outcome.own_error,
            warnings=self._tally.warnings,
        )

    async def _copy(self, run: Run) -> None:
        """Each of the tables that the settings ask for."""
        for number, output in enumerate(outputs(run)):
            if number:
                self._tally.batch = 0
            was_loaded = await self._copy_to(output)
            if run.mode == "webhook" and run.reads and not was_loaded:
                # What the provider sent while the table was read.
                self._tally.batch += 1
                await self._copy_to(output)

    async def _copy_to(self, run: Run) -> bool:
        """Copy until done; whether the table was loaded before, and stayed.

        A table that moved under a batch is planned again from where it stands.
        """
        for _ in range(MOST_REPLANS):
            try:
                return await self._copy_batches(run)
            except ActivityError as error:
                if policies.type_of(error) != "stale_position":
                    raise
        raise ApplicationError(
            "The table kept changing while it was read; is something else writing to it?",
            {"own": True},
            type="stale_position",
        )

    async def _copy_batches(self, run: Run) -> bool:
        plan, staged = await self._extract(run, None)
        was_loaded = bool(plan.base.get("loaded"))
        while True:
            published = staged[0].published or await self._publish(run, plan, staged)
            self._tally.add(staged, published)
            if not staged[-1].more:
                break
            if workflow.info().is_continue_as_new_suggested():
                self._go_on()
                self._carry_on(run)
            plan, staged = await self._extract(run, replace(plan, base=published.position))
        if plan.rebuild:
            was_loaded = False
            await self._swap_in(run, plan)
        elif published.maintenance_due:
            await self._maintain(run, plan)
        return was_loaded

    def _carry_on(self, run: Run) -> None:
        """In a fresh history, by the settings that the run began with."""
        carried = {"run": asdict(run), "tally": asdict(self._tally)}
        workflow.continue_as_new(SyncSchemaInput(run.project_id, run.schema_id, carried))

    def _carried_over(self, order: SyncSchemaInput) -> Run | None:
        if order.carried is None:
            return None
        self._tally = Tally(**order.carried["tally"])
        return Run(**order.carried["run"])

    def _go_on(self) -> None:
        """Stop here if that was asked. A step that was all but done when the cancel came has ended well, and a step
        that does not look for cancels always does: without this, the next one would begin.
        """
        if self._stop_asked:
            raise asyncio.CancelledError

    async def _step(self, activity: str, order: Any, result: type[Result], **options: Any) -> Result:
        self._go_on()
        queue = workflow.info().task_queue + policies.EXTRACTION_QUEUE_SUFFIX
        return await policies.long(activity, order, result, task_queue=queue, **options)

    async def _extract(self, run: Run, plan: Plan | None) -> tuple[Plan, list[Extracted]]:
        """Stage the next batch, of a large table in parts. Plan before, where that is still to be done."""
        self._report("extracting", run)
        tally = self._tally
        order = ExtractInput(run, plan, tally.batch, tally.rows, tally.size_bytes)
        found = await self._extract_one(order)
        plan = plan or found.plan
        assert plan is not None
        if not found.parts:
            return plan, [found]
        order = replace(order, plan=plan)
        reading = self._reading = DividedRead(order, found, self._extract_one, lambda: self._report_parts(run))
        self._report("extracting", run, found.row_estimate)
        return plan, await reading.read() or [await self._extract_one(replace(order, whole=True))]

    async def _extract_one(self, order: ExtractInput) -> Extracted:
        """Once more in small steps where the rows were too wide for the memory."""
        run, part = order.run, order.part
        what = f"part {part.number + 1} of {part.count}" if part else f"batch {order.batch + 1}"
        summary = f"{run.schema_name}, {what}"
        try:
            return await self._step("extract", order, Extracted, summary=summary)
        except ActivityError as error:
            if policies.type_of(error) != "out_of_memory":
                raise
        return await self._step("extract", replace(order, narrow=True), Extracted, summary=f"{summary}, in small steps")

    async def _publish(self, run: Run, plan: Plan, staged: list[Extracted]) -> PublishResult:
        if staged[0].repeats:
            return PublishResult(plan.base, rows=0, bytes_written=0)
        self._report("publishing", run, staged[0].row_estimate)
        manifests = [extracted.manifest for extracted in staged]
        return await self._step(
            "publish",
            PublishInput(run, plan, self._tally.batch, manifests, not staged[-1].more, staged[0].digest),
            PublishResult,
            summary=f"{sum(extracted.rows for extracted in staged):,} rows read",
        )

    async def _swap_in(self, run: Run, plan: Plan) -> None:
        self._report("swapping the rebuilt table in", run)
        await self._step("swap_in", SwapInput(run, plan, self._tally.batch), type(None))

    async def _maintain(self, run: Run, plan: Plan) -> None:
        """The rows are committed: a failure is told in the run's log, and the next run with news does it instead."""
        self._report("maintaining", run)
        try:
            order = MaintainInput(run, plan.generation)
            await self._step("maintain", order, type(None), retry_policy=policies.ONCE)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("table not maintained: %s", error.cause)

    def _report_parts(self, run: Run) -> None:
        if self._reading:
            done, count = self._reading.done, self._reading.count
            self._report(f"extracting, {done} of {count} parts read", run, rows=self._reading.rows)

    def _report(self, phase: str, run: Run | None = None, rows_to_sync: int | None = None, rows: int = 0) -> None:
        """Keep the ``progress`` query and what Temporal's own UI shows of the run up to date.

        ``rows``: those beyond what is published.
        """
        estimate = rows_to_sync if rows_to_sync is not None else self._progress.rows_to_sync
        self._progress = Progress(phase, self._tally.rows + rows, estimate, self._tally.batch)
        of = f" of about {estimate:,}" if estimate else ""
        lines = [f"**{phase}**, {self._progress.rows_synced:,} rows{of} in {self._tally.batch} batches"]
        if run:
            lines.insert(0, f"`{run.schema_name}` → `{run.table_name}`, {run.mode}")
        workflow.set_current_details("\n\n".join(lines))


def _failed(error: BaseException) -> Outcome:
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError):
        details = cause.details[0] if cause.details else {}
        own = bool(details.get("own", True)) if isinstance(details, dict) else True
        return Outcome("Failed", cause.message, retryable=not cause.non_retryable, own_error=own)
    return Outcome("Failed", "The worker stopped answering while it copied; the next run goes on.", own_error=True)
