"""Compare what the database wants with what Temporal and the lake have, and repair."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.messages import ReconcileResult
    from scheduling.contract import RECONCILE, SWEEP
    from workflows import policies


@workflow.defn(name=RECONCILE)
class Reconcile:
    @workflow.run
    async def run(self) -> ReconcileResult:
        return await policies.long("reconcile", None, ReconcileResult)


@workflow.defn(name=SWEEP)
class Sweep:
    """Delete what ended runs staged and nobody refers to."""

    @workflow.run
    async def run(self) -> int:
        return await policies.long("sweep", None, int)
