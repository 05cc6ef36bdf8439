"""Somebody who goes by Temporal's own tools, past the platform."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import time, timedelta
from typing import TypeVar

from temporalio.client import Client
from temporalio.service import RPCError

from metadata.intents import ScheduleIntent
from scheduling.gateway import SyncGateway
from tests.kit.servers import RunningTemporal

T = TypeVar("T")


@dataclass
class Operator:
    """Somebody with Temporal's own tools, at the same namespace as the installation."""

    temporal: RunningTemporal
    task_queue: str

    def do(self, act: Callable[[Client], Awaitable[T]]) -> T:
        async def connected() -> T:
            return await act(await Client.connect(self.temporal.address, namespace=self.temporal.namespace))

        return asyncio.run(connected())

    def upkeep(self, workflow: str, result: type[T]) -> T:
        """Run one round of upkeep and wait for it."""

        async def one_round(client: Client) -> T:
            handle = await client.start_workflow(
                workflow, id=f"round-{uuid.uuid4()}", task_queue=self.task_queue, result_type=result
            )
            return await handle.result()  # type: ignore[no-any-return]

        return self.do(one_round)

    def add_schedule(self, task_queue: str) -> str:
        """A schema's schedule that no row of this installation speaks of; the schema's id."""
        intent = ScheduleIntent(
            project_id=1,
            source_id=str(uuid.uuid4()),
            source_type="Postgres",
            schema_id=str(uuid.uuid4()),
            schema_name="t",
            table_name="postgres_t",
            should_sync=True,
            sync_frequency="24hour",
            sync_time_of_day=time(3),
            enabled_at=None,
            erase_pending=False,
        )

        async def add(client: Client) -> None:
            await SyncGateway(client, task_queue).ensure_schedule(intent)

        self.do(add)
        return intent.schema_id

    def delete_schedule(self, schema_id: str) -> None:
        async def delete(client: Client) -> None:
            await client.get_schedule_handle(schema_id).delete()

        self.do(delete)

    def schedule(self, schema_id: str) -> tuple[bool, list[timedelta]] | None:
        """Whether it is paused, and its intervals; None without one."""

        async def look(client: Client) -> tuple[bool, list[timedelta]] | None:
            try:
                found = (await client.get_schedule_handle(schema_id).describe()).schedule
            except RPCError:
                return None
            return found.state.paused, [interval.every for interval in found.spec.intervals]

        return self.do(look)
