import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import select

from metadata.errors import EraseUnfinishedError, NotFoundError
from metadata.intents import CapturePlace
from metadata.models import CursorFieldType, Job, LakeTable, Project, Schema, SchemaState, SyncType, TableKind, utc_now
from metadata.runs import SUPERSEDED, BegunRun, Finished, Runs, SavedTable
from metadata.schemas import holding_data, tables_of
from metadata.tables import find_tables, table_names
from tests.metadata.conftest import Workshop

FINE = Finished(disabled=False, schema_gone=False)


def begin(runs: Runs, schema: Schema, run: str = "run-1") -> BegunRun:
    begun = runs.begin(schema.project_id, str(schema.id), f"{schema.id}-workflow", run, "schedule")
    assert begun is not None
    return begun


def fail(runs: Runs, schema: Schema, run: str, **how: Any) -> Finished:
    return runs.finish(begin(runs, schema, run).job_id, "Failed", "The table is gone.", **({"retryable": False} | how))


def job(workshop: Workshop, begun: BegunRun) -> Job:
    found: Job = workshop.fresh(Job, uuid.UUID(begun.job_id))
    return found


def schema_now(workshop: Workshop, schema: Schema) -> Schema:
    found: Schema = workshop.fresh(Schema, schema.id)
    return found


def state(workshop: Workshop, schema: Schema) -> SchemaState:
    found: SchemaState = workshop.fresh(SchemaState, schema.id)
    return found


TABLE = SavedTable("n", "p", 1, 1, [])


def commit(runs: Runs, schema: Schema, position: dict[str, Any], table: SavedTable = TABLE) -> None:
    runs.committed(schema.project_id, str(schema.id), position, table)


def position(sequence: int, generation: int = 1, fence: int = 1) -> dict[str, Any]:
    told = {"sequence": sequence, "generation": generation, "fence": fence}
    return {**told, "cursor": f"c{sequence}", "primary_key": ["id"]}


# What a run is to do


def test_the_intent_says_all_that_a_run_needs(workshop: Workshop, runs: Runs) -> None:
    source = workshop.source(prefix="Shop_")
    schema = workshop.schema(
        source,
        name="public.Orders",
        sync_type=SyncType.INCREMENTAL,
        incremental_field="updated_at",
        incremental_field_type=CursorFieldType.TIMESTAMP,
        incremental_lookback_seconds=60,
        primary_key_columns=["a", "b"],
        enabled_columns=["c"],
        row_filter=[{"column": "c", "op": ">", "value": 1}],
        type_overrides={"c": "string"},
        discovered={"primary_key": ["id"], "columns": [{"name": "id"}, {"name": "c"}]},
    )
    intent = runs.intent(workshop.project_id, str(schema.id))
    assert intent is not None
    assert intent.__dict__ == {
        "project_id": workshop.project_id,
        "source_id": str(source.id),
        "schema_id": str(schema.id),
        "source_type": "postgres",
        "schema_name": "public.Orders",
        "table_name": "shop_postgres_public_orders",
        "table_path": f"project_{workshop.project_id}/shop_postgres_public_orders_{schema.id.hex[:12]}",
        "sync_type": "incremental",
        "should_sync": True,
        "incremental_field": "updated_at",
        "incremental_field_type": "timestamp",
        "lookback_seconds": 60,
        "primary_key": ("a", "b"),
        "key_detected": False,
        "available_columns": frozenset({"id", "c"}),
        "enabled_columns": ("c",),
        "row_filter": ({"column": "c", "op": ">", "value": 1},),
        "type_overrides": {"c": "string"},
        "generation": 1,
        "fence": 0,
        "erase_pending": False,
        "position": None,
        "repeat": None,
        "asked_at": None,
        "capture": None,
        "webhook_only": False,
    }
    assert type(intent.sync_type) is str


def test_a_run_of_cdc_knows_the_capture_of_its_source(workshop: Workshop, runs: Runs) -> None:
    source = workshop.source()
    schema = workshop.schema(source, sync_type=SyncType.CDC, cdc_table_mode="both")

    def place() -> CapturePlace | None:
        begun = begin(runs, schema).intent
        intent = runs.intent(workshop.project_id, str(schema.id))
        assert intent is not None
        assert intent.capture == begun.capture
        return intent.capture

    assert place() is None
    capture = workshop.capture(source, epoch=3, sequence=7, position=2**40, delete_mode="soft")
    expected = CapturePlace(
        slot=capture.slot_name,
        publication=capture.publication_name,
        managed=True,
        epoch=3,
        sequence=7,
        position=2**40,
        delete_mode="soft",
        table_mode="both",
    )
    assert place() == expected
    workshop.change(schema, cdc_delete_mode="hard")
    assert place() == replace(expected, delete_mode="hard")
    workshop.change(schema, sync_type=SyncType.FULL_REFRESH)
    assert place() is None
    workshop.change(schema, sync_type=SyncType.CDC)
    workshop.change(capture, removing=True)
    assert place() is None


