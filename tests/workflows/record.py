"""Record the histories that ``test_replay`` replays: ``python -m tests.workflows.record``.

Runs the platform on real servers and writes what Temporal has of each kind of run to ``histories/``. To be run on
released code, not on a change that the replay is to judge.
"""

import asyncio
import base64
import json
import platform as machine
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from metadata.migrate import migrate
from scheduling.contract import (
    RECONCILE,
    SCHEMA_ATTRIBUTE,
    SWEEP,
    SYNC_SCHEMA,
    WATCH_CAPTURES,
    capture_schedule_id,
    erase_workflow_id,
    remove_capture_workflow_id,
    upkeep_id,
)
from tests.integration.conftest import SourceDatabase
from tests.kit.platform import API_KEY, Platform, eventually, named, run_platform
from tests.kit.servers import MetadataTemplates, run_object_store, run_postgres, run_temporal

HISTORIES = Path(__file__).with_name("histories")
LONG_ROWS = 3_000_000
"""Two batches of a cursor read."""
LARGE_ROWS = 15_000_000
"""Long enough to be stopped in the middle."""

MOST_BYTES = 100_000
PATIENCE_SECONDS = 240.0
LOCAL = ("identity", "stackTrace")

# Suggested after this many events instead of thousands: the first batch of the large table reaches it.
SHORT_HISTORIES = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=10")

FULL = {"sync_type": "full_refresh"}
KEYED = {"sync_type": "incremental", "incremental_field": "id", "incremental_field_type": "integer"}


