"""What is asked of Temporal about the capture of a source's changes."""

import contextlib

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
    ScheduleUpdate,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from metadata.intents import CaptureIntent
from scheduling.contract import (
    CAPTURE_CHANGES,
    PROJECT_ATTRIBUTE,
    REMOVE_CAPTURE,
    SOURCE_ATTRIBUTE,
    SOURCE_TYPE_ATTRIBUTE,
    CaptureInput,
    capture_schedule_id,
    remove_capture_workflow_id,
)
from scheduling.specs import intervals_of, keywords
from scheduling.timing import CATCH_UP, capture_timing


class CaptureGateway:
    """Speaks to one Temporal namespace. Every call may be repeated: doing it twice is the same as once.

    The namespace must know our search attributes.
    """

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def ensure(self, intent: CaptureIntent) -> None:
        """Make the schedule of the source's capture as the settings say, or have the capture removed."""
        if intent.removing:
            await self.remove(intent.project_id, intent.source_id)
            return
        schedule = self._schedule(intent)
        handle = self._client.get_schedule_handle(capture_schedule_id(intent.source_id))
        try:
            found = (await handle.describe()).schedule
        except RPCError as error:
            _unless_not_found(error)
            with contextlib.suppress(ScheduleAlreadyRunningError):
                await self._client.create_schedule(handle.id, schedule)
            return
        if intervals_of(found.spec) != intervals_of(schedule.spec):
            await handle.update(lambda _: ScheduleUpdate(schedule=schedule))

    async def trigger(self, source_id: str) -> bool:
        """Capture now, or once more when what goes on has ended. False where there is no schedule."""
        try:
            handle = self._client.get_schedule_handle(capture_schedule_id(source_id))
            await handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE)
        except RPCError as error:
            _unless_not_found(error)
            return False
        return True

    async def remove(self, project_id: int, source_id: str) -> None:
        """Stop capturing, and have what the source keeps for it dropped, however long that takes."""
        await self._client.start_workflow(
            REMOVE_CAPTURE,
            CaptureInput(project_id, source_id),
            id=remove_capture_workflow_id(source_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary="Drop slot and publication of a source",
        )

    async def is_quiet(self, source_id: str) -> bool:
        """Whether no capture runs any more. One that does is asked to stop, and no other one starts."""
        handle = self._client.get_schedule_handle(capture_schedule_id(source_id))
        try:
            await handle.pause()
            running = (await handle.describe()).info.running_actions
        except RPCError as error:
            _unless_not_found(error)
            return True
        for action in running:
            assert isinstance(action, ScheduleActionExecutionStartWorkflow)
            try:
                await self._client.get_workflow_handle(action.workflow_id).cancel()
            except RPCError as error:
                _unless_not_found(error)
        return not running

    async def delete(self, source_id: str) -> None:
        try:
            await self._client.get_schedule_handle(capture_schedule_id(source_id)).delete()
        except RPCError as error:
            _unless_not_found(error)

    def _schedule(self, intent: CaptureIntent) -> Schedule:
        when = capture_timing(intent.source_id, intent.frequency)
        assert when.every
        attributes = {
            PROJECT_ATTRIBUTE: str(intent.project_id),
            SOURCE_ATTRIBUTE: intent.source_id,
            SOURCE_TYPE_ATTRIBUTE: intent.source_type,
        }
        return Schedule(
            action=ScheduleActionStartWorkflow(
                CAPTURE_CHANGES,
                CaptureInput(intent.project_id, intent.source_id),
                id=capture_schedule_id(intent.source_id),
                task_queue=self._task_queue,
                typed_search_attributes=keywords(attributes),
                static_summary=f"{intent.source_type} changes",
                static_details=f"Copies the changes of slot `{intent.slot}` into the lake's change log.",
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=when.every, offset=when.offset)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
        )


def _unless_not_found(error: RPCError) -> None:
    if error.status != RPCStatusCode.NOT_FOUND:
        raise error
