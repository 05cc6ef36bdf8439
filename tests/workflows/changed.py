"""A change of a workflow that the replay must find. A module of its own: the sandbox loads it anew."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.messages import Run
    from scheduling.contract import SYNC_SCHEMA, SyncSchemaInput
    from workflows.sync_schema import SyncSchema


@workflow.defn(name=SYNC_SCHEMA)
class WithoutABeginning(SyncSchema):
    @workflow.run
    async def run(self, order: SyncSchemaInput) -> str:
        return await super().run(order)

    async def _begin(self, order: SyncSchemaInput) -> Run:
        return Run(
            order.project_id, "source", order.schema_id, "Postgres", "t", "t", "1/t", "job", 1, 1, mode="full_refresh"
        )
