"""Holding a snapshot of a source while the parts of a table are read."""

import asyncio

import structlog
from temporalio import activity

from activities.heartbeat import HEARTBEAT_SECONDS, beating, stop_if_asked
from activities.messages import Held, HoldInput
from connectors import registry
from connectors.base import Divisible
from connectors.errors import NotDivisibleError, SnapshotLostError
from connectors.surroundings import Surroundings
from lake.failpoints import reach
from metadata.runs import Runs
from scheduling.gateway import SyncGateway

log = structlog.get_logger()

TELL_SECONDS = 30


class SnapshotActivities:
    """Registered as bound methods. Each holds a thread, and a session at the source, until it is cancelled."""

    def __init__(
        self, runs: Runs, gateway: SyncGateway, loop: asyncio.AbstractEventLoop, surroundings: Surroundings
    ) -> None:
        self._runs = runs
        self._gateway = gateway
        self._loop = loop
        self._surroundings = surroundings

    @activity.defn(name="hold", no_thread_cancel_exception=True)
    def hold(self, order: HoldInput) -> None:
        """Take a snapshot, tell the run of it, and hold it until the run needs it no more.

        Never ends well: ``SnapshotLostError`` when the source gives it up. A retry holds another one, and says so.
        """
        run = order.run
        connector = registry.connector(run.source_type)
        if not isinstance(connector, Divisible):
            raise NotDivisibleError("This type of source has no snapshots that sessions can share.")
        config = connector.parse_config(self._runs.inputs(run.project_id, run.schema_id), self._surroundings)
        info = activity.info()
        read_id = f"{run.job_id[:8]}-hold-{order.number}-{info.attempt}"
        with beating(), connector.hold(config, run.schema_name, read_id) as held:
            told = self._gateway.tell_snapshot(
                info.workflow_id or "", info.workflow_run_id or "", Held(order.number, held.snapshot)
            )
            asyncio.run_coroutine_threadsafe(told, self._loop).result(TELL_SECONDS)
            log.info("snapshot held", schema_id=run.schema_id, number=order.number)
            reach("holding")
            while held.is_held(HEARTBEAT_SECONDS):
                stop_if_asked()
        raise SnapshotLostError("The source gave up the snapshot that the table is read in.")
