"""The reconciler and the sweep: what they repair, and what is not theirs."""

import asyncio
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus

from activities.messages import ReconcileResult
from lake.storage import LakeStore
from scheduling.contract import RECONCILE, SWEEP, upkeep_id
from tests.integration.conftest import SourceDatabase
from tests.kit.operator import Operator
from tests.kit.platform import Platform, eventually, named

FULL = {"sync_type": "full_refresh", "sync_frequency": "24hour"}


def table(platform: Platform, database: SourceDatabase, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a')")
    source = platform.create_source(database.inputs, [{"name": "t", "should_sync": True, **FULL, **settings}])
    schema = named(source, "t")
    platform.wait_for_jobs(source, schema)
    return source, schema


def test_a_schedule_without_a_schema_goes_and_one_of_another_installation_stays(operator: Operator) -> None:
    stray, foreign = operator.add_schedule(operator.task_queue), operator.add_schedule("another-installation")
    try:
        eventually(lambda: operator.upkeep(RECONCILE, ReconcileResult).schedules_removed == 1, "the stray to go")
        assert operator.schedule(stray) is None
        assert operator.schedule(foreign) == (False, [timedelta(days=1)])
    finally:
        operator.delete_schedule(foreign)


def test_a_schedule_that_was_deleted_or_changed_by_hand_comes_back(
    own_platform: Platform, operator: Operator, database: SourceDatabase
) -> None:
    _, schema = table(own_platform, database, sync_frequency="1hour")

    def repaired() -> bool:
        """Temporal lists what was done by hand a little later."""
        return operator.upkeep(RECONCILE, ReconcileResult).schedules_repaired == 1

    operator.delete_schedule(schema["id"])
    eventually(repaired, "the schedule to be made again", patience_seconds=20)
    assert operator.schedule(schema["id"]) == (False, [timedelta(hours=1)])

    async def pause(client: Client) -> None:
        await client.get_schedule_handle(schema["id"]).pause()

    operator.do(pause)
    eventually(repaired, "the schedule to be as it should be", patience_seconds=20)
    assert operator.schedule(schema["id"]) == (False, [timedelta(hours=1)])
    assert operator.upkeep(RECONCILE, ReconcileResult) == ReconcileResult(0, 0, 0, 0)


def test_the_job_of_a_run_that_was_terminated_is_closed_and_the_next_run_is_right(
    own_platform: Platform, operator: Operator, database: SourceDatabase
) -> None:
    source, schema = table(own_platform, database)
    database.execute(
        "INSERT INTO t SELECT n, 'v' FROM generate_series(2, 100) n",
        "ALTER TABLE t RENAME TO rows",
        "CREATE VIEW t AS SELECT rows.* FROM rows, pg_sleep(600)",
    )
    own_platform.reload(schema)
    (running,) = eventually(
        lambda: [job for job in own_platform.jobs(source, schema) if job["status"] == "Running"], "the run"
    )

    async def terminate(client: Client) -> None:
        await client.get_workflow_handle(running["workflow_id"]).terminate("by hand")

    operator.do(terminate)
    assert operator.upkeep(RECONCILE, ReconcileResult).jobs_closed == 0, "a run this young may not be known yet"
    made_older(own_platform, running["id"])
    assert operator.upkeep(RECONCILE, ReconcileResult).jobs_closed == 1
    (closed,) = [job for job in own_platform.jobs(source, schema) if job["id"] == running["id"]]
    assert closed["status"] == "Failed"
    assert "terminated" in closed["latest_error"]

    database.execute("DROP VIEW t", "ALTER TABLE rows RENAME TO t")
    own_platform.sync(source, schema)
    statuses = [job["status"] for job in own_platform.jobs(source, schema)]
    assert statuses == ["Completed", "Completed", "Failed"]
    database.assert_in_lake(own_platform, schema)


def test_a_sweep_while_tables_are_in_use_takes_nothing_of_them(
    own_platform: Platform, operator: Operator, database: SourceDatabase
) -> None:
    _, schema = table(own_platform, database)
    assert operator.upkeep(SWEEP, int) == 0
    database.assert_in_lake(own_platform, schema)


def test_what_is_written_where_a_deleted_table_was_goes_with_a_later_sweep(
    own_platform: Platform, operator: Operator, database: SourceDatabase
) -> None:
    """By a worker that was cut off from Temporal, but not from the store, while the table was erased."""
    _, schema = table(own_platform, database)
    root, server = own_platform.environment["SYNCLINE_LAKE_URL"], database.store
    store = LakeStore(root, server.endpoint, server.access_key_id, server.secret_access_key, server.region)
    path = own_platform.schema(schema["id"])["table"]["url_pattern"].removeprefix(f"{root}/").rstrip("/")
    own_platform.call("DELETE", f"/external_data_schemas/{schema['id']}/", status=204)
    eventually(lambda: not list(store.list(path)), "the table to be erased")
    store.write(f"{path}/g1/late.parquet", b"late")
    assert operator.upkeep(SWEEP, int) == 0
    make_older(own_platform, "schema", "deleted_at", schema["id"], "-2 days")
    assert operator.upkeep(SWEEP, int) == 1
    assert list(store.list(path)) == []


def test_the_run_after_the_next_follows_a_restored_database(own_platform: Platform, database: SourceDatabase) -> None:
    """The table's log knows of newer runs and generations than a backup of the metadata does."""
    by_id = {"sync_type": "incremental", "incremental_field": "id", "incremental_field_type": "integer"}
    source, schema = table(own_platform, database, **by_id)
    own_platform.call("POST", f"/external_data_schemas/{schema['id']}/resync/")
    own_platform.wait_for_jobs(source, schema, 2)
    with metadata_of(own_platform) as connection:
        connection.execute("UPDATE schema_state SET fence = 0, generation = 1, position = NULL, sequence = 0")
    database.execute("INSERT INTO t VALUES (2, 'later')")
    job = own_platform.sync(source, schema)
    assert (job["status"], job["latest_error"]) == ("Failed", "A newer run of this schema took over.")
    job = own_platform.sync(source, schema)
    assert (job["status"], job["rows_synced"]) == ("Completed", 1)
    database.assert_in_lake(own_platform, schema)


def test_an_installation_looks_after_itself_on_a_schedule(operator: Operator) -> None:
    for workflow in (RECONCILE, SWEEP):
        schedule = upkeep_id(workflow, operator.task_queue)

        def made(schedule: str = schedule) -> bool:
            return operator.schedule(schedule) is not None

        eventually(made, schedule)

    async def trigger(client: Client) -> WorkflowExecutionStatus | None:
        handle = client.get_schedule_handle(upkeep_id(RECONCILE, operator.task_queue))
        await handle.trigger()
        while not (recent := (await handle.describe()).info.recent_actions):
            await asyncio.sleep(0.1)
        run: Any = recent[-1].action
        ended = client.get_workflow_handle(run.workflow_id)
        await ended.result()
        return (await ended.describe()).status

    assert operator.do(trigger) == WorkflowExecutionStatus.COMPLETED


def made_older(platform: Platform, job_id: str) -> None:
    """Give a job the age at which Temporal must know of its run."""
    make_older(platform, "job", "created_at", job_id, "-1 hour")


def make_older(platform: Platform, table_name: str, column: str, identity: str, by: str) -> None:
    """As if what a row of the metadata tells had happened earlier."""
    with metadata_of(platform) as connection:
        changed = connection.execute(
            f"UPDATE {table_name} SET {column} = datetime({column}, '{by}') WHERE id IN (?, ?)",
            (identity, uuid.UUID(identity).hex),
        )
        assert changed.rowcount == 1


@contextmanager
def metadata_of(platform: Platform) -> Iterator[sqlite3.Connection]:
    """A transaction on the installation's own metadata, behind its back."""
    path = platform.environment["SYNCLINE_DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        yield connection
