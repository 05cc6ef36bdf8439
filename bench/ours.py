"""Our own copies, asked for over the REST API as a user would."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow.dataset as ds
from deltalake import DeltaTable

from bench.ground import Ground
from bench.measure import Cost
from local.demo.client import DemoError, Json
from local.demo.story import lake_options

PATIENCE = timedelta(minutes=30)
_POLL_SECONDS = 0.03


class Ours:
    """One source of one database."""

    def __init__(self, ground: Ground, database: str, patience: timedelta = PATIENCE) -> None:
        self._ground, self._database, self._patience = ground, database, patience
        self._source: Json = {}

    def create(self, wishes: Sequence[Json]) -> Cost:
        """From the call that makes the source until all of its tables are committed."""
        return self._timed(lambda: self._make(wishes), len(wishes))

    def reload(self, name: str) -> Cost:
        schema_id = self._schema(name)["id"]
        return self._timed(lambda: self._ground.client.reload(schema_id), 1)

    def reload_all(self) -> Cost:
        return self._timed(lambda: self._ground.client.reload_source(self._source), len(self._source["schemas"]))

    def reload_quietly(self, name: str) -> tuple[float, Json]:
        """Seconds from the call to the end of the run, and its job; nothing else is measured."""
        schema_id = self._schema(name)["id"]
        asked = datetime.now(UTC)
        self._ground.client.reload(schema_id)
        jobs = self._await(asked, 1)
        return (_ended(jobs) - asked).total_seconds(), jobs[0]

    def dataset(self, name: str) -> ds.Dataset:
        return self.delta_table(name).to_pyarrow_dataset()

    def delta_table(self, name: str) -> DeltaTable:
        url = self._ground.client.schema(self._schema(name)["id"])["table"]["url_pattern"]
        return DeltaTable(url, storage_options=lake_options(self._ground.platform))

    def remove(self) -> None:
        """The source with its tables, and wait until the worker is idle again."""
        self._ground.client.delete_sources(f"{self._database}_")

    def _make(self, wishes: Sequence[Json]) -> None:
        source = self._ground.source
        inputs = source.inputs(self._database)
        self._source = self._ground.client.create(source.source_type, f"{self._database}_", inputs, wishes)

    def _timed(self, ask: Callable[[], None], runs: int) -> Cost:
        with self._ground.worker_measured(self._database) as cost:
            asked = datetime.now(UTC)
            ask()
            ended = _ended(self._await(asked, runs))
        # The end that the run itself noted: looking for it takes time, and is not part of it.
        cost.wall_seconds = (ended - asked).total_seconds()
        return cost

    def _await(self, asked: datetime, runs: int) -> list[Json]:
        """The jobs of so many runs that began since, all ended well."""
        deadline = time.monotonic() + self._patience.total_seconds()
        while True:
            looked = time.monotonic()
            jobs = self._ground.client.jobs(self._source, after=asked, limit=max(runs, 1))
            for job in jobs:
                if job["status"] not in ("Running", "Completed"):
                    name = job["schema"]["name"]
                    raise DemoError(f"The run of {name} ended as {job['status']}: {job['latest_error']}")
            if len(jobs) == runs and all(job["status"] == "Completed" for job in jobs):
                return jobs
            if time.monotonic() > deadline:
                raise DemoError(f"Only {len(jobs)} of {runs} runs began within {self._patience}, or some never ended.")
            if self._ground.stop.wait(max(_POLL_SECONDS, 4 * (time.monotonic() - looked))):
                raise DemoError("stopped")

    def _schema(self, name: str) -> Json:
        found: Json = next(schema for schema in self._source["schemas"] if schema["name"] == name)
        return found


def full_refresh(names: Sequence[str]) -> list[Json]:
    return [
        {"name": name, "should_sync": True, "sync_type": "full_refresh", "sync_frequency": "30day"} for name in names
    ]


def by_cursor(names: Sequence[str], sync_type: str, cursor: str) -> list[Json]:
    """``incremental`` or ``append``, by a cursor of type timestamp."""
    field = {"incremental_field": cursor, "incremental_field_type": "timestamp"}
    return [{**wish, "sync_type": sync_type, **field} for wish in full_refresh(names)]


def _ended(jobs: Sequence[Json]) -> datetime:
    return max(datetime.fromisoformat(job["finished_at"]) for job in jobs)