@pytest.mark.parametrize(("discovered", "key"), [({"primary_key": ["id"]}, ("id",)), ({}, ())])
def test_without_a_choice_the_discovered_key_holds(
    workshop: Workshop, runs: Runs, discovered: dict[str, Any], key: tuple[str, ...]
) -> None:
    intent = runs.intent(workshop.project_id, str(workshop.schema(discovered=discovered, enabled_columns=[]).id))
    assert intent is not None
    assert (intent.primary_key, intent.enabled_columns, intent.row_filter) == (key, (), ())


@pytest.mark.parametrize("gone", ["schema", "source", "project"])
def test_nothing_is_known_of_what_is_gone(workshop: Workshop, runs: Runs, gone: str) -> None:
    source = workshop.source()
    schema = workshop.schema(source)
    project = workshop.fresh(Project, workshop.project_id)
    workshop.change({"schema": schema, "source": source, "project": project}[gone], deleted_at=utc_now())
    assert runs.intent(workshop.project_id, str(schema.id)) is None
    assert runs.begin(workshop.project_id, str(schema.id), "w", "r", "manual") is None
    assert runs.schedule_intent(str(schema.id)) is None
    with pytest.raises(NotFoundError):
        runs.inputs(workshop.project_id, str(schema.id))
    commit(runs, schema, position(1))
    with workshop.database.read() as session:
        assert session.exec(select(LakeTable)).all() == []


