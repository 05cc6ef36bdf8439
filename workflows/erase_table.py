"""Delete a schema's lake data, once nothing writes to it any more."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from scheduling.contract import ERASE_TABLE, EraseTableInput
    from workflows import policies


@workflow.defn(name=ERASE_TABLE)
class EraseTable:
    """The schema says ``erase_pending`` before this starts, so no new run begins; it says so until the data is gone."""

    @workflow.run
    async def run(self, order: EraseTableInput) -> None:
        for step in ("stop_runs", "erase"):
            await policies.long(step, order, type(None), retry_policy=policies.FOR_EVER)
