"""Capturing the changes of one source, and the end of it."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.cdc.messages import Captured
    from scheduling.contract import CAPTURE_CHANGES, REMOVE_CAPTURE, WATCH_CAPTURES, CaptureInput
    from workflows import policies


@workflow.defn(name=CAPTURE_CHANGES)
class CaptureChanges:
    """Copy what the source's log has into the change log; for ever where the capture is continuous.

    Every round ends behind a whole transaction, with the source told how far it need keep its log.
    """

    @workflow.run
    async def run(self, order: CaptureInput) -> Captured:
        rounds = 0
        while True:
            captured: Captured = await policies.long(
                "capture", order, Captured, task_queue=workflow.info().task_queue + policies.CAPTURE_QUEUE_SUFFIX
            )
            rounds += 1
            workflow.set_current_details(
                f"Round {rounds}: {captured.changes:,} changes in {captured.entries} entries, the newest is "
                f"{captured.sequence}."
            )
            if captured.gone or not captured.continuous:
                return captured
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(order)


@workflow.defn(name=REMOVE_CAPTURE)
class RemoveCapture:
    """The capture says ``removing`` before this starts, and is forgotten once nothing is left at the source."""

    @workflow.run
    async def run(self, order: CaptureInput) -> None:
        await policies.long("remove_capture", order, type(None), retry_policy=policies.FOR_EVER)


@workflow.defn(name=WATCH_CAPTURES)
class WatchCaptures:
    """Look at how much of its log each source keeps for us, and act where that endangers it."""

    @workflow.run
    async def run(self) -> int:
        return await policies.long("watch_captures", None, int)
