"""A workflow whose module forgets to pass an import of ours through the sandbox."""

from temporalio import workflow

from scheduling.contract import SYNC_SCHEMA, SyncSchemaInput


@workflow.defn(name=SYNC_SCHEMA)
class Forgetful:
    @workflow.run
    async def run(self, order: SyncSchemaInput) -> str:
        return order.schema_id
