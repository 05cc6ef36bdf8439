"""What the API and the reconciler ask of Temporal about schemas: schedules, runs, erasures."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.enums.v1 import ScheduleOverlapPolicy as OverlapPolicy
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.schedule.v1 import SchedulePatch, TriggerImmediatelyRequest
from temporalio.api.workflowservice.v1 import PatchScheduleRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from metadata.intents import CaptureIntent, ScheduleIntent
from scheduling.captures import CaptureGateway
from scheduling.contract import (
    CANCEL_SIGNAL,
    ERASE_TABLE,
    PROJECT_ATTRIBUTE,
    RECONCILE,
    RESYNC_SIGNAL,
    SCHEMA_ATTRIBUTE,
    SNAPSHOT_SIGNAL,
    SOURCE_ATTRIBUTE,
    SOURCE_TYPE_ATTRIBUTE,
    SWEEP,
    SYNC_SCHEMA,
    WATCH_CAPTURES,
    EraseTableInput,
    SyncSchemaInput,
    erase_workflow_id,
    schedule_id,
    upkeep_id,
)
from scheduling.specs import Intervals, intervals_of, keywords
from scheduling.timing import CATCH_UP, timing

BUFFER_ONE = OverlapPolicy.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE
RECONCILE_EVERY = timedelta(minutes=5)
SWEEP_EVERY = timedelta(hours=6)
WATCH_EVERY = timedelta(minutes=1)

SCHEDULES_PER_PAGE = 500


@dataclass(frozen=True)
class ListedSchedule:
    """What Temporal's list shows of a schema's schedule."""

    schema_id: str
    intervals: Intervals
    paused: bool


class SyncGateway:
    """Speaks to one Temporal namespace. Every call may be repeated: doing it twice is the same as once."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._attributes_known = False
        self.captures = CaptureGateway(client, task_queue)

    async def ping(self) -> None:
        await self._client.service_client.check_health()

    async def ensure_schedule(self, intent: ScheduleIntent) -> None:
        """Make the schema's schedule as its settings say, paused where it is disabled."""
        if not self._attributes_known:
            # A schedule carries search attributes, which no worker may have registered yet.
            await self.ensure_search_attributes()
        schedule = self._schedule(intent)
        try:
            await self._client.create_schedule(schedule_id(intent.schema_id), schedule)
        except ScheduleAlreadyRunningError:

            def replace(_: ScheduleUpdateInput) -> ScheduleUpdate:
                return ScheduleUpdate(schedule=schedule)

            await self._client.get_schedule_handle(schedule_id(intent.schema_id)).update(replace)

    async def ensure_capture(self, intent: CaptureIntent) -> None:
        """Make the schedule of a source's capture as the settings say, or have the capture removed."""
        if not self._attributes_known:
            await self.ensure_search_attributes()
        await self.captures.ensure(intent)

    async def ensure_upkeep(self) -> None:
        """Make the schedules by which the installation looks after itself. An operator's change of them stays."""
        for workflow, every in ((RECONCILE, RECONCILE_EVERY), (SWEEP, SWEEP_EVERY), (WATCH_CAPTURES, WATCH_EVERY)):
            id = upkeep_id(workflow, self._task_queue)
            upkeep = Schedule(
                action=ScheduleActionStartWorkflow(workflow, id=id, task_queue=self._task_queue),
                spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
                policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
            )
            with contextlib.suppress(ScheduleAlreadyRunningError):
                await self._client.create_schedule(id, upkeep)

    async def ensure_search_attributes(self) -> None:
        """Register our search attributes with the namespace; needed once, harmless again."""
        names = (PROJECT_ATTRIBUTE, SOURCE_ATTRIBUTE, SOURCE_TYPE_ATTRIBUTE, SCHEMA_ATTRIBUTE)
        operator = self._client.operator_service
        listed = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=self._client.namespace))
        missing = {
            name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for name in names if name not in listed.custom_attributes
        }
        if missing:
            await operator.add_search_attributes(
                AddSearchAttributesRequest(namespace=self._client.namespace, search_attributes=missing)
            )
        self._attributes_known = True

    async def delete_schedule(self, schema_id: str) -> None:
        try:
            await self._client.get_schedule_handle(schedule_id(schema_id)).delete()
        except RPCError as error:
            _unless_not_found(error)

    async def trigger(self, schema_id: str, request_id: str) -> None:
        """Start a run now, or exactly one more after the run that is active. ``LookupError`` without a schedule.

        Temporal remembers a schedule's request ids: the same one again, even after the run has ended, does nothing.
        """
        request = PatchScheduleRequest(
            namespace=self._client.namespace,
            schedule_id=schedule_id(schema_id),
            patch=SchedulePatch(trigger_immediately=TriggerImmediatelyRequest(overlap_policy=BUFFER_ONE)),
            identity=self._client.identity,
            request_id=request_id,
        )
        try:
            await self._client.workflow_service.patch_schedule(request, retry=True)
        except RPCError as error:
            _unless_not_found(error)
            raise LookupError(f"schema {schema_id} has no schedule") from error

    async def cancel_run(self, schema_id: str) -> bool:
        """Ask the active run to stop. False when nothing runs."""
        return await self._signal_runs(schema_id, CANCEL_SIGNAL)

    async def resync_run(self, schema_id: str) -> bool:
        """Tell the active run to begin again from nothing. False when nothing runs."""
        return await self._signal_runs(schema_id, RESYNC_SIGNAL)

    async def cancel_workflow(self, workflow_id: str) -> bool:
        """Ask this run to stop. False when it has ended already."""
        return await self._signal(workflow_id, CANCEL_SIGNAL)

    async def start_erasure(self, project_id: int, schema_id: str) -> None:
        """Stop the run and delete the lake data, in a workflow of its own that goes on until that is done."""
        await self._client.start_workflow(
            ERASE_TABLE,
            EraseTableInput(project_id, schema_id),
            id=erase_workflow_id(schema_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=keywords({PROJECT_ATTRIBUTE: str(project_id), SCHEMA_ATTRIBUTE: schema_id}),
            static_summary="Delete a schema's lake data",
        )

    async def erased(self, schema_id: str) -> None:
        """Return once the newest erasure of the schema has ended; at once where there was none."""
        try:
            await self._client.get_workflow_handle(erase_workflow_id(schema_id)).result()
        except RPCError as error:
            _unless_not_found(error)

    async def is_running(self, workflow_id: str) -> bool:
        """Whether this run, or what it continued as, still goes on. Every start has a workflow id of its own; the run
        id would not do, as the first part of a long run is forgotten before the run ends.
        """
        try:
            newest = await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            _unless_not_found(error)
            return False
        return newest.status == WorkflowExecutionStatus.RUNNING

    async def schedule_matches(self, intent: ScheduleIntent) -> bool:
        """Whether Temporal has this schema's schedule as the settings want it."""
        try:
            found = await self._client.get_schedule_handle(schedule_id(intent.schema_id)).describe()
        except RPCError as error:
            _unless_not_found(error)
            return False
        spec, state = found.schedule.spec, found.schedule.state
        return self.looks_right(intent, ListedSchedule(intent.schema_id, intervals_of(spec), state.paused))

    def looks_right(self, intent: ScheduleIntent, listed: "ListedSchedule") -> bool:
        """Whether this is the schedule that the settings ask for, as far as one can see."""
        wanted = self._schedule(intent)
        return listed.intervals == intervals_of(wanted.spec) and listed.paused == wanted.state.paused

    async def schedule_pages(self) -> AsyncIterator[list["ListedSchedule"]]:
        """The schemas' schedules in the namespace, of other installations too, in no order, some hundreds at once.

        Temporal's lists lag behind: what was made, changed or deleted a moment ago may look as it did before.
        """
        pages = await self._client.list_schedules(page_size=SCHEDULES_PER_PAGE)
        while True:
            await pages.fetch_next_page()
            found = [
                ListedSchedule(one.id, intervals_of(one.schedule.spec), one.schedule.state.paused)
                for one in pages.current_page or ()
                if one.schedule and getattr(one.schedule.action, "workflow", None) == SYNC_SCHEMA
            ]
            yield found
            if not pages.next_page_token:
                return

    async def is_ours(self, schema_id: str) -> bool:
        """Whether the schedule starts runs on our task queue, and so belongs to this installation."""
        try:
            described = await self._client.get_schedule_handle(schedule_id(schema_id)).describe()
        except RPCError as error:
            _unless_not_found(error)
            return False
        action = described.schedule.action
        return isinstance(action, ScheduleActionStartWorkflow) and action.task_queue == self._task_queue

    async def tell_snapshot(self, workflow_id: str, workflow_run_id: str, held: object) -> None:
        """Tell a run of a snapshot that is held for it; nothing happens where it has ended."""
        try:
            await self._client.get_workflow_handle(workflow_id, run_id=workflow_run_id).signal(SNAPSHOT_SIGNAL, held)
        except RPCError as error:
            _unless_not_found(error)

    async def _signal_runs(self, schema_id: str, signal: str) -> bool:
        active = await self._active_workflows(schema_id)
        return any([await self._signal(workflow_id, signal) for workflow_id in active])

    async def _signal(self, workflow_id: str, signal: str) -> bool:
        try:
            await self._client.get_workflow_handle(workflow_id).signal(signal)
        except RPCError as error:
            _unless_not_found(error)
            return False
        return True

    async def _active_workflows(self, schema_id: str) -> list[str]:
        try:
            described = await self._client.get_schedule_handle(schedule_id(schema_id)).describe()
        except RPCError as error:
            _unless_not_found(error)
            query = (
                f"{SCHEMA_ATTRIBUTE} = '{schema_id}' AND WorkflowType = '{SYNC_SCHEMA}' AND ExecutionStatus = 'Running'"
            )
            return [found.id async for found in self._client.list_workflows(query)]
        return [
            action.workflow_id
            for action in described.info.running_actions
            if isinstance(action, ScheduleActionExecutionStartWorkflow)
        ]

    def _schedule(self, intent: ScheduleIntent) -> Schedule:
        when = timing(intent.schema_id, intent.sync_frequency, intent.sync_time_of_day, intent.enabled_at)
        intervals = [ScheduleIntervalSpec(every=when.every, offset=when.offset)] if when.every else []
        attributes = {
            PROJECT_ATTRIBUTE: str(intent.project_id),
            SOURCE_ATTRIBUTE: intent.source_id,
            SOURCE_TYPE_ATTRIBUTE: intent.source_type,
            SCHEMA_ATTRIBUTE: intent.schema_id,
        }
        return Schedule(
            action=ScheduleActionStartWorkflow(
                SYNC_SCHEMA,
                SyncSchemaInput(intent.project_id, intent.schema_id),
                id=intent.schema_id,
                task_queue=self._task_queue,
                typed_search_attributes=keywords(attributes),
                static_summary=f"{intent.source_type} {intent.schema_name}",
                static_details=f"Copies `{intent.schema_name}` into the lake table `{intent.table_name}`.",
            ),
            spec=ScheduleSpec(intervals=intervals),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
            state=ScheduleState(paused=not intent.should_sync),
        )


def _unless_not_found(error: RPCError) -> None:
    if error.status != RPCStatusCode.NOT_FOUND:
        raise error
