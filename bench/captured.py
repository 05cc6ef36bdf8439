"""A source of ours whose changes are captured, asked for over the REST API as a user would."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from temporalio.client import Client, ScheduleHandle

from bench.measure import Cost
from bench.ours import PATIENCE, Ours
from local.demo.client import DemoError, Json
from scheduling.contract import capture_schedule_id

_POLL_SECONDS = 0.2


class Captured(Ours):
    """One source of one database, which has a log."""

    def enable(self, **settings: object) -> None:
        """Make the source, none of whose tables is followed yet."""
        self._make([])
        self._ground.client.enable_capture(self._source, **settings)

    def follow(self, names: Sequence[str], frequency: str) -> None:
        """Capture the changes of these tables, and bring them to the lake so often."""
        wish = {"should_sync": True, "sync_type": "cdc", "sync_frequency": frequency}
        for name in names:
            self._ground.client.change_schema(self._schema(name)["id"], **wish)

    def load(self, names: Sequence[str]) -> Cost:
        """Have these followed, and loaded for the first time; no run comes by itself afterwards."""
        client = self._ground.client

        def ask() -> None:
            self.follow(names, "never")
            for name in names:
                client.reload(self._schema(name)["id"])

        return self._timed(ask, len(names))

    @contextmanager
    def captures_held(self) -> Iterator[None]:
        """None begins by itself meanwhile: as if somebody paused their schedule in Temporal's UI."""
        asyncio.run(self._pause())
        try:
            yield
        finally:
            asyncio.run(self._unpause())

    def capture(self) -> Cost:
        """One round, from its trigger until everything is in the change log that was committed before."""
        target = self._log_end()
        with self._ground.worker_measured(self._database) as cost:
            begun = time.monotonic()
            asyncio.run(self._trigger())
            self._await_captured(target)
            captured = time.monotonic()
        cost.wall_seconds = captured - begun
        return cost

    def settle(self, names: Sequence[str]) -> None:
        """Nothing comes by itself any more, and what was committed is in the lake."""
        self._ground.client.change_capture(self._source, cdc_continuous=False)
        self.follow(names, "never")
        self._await_quiet()
        asked = datetime.now(UTC)
        for name in names:
            self._ground.client.reload(self._schema(name)["id"])
        self._await(asked, len(names))

    def is_loaded(self, name: str) -> bool:
        return bool(self._ground.client.schema(self._schema(name)["id"])["status"] == "Completed")

    def has_failed(self) -> str | None:
        """What a run said that did not end well."""
        jobs: list[Json] = self._ground.client.jobs(self._source)
        return next((job["latest_error"] for job in jobs if job["status"] not in ("Running", "Completed")), None)

    def remove(self) -> None:
        """Until nothing is left at the source either, so that its database can go."""
        super().remove()
        with self._ground.server.connect() as connection:
            self._wait(
                lambda: not connection.execute("SELECT FROM pg_replication_slots").fetchall(),
                "The slot was not dropped",
            )

    def _await_captured(self, target: int) -> None:
        def is_there() -> bool:
            status = self._ground.client.capture_status(self._source)
            if status["latest_error"]:
                raise DemoError(f"The capture failed: {status['latest_error']}")
            return _number(status["captured_position"]) >= target

        self._wait(is_there, "The capture did not get there")

    def _await_quiet(self) -> None:
        jobs = self._ground.client.jobs
        self._wait(lambda: all(job["status"] != "Running" for job in jobs(self._source)), "A run never ended")

    def _wait(self, is_over: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while not is_over():
            if time.monotonic() > deadline:
                raise DemoError(f"{otherwise} within {PATIENCE}.")
            if self._ground.stop.wait(_POLL_SECONDS):
                raise DemoError("stopped")

    def _log_end(self) -> int:
        with self._ground.server.connect(self._database) as connection:
            found = connection.execute("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint").fetchone()
        assert found
        return int(found[0])

    async def _pause(self) -> None:
        await (await self._schedule()).pause(note="benchmark")

    async def _unpause(self) -> None:
        await (await self._schedule()).unpause()

    async def _trigger(self) -> None:
        await (await self._schedule()).trigger()

    async def _schedule(self) -> ScheduleHandle:
        temporal = self._ground.platform.layout.temporal
        assert temporal
        client = await Client.connect(temporal.address, namespace=temporal.namespace)
        return client.get_schedule_handle(capture_schedule_id(self._source["id"]))


def _number(position: str) -> int:
    """Of a position as PostgreSQL writes it."""
    high, low = position.split("/")
    return (int(high, 16) << 32) + int(low, 16)