def test_another_project_and_a_malformed_id_find_nothing(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    assert runs.intent(workshop.project(), str(schema.id)) is None
    assert runs.intent(workshop.project_id, "no-uuid") is None
    assert runs.intent(workshop.project_id, str(uuid.uuid4())) is None


def test_the_inputs_come_decrypted(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema(workshop.source(inputs={"password": "s3cret", "port": 5432}))
    assert runs.inputs(workshop.project_id, str(schema.id)) == {"password": "s3cret", "port": 5432}


# Beginning


def test_a_run_begins_with_a_job_and_a_fence(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    begun = begin(runs, schema)
    written = job(workshop, begun)
    assert (written.status, written.fence, written.generation, written.trigger) == ("Running", 1, 1, "schedule")
    assert (begun.intent.fence, state(workshop, schema).fence) == (1, 1)
    assert schema_now(workshop, schema).status == "Running"


def test_beginning_twice_is_beginning_once_even_after_a_newer_run(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    first = begin(runs, schema, "run-1")
    assert begin(runs, schema, "run-1") == first
    newer = begin(runs, schema, "run-2")
    again = begin(runs, schema, "run-1")
    assert (again.job_id, again.intent.fence) == (first.job_id, 1)
    assert newer.intent.fence == 2
    assert job(workshop, newer).status == "Running"


def test_a_newer_run_ends_the_jobs_of_the_older(workshop: Workshop, runs: Runs) -> None:
    schema, other = workshop.schema(), workshop.schema()
    older, elsewhere = begin(runs, schema, "run-1"), begin(runs, other)
    begin(runs, schema, "run-2")
    ended = job(workshop, older)
    assert (ended.status, ended.latest_error) == ("Failed", SUPERSEDED)
    assert ended.finished_at is not None
    assert job(workshop, elsewhere).status == "Running"
    assert schema_now(workshop, schema).failures_in_a_row == 0


def test_no_two_runs_that_begin_at_once_share_a_fence(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    with workshop.database.transaction() as session:
        session.delete(session.get_one(SchemaState, schema.id))
    together = threading.Barrier(6)

    def start(number: int) -> BegunRun:
        together.wait(30)
        return begin(runs, schema, f"run-{number % 3}")

    with ThreadPoolExecutor(6) as pool:
        begun = list(pool.map(start, range(6)))
    assert [begun[n].job_id for n in range(3)] == [begun[n + 3].job_id for n in range(3)]
    assert sorted({run.intent.fence for run in begun}) == [1, 2, 3]
    newest = max(begun, key=lambda run: run.intent.fence)
    assert runs.live_job_ids(str(schema.id)) == {newest.job_id}


def test_no_run_begins_while_old_data_waits_to_be_erased(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    first = begin(runs, schema, "run-1")
    workshop.change(state(workshop, schema), erase_pending=True, generation=2)
    with pytest.raises(EraseUnfinishedError):
        begin(runs, schema, "run-2")
    assert begin(runs, schema, "run-1").job_id == first.job_id
    runs.erased(str(schema.id), 2)
    assert begin(runs, schema, "run-2").intent.fence == 2


def test_a_rebuild_of_its_own_accord_raises_the_generation_once(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    begun = begin(runs, schema)
    assert [runs.raise_generation(begun.job_id, above=1) for _ in range(2)] == [2, 2]
    assert begin(runs, schema).intent.generation == 2
    assert runs.raise_generation(begun.job_id, above=2) == 3


# On the way


def test_progress_shows_absolute_figures_while_the_job_runs(workshop: Workshop, runs: Runs) -> None:
    begun = begin(runs, workshop.schema())
    runs.progress(begun.job_id, 10, 5_000_000_000, 100)
    runs.progress(begun.job_id, 30, None, 6_000_000_000)
    running = job(workshop, begun)
    assert (running.rows_synced, running.rows_to_sync, running.bytes_written) == (30, None, 6_000_000_000)
    runs.finish(begun.job_id, "Completed")
    runs.progress(begun.job_id, 99, 99, 99)
    assert job(workshop, begun).rows_synced == 30


def test_the_progress_of_parts_is_their_sum(workshop: Workshop, runs: Runs) -> None:
    begun = begin(runs, workshop.schema())
    runs.part_progress(begun.job_id, 0, 10, 100, 1000)
    runs.part_progress(begun.job_id, 1, 20, 100, 2000)
    runs.part_progress(begun.job_id, 0, 5, 100, 500)
    running = job(workshop, begun)
    assert (running.rows_synced, running.rows_to_sync, running.bytes_written) == (25, 100, 2500)
    runs.finish(begun.job_id, "Completed")
    runs.part_progress(begun.job_id, 2, 99, 99, 99)
    assert job(workshop, begun).rows_synced == 25


def test_a_position_never_goes_backwards(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    told = [position(1), position(3), position(2), position(4, generation=2), position(9), position(5, generation=2)]
    kept = [1, 3, 3, 4, 4, 5]
    for committed, sequence in zip(told, kept, strict=True):
        commit(runs, schema, committed)
        found = state(workshop, schema)
        assert found.position is not None
        assert (found.sequence, found.position["sequence"]) == (sequence, sequence)
    assert found.position == position(5, generation=2)


def test_a_position_follows_a_table_that_was_put_back_from_a_backup(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    for committed in (position(9, fence=20), position(6, fence=21)):
        commit(runs, schema, committed)
    found = state(workshop, schema)
    assert (found.sequence, found.position) == (6, position(6, fence=21))


def test_a_read_without_news_is_remembered_until_the_next_one(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    for repeat, kept in [(None, None), ("one", "one"), (None, "one"), ("two", "two")]:
        runs.committed(workshop.project_id, str(schema.id), position(1), TABLE, repeat)
        intent = runs.intent(workshop.project_id, str(schema.id))
        assert intent is not None
        assert intent.repeat == kept


def test_a_table_is_known_from_its_first_commit_and_brought_up_to_date(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    columns = [{"name": "id", "type": "long"}]
    for rows in (10, 20):
        commit(runs, schema, position(1), SavedTable("orders", "project_1/orders", rows, 10**12, columns))
    with workshop.database.read() as session:
        table = session.exec(select(LakeTable)).one()
    assert (table.row_count, table.size_bytes, table.columns) == (20, 10**12, columns)
    assert table.updated_at > table.created_at


def test_a_history_is_a_table_of_its_own_beside_the_main_one(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    history = SavedTable("orders_cdc", "project_1/orders_cdc", 30, 300, [], TableKind.HISTORY)
    for _ in range(2):
        commit(runs, schema, position(3))
        runs.committed(workshop.project_id, str(schema.id), None, history)
    assert state(workshop, schema).position == position(3)
    with workshop.database.read() as session:
        tables = {table.kind: (table.name, table.row_count) for table in session.exec(select(LakeTable))}
        assert tables == {"history": ("orders_cdc", 30), "main": (TABLE.name, TABLE.row_count)}
        found = find_tables(session, workshop.project_id, ["orders_cdc", TABLE.name])
        assert {table.name for table in found} == {"orders_cdc", TABLE.name}
        assert set(table_names(session, workshop.project_id, 10)) == {"orders_cdc", TABLE.name}


def test_the_table_of_a_schema_is_its_main_one_unless_it_has_a_history_only(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema(sync_type=SyncType.CDC)
    runs.committed(workshop.project_id, str(schema.id), None, replace(TABLE, kind=TableKind.HISTORY))
    for mode, shown in [("consolidated", []), ("both", []), ("cdc_only", ["history"])]:
        workshop.change(schema, cdc_table_mode=mode)
        with workshop.database.read() as session:
            schemas = [session.get_one(Schema, schema.id)]
            assert [table.kind for table in tables_of(session, schemas).values()] == shown
            assert holding_data(session, schemas) == {schema.id}
    workshop.change(schema, sync_type=SyncType.FULL_REFRESH)
    with workshop.database.read() as session:
        assert tables_of(session, [session.get_one(Schema, schema.id)]) == {}


def test_an_erasure_forgets_where_the_table_stood(workshop: Workshop, runs: Runs) -> None:
    schema, other = workshop.schema(), workshop.schema()
    for known in (schema, other):
        commit(runs, known, position(7))
    workshop.change(state(workshop, schema), erase_pending=True, generation=2)
    workshop.change(schema, deleted_at=utc_now())
    runs.erased(str(schema.id), 1)
    assert state(workshop, schema).erase_pending, "another erasure than the one that waits"
    for _ in range(2):
        runs.erased(str(schema.id), 2)
    after = state(workshop, schema)
    assert (after.erase_pending, after.position, after.sequence, after.generation) == (False, None, 0, 2)
    assert state(workshop, other).position == position(7)
    with workshop.database.read() as session:
        assert [table.schema_id for table in session.exec(select(LakeTable))] == [other.id]
    workshop.change(schema, deleted_at=None)
    commit(runs, schema, position(1, generation=2))
    assert state(workshop, schema).sequence == 1


# The end


def test_a_success_shows_at_the_schema(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    fail(runs, schema, "run-1")
    begun = begin(runs, schema, "run-2")
    warnings = [{"column": "c", "reason": "NaN", "count": 2}]
    assert runs.finish(begun.job_id, "Completed", None, warnings, rows_synced=5, bytes_written=50) == FINE
    ended, shown = job(workshop, begun), schema_now(workshop, schema)
    assert (ended.status, ended.warnings, ended.rows_synced, ended.bytes_written) == ("Completed", warnings, 5, 50)
    assert ended.finished_at is not None
    assert (shown.status, shown.latest_error, shown.failures_in_a_row) == ("Completed", None, 0)
    assert shown.last_synced_at == ended.created_at


def test_the_first_outcome_stays(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    begun = begin(runs, schema)
    runs.finish(begun.job_id, "Cancelled", rows_synced=3)
    before = job(workshop, begun)
    assert runs.finish(begun.job_id, "Failed", "late", retryable=False, rows_synced=9) == FINE
    assert job(workshop, begun) == before
    shown = schema_now(workshop, schema)
    assert (shown.status, shown.latest_error, shown.failures_in_a_row) == ("Cancelled", None, 0)


def test_three_failures_that_nothing_mends_disable_the_schema(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    assert fail(runs, schema, "run-1") == FINE
    assert fail(runs, schema, "run-2", retryable=True) == FINE
    assert fail(runs, schema, "run-3", own_error=True) == FINE
    runs.finish(begin(runs, schema, "run-4").job_id, "Cancelled")
    assert fail(runs, schema, "run-5") == FINE
    assert schema_now(workshop, schema).failures_in_a_row == 2
    disabled = Finished(disabled=True, schema_gone=False)
    assert fail(runs, schema, "run-6") == disabled
    assert fail(runs, schema, "run-6") == disabled
    shown = schema_now(workshop, schema)
    assert (shown.should_sync, shown.status, shown.latest_error) == (False, "Failed", "The table is gone.")


def test_a_success_in_between_starts_the_count_again(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    for round_number in range(3):
        fail(runs, schema, f"bad-{round_number}-a")
        fail(runs, schema, f"bad-{round_number}-b")
        runs.finish(begin(runs, schema, f"good-{round_number}").job_id, "Completed")
    assert schema_now(workshop, schema).should_sync


def test_a_superseded_run_says_nothing_of_the_schema(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    older = begin(runs, schema, "run-1")
    begin(runs, schema, "run-2")
    assert runs.finish(older.job_id, "Failed", "late", retryable=False) == FINE
    assert job(workshop, older).latest_error == SUPERSEDED
    assert schema_now(workshop, schema).status == "Running"


def test_a_run_ends_though_its_schema_is_gone(workshop: Workshop, runs: Runs) -> None:
    schema = workshop.schema()
    begun = begin(runs, schema)
    workshop.change(schema, deleted_at=utc_now())
    assert runs.finish(begun.job_id, "Cancelled") == Finished(disabled=False, schema_gone=True)
    assert job(workshop, begun).status == "Cancelled"


def test_an_unknown_job_and_an_end_that_is_none_are_refused(workshop: Workshop, runs: Runs) -> None:
    for unknown in (str(uuid.uuid4()), "no-uuid"):
        with pytest.raises(NotFoundError):
            runs.finish(unknown, "Completed")
    begun = begin(runs, workshop.schema())
    for status in ("Running", "Paused"):
        with pytest.raises(ValueError, match=r"Paused|running"):
            runs.finish(begun.job_id, status)