@dataclass
class Recorder:
    platform: Platform
    database: SourceDatabase
    temporal: Client
    loop: asyncio.AbstractEventLoop
    written: dict[str, str] = field(default_factory=dict)

    def wait(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def create(self, table: str, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        source = self.platform.create_source(self.database.inputs, [{"name": table, "should_sync": True, **settings}])
        return source, named(source, table)

    def act(self, schema: dict[str, Any], action: str) -> None:
        self.platform.call("POST", f"/external_data_schemas/{schema['id']}/{action}/")

    def runs(self, schema: dict[str, Any]) -> list[WorkflowExecution]:
        """Each part of each run of a schema, oldest first."""

        async def listed() -> list[WorkflowExecution]:
            query = f"{SCHEMA_ATTRIBUTE} = '{schema['id']}' AND WorkflowType = '{SYNC_SCHEMA}'"
            return [found async for found in self.temporal.list_workflows(query)]

        return sorted(self.wait(listed()), key=lambda run: run.start_time)

    def reading(self, source: dict[str, Any], schema: dict[str, Any]) -> None:
        eventually(
            lambda: any(
                job["status"] == "Running" and job["rows_synced"] for job in self.platform.jobs(source, schema)
            ),
            "a run that reads",
        )

    def record_runs(self, schema: dict[str, Any], *names: str) -> None:
        """Write the schema's newest runs, the last name being the newest."""

        def closed() -> list[WorkflowExecution]:
            found = self.runs(schema)
            running = any(run.status == WorkflowExecutionStatus.RUNNING for run in found)
            return [] if running or len(found) < len(names) else found

        for name, run in zip(
            names, eventually(closed, f"{names} to end", PATIENCE_SECONDS)[-len(names) :], strict=True
        ):
            self.record(name, run.id, run.run_id)

    def record(self, name: str, workflow_id: str, run_id: str | None = None) -> None:
        handle = self.temporal.get_workflow_handle(workflow_id, run_id=run_id)
        events = self.wait(handle.fetch_history()).to_json_dict()
        recorded = {"workflow_id": workflow_id, **_without_identities(events)}
        self._check(name, "\n".join(_texts(recorded)))
        text = json.dumps(recorded, indent=1) + "\n"
        assert len(text) < MOST_BYTES, f"{name} has {len(text):,} bytes"
        self.written[name] = text

    def _check(self, name: str, text: str) -> None:
        """Neither a secret nor anything of this machine belongs into the repository."""
        secret = [API_KEY, self.database.inputs["password"], self.database.store.secret_access_key]
        local = [f"@{machine.node()}", str(Path.home()), str(Path.cwd()), tempfile.gettempdir()]
        found = [word for word in (*secret, *local) if word in text]
        assert not found, f"{name} names {found}"


def record_modes(recorder: Recorder) -> None:
    platform, database = recorder.platform, recorder.database
    source, schema = recorder.create("small", FULL)
    platform.wait_for_jobs(source, schema, patience_seconds=PATIENCE_SECONDS)
    recorder.record_runs(schema, "full_refresh")

    source, schema = recorder.create("keyed", KEYED)
    platform.wait_for_jobs(source, schema)
    database.execute("INSERT INTO keyed SELECT n, 'new' FROM generate_series(2000, 2100) n")
    platform.sync(source, schema)
    platform.sync(source, schema)
    recorder.record_runs(schema, "incremental_first_load", "incremental_second_run", "incremental_without_news")
    recorder.act(schema, "resync")
    platform.wait_for_jobs(source, schema, 4)
    recorder.record_runs(schema, "incremental_rebuild")
    database.execute("DROP TABLE keyed")
    platform.sync(source, schema)
    recorder.record_runs(schema, "failed")


def record_stops(recorder: Recorder) -> None:
    platform = recorder.platform
    source, schema = recorder.create("large", FULL)
    recorder.reading(source, schema)
    recorder.act(schema, "cancel")
    platform.wait_for_jobs(source, schema)
    recorder.record_runs(schema, "cancelled")

    recorder.act(schema, "reload")
    recorder.reading(source, schema)
    recorder.wait(recorder.temporal.get_workflow_handle(recorder.runs(schema)[-1].id).cancel())
    platform.wait_for_jobs(source, schema, 2)
    recorder.record_runs(schema, "cancelled_in_temporal")

    recorder.act(schema, "reload")
    recorder.reading(source, schema)
    recorder.act(schema, "resync")
    platform.wait_for_jobs(source, schema, 4)
    recorder.record_runs(schema, "resync_stopped", "resync_rebuild")


def record_long_run(recorder: Recorder) -> None:
    source, schema = recorder.create("long", KEYED)
    recorder.platform.wait_for_jobs(source, schema)
    recorder.record_runs(schema, "long_run_first_part", "long_run_second_part")


def record_upkeep(recorder: Recorder) -> None:
    platform = recorder.platform
    source, schema = recorder.create("small", FULL)
    platform.wait_for_jobs(source, schema)
    platform.stop()
    recorder.act(schema, "reload")
    eventually(lambda: len(recorder.runs(schema)) == 2, "the run to be started")
    platform.call("DELETE", f"/external_data_schemas/{schema['id']}/", status=204)
    platform.start_worker()
    recorder.record_runs(schema, "schema_gone")
    erasing = recorder.temporal.get_workflow_handle(erase_workflow_id(schema["id"]))
    recorder.wait(erasing.result())
    recorder.record("erase_table", erasing.id)
    for workflow in (RECONCILE, SWEEP, WATCH_CAPTURES):
        recorder.record(workflow.lower(), recorder.wait(_ended_upkeep(recorder, workflow)))


def record_capture(recorder: Recorder) -> None:
    platform, database = recorder.platform, recorder.database
    source = platform.create_source(database.inputs, [])
    schema, path = named(source, "captured"), f"/external_data_sources/{source['id']}"
    platform.call("POST", f"{path}/enable_cdc/", {"cdc_continuous": True})
    settings = {"should_sync": True, "sync_type": "cdc", "sync_frequency": "never"}
    platform.call("PATCH", f"/external_data_schemas/{schema['id']}/", settings)
    platform.sync(source, schema)
    database.execute("UPDATE captured SET v = 'changed' WHERE id < 50")
    platform.sync(source, schema)
    recorder.record_runs(schema, "cdc_first_load", "cdc_changes")
    platform.call("POST", f"{path}/update_cdc_settings/", {"cdc_continuous": False})
    recorder.record("capture_changes", recorder.wait(_ended(recorder, capture_schedule_id(source["id"]))))
    platform.call("DELETE", f"{path}/", status=204)
    removing = recorder.temporal.get_workflow_handle(remove_capture_workflow_id(source["id"]))
    recorder.wait(removing.result())
    recorder.record("remove_capture", removing.id)


async def _ended_upkeep(recorder: Recorder, workflow: str) -> str:
    return await _ended(recorder, upkeep_id(workflow, recorder.platform.environment["SYNCLINE_TASK_QUEUE"]))


async def _ended(recorder: Recorder, schedule: str) -> str:
    """The newest run of a schedule, which has ended."""
    handle = recorder.temporal.get_schedule_handle(schedule)
    await handle.trigger()
    while not (recent := (await handle.describe()).info.recent_actions):
        await asyncio.sleep(0.05)
    run: Any = recent[-1].action
    await recorder.temporal.get_workflow_handle(run.workflow_id).result()
    return str(run.workflow_id)


def _without_identities(value: Any) -> Any:
    """Who polled and called and where code lay says nothing to a replay, but names the machine; so do sticky queues."""
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if key not in LOCAL and not _is_sticky_queue(inner)}
        return {key: _without_identities(inner) for key, inner in kept.items()}
    return [_without_identities(inner) for inner in value] if isinstance(value, list) else value


def _is_sticky_queue(value: Any) -> bool:
    return isinstance(value, dict) and value.get("kind") == "TASK_QUEUE_KIND_STICKY"


def _texts(value: Any) -> Iterator[str]:
    """Every text in a history, those of its payloads too, which are written in base 64."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "data" and isinstance(inner, str):
                yield base64.b64decode(inner).decode()
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    else:
        yield str(value)


@contextmanager
def recorder_on_real_servers() -> Iterator[Recorder]:
    with (
        tempfile.TemporaryDirectory() as name,
        run_temporal(options=SHORT_HISTORIES) as temporal,
        run_object_store() as store,
        run_postgres(18, wal_level="logical") as server,
    ):
        folder = Path(name)
        metadata_url = MetadataTemplates(folder, migrate).sqlite_copy(folder / "metadata.db")
        database = SourceDatabase(server, server.create_database(), store)
        loop = asyncio.new_event_loop()
        client = loop.run_until_complete(Client.connect(temporal.address))
        with run_platform(folder, metadata_url, store.new_url(), temporal, store) as platform:
            yield Recorder(platform, database, client, loop)


def main() -> None:
    with recorder_on_real_servers() as recorder:
        tables = {"small": 100, "keyed": 1000, "captured": 1000, "long": LONG_ROWS, "large": LARGE_ROWS}
        for table, rows in tables.items():
            recorder.database.execute(
                f"CREATE TABLE {table} (id bigint PRIMARY KEY, v text)",
                f"INSERT INTO {table} SELECT n, 'v' || n FROM generate_series(1, {rows}) n",
            )
        for record in (record_capture, record_modes, record_stops, record_long_run, record_upkeep):
            record(recorder)
    HISTORIES.mkdir(exist_ok=True)
    for old in HISTORIES.glob("*.json"):
        old.unlink()
    for name, text in recorder.written.items():
        (HISTORIES / f"{name}.json").write_text(text)
        print(f"{name}: {len(text):,} bytes")


if __name__ == "__main__":
    main()
