"""A change of a workflow that the replay must find. A module of its own: the sandbox loads it anew."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.messages import Plan, Run
    from scheduling.contract import SYNC_SCHEMA, SyncSchemaInput
    from workflows.sync_schema import SyncSchema


@workflow.defn(name=SYNC_SCHEMA)
class WithoutAPlan(SyncSchema):
    @workflow.run
    async def run(self, order: SyncSchemaInput) -> str:
        return await super().run(order)

    async def _plan(self, run: Run) -> Plan:
        return Plan(generation=run.generation, rebuild=False, base={})
