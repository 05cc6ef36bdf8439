"""The lines of runs: exactly one beginning and end, bounds, retention, and what goes with a deleted schema."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from metadata import logs
from metadata.database import Database
from metadata.logs import LEFT_OUT, MOST_LINES_OF_RUN, Line, LogFilter, RunLogs, list_lines
from metadata.models import Job, JobLog, LogLevel, Schema, SyncType
from metadata.runs import SUPERSEDED, Runs
from metadata.schemas import delete_schemas
from tests.metadata.conftest import Workshop

NOON = datetime(2020, 3, 1, 12, tzinfo=UTC)


def begin(runs: Runs, schema: Schema, run_id: str = "r1") -> str:
    begun = runs.begin(schema.project_id, str(schema.id), f"wf-{schema.id}", run_id, "manual")
    assert begun is not None
    return begun.job_id


def lines(database: Database, schema: Schema) -> list[JobLog]:
    """Oldest first."""
    with database.read() as session:
        _, found = list_lines(session, schema.id, LogFilter(), 10_000, 0)
    return found[::-1]


def told(database: Database, schema: Schema) -> list[tuple[str, str]]:
    return [(line.level, line.message) for line in lines(database, schema)]


def test_a_run_begins_and_ends_once(runs: Runs, workshop: Workshop) -> None:
    schema = workshop.schema(sync_type=SyncType.APPEND)
    job_id = begin(runs, schema)
    assert begin(runs, schema) == job_id
    warnings = [{"column": "born", "reason": "infinity", "count": 1200}]
    for _ in range(2):
        runs.finish(job_id, "Completed", warnings=warnings, rows_synced=5000, bytes_written=70_000)
    begun, values, finished = lines(workshop.database, schema)
    assert (begun.message, begun.fields) == (
        "Run started by hand: append.",
        {"event": "started", "trigger": "manual", "mode": "append"},
    )
    assert (values.level, values.message) == ("warning", "Column born, 1,200 values: infinity.")
    assert values.fields == {"event": "values", **warnings[0]}
    job = workshop.fresh(Job, begun.job_id)
    seconds = (job.finished_at - job.created_at).total_seconds()
    assert finished.message == f"Run completed in {seconds:.1f} s: 5,000 rows, 70,000 bytes written."
    assert finished.fields == {
        "event": "finished",
        "status": "Completed",
        "rows_synced": 5000,
        "bytes_written": 70_000,
        "seconds": round(seconds, 3),
        "error": None,
    }


def test_a_run_that_fails_and_one_that_is_cancelled(runs: Runs, workshop: Workshop) -> None:
    schema = workshop.schema()
    runs.finish(begin(runs, schema, "r1"), "Failed", error="The disk is full.")
    runs.finish(begin(runs, schema, "r2"), "Cancelled")
    _, failed, _, cancelled = told(workshop.database, schema)
    assert failed[0] == "error"
    assert failed[1].endswith("The disk is full.")
    assert cancelled[0] == "info"
    assert cancelled[1].startswith("Run cancelled after")


def test_a_run_whose_place_is_taken_ends_too(runs: Runs, workshop: Workshop) -> None:
    schema = workshop.schema()
    first = begin(runs, schema, "r1")
    second = begin(runs, schema, "r2")
    found = lines(workshop.database, schema)
    assert [(str(line.job_id), line.fields["event"]) for line in found] == [
        (first, "started"),
        (first, "finished"),
        (second, "started"),
    ]
    assert found[1].fields["error"] == SUPERSEDED


def test_a_run_writes_so_many_lines_and_its_end(
    runs: Runs, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_LINES_OF_RUN", 5)
    schema, written = workshop.schema(), RunLogs(workshop.database)
    job_id = begin(runs, schema)
    for number in range(3):
        written.write(job_id, Line(f"{number}a"), Line(f"{number}b"))
    runs.finish(job_id, "Completed")
    texts = [text for _, text in told(workshop.database, schema)]
    assert texts[1:-1] == ["0a", "0b", "1a", LEFT_OUT]
    assert texts[-1].startswith("Run completed")
    assert MOST_LINES_OF_RUN == 1000


def test_a_line_of_an_unknown_job_is_nobodys(workshop: Workshop) -> None:
    RunLogs(workshop.database).write("no-id", Line("Lost."))
    with workshop.database.read() as session:
        assert session.exec(select(JobLog)).all() == []


def add(workshop: Workshop, job_id: str, **fields: Any) -> None:
    job = workshop.fresh(Job, logs.parse_id(job_id))
    with workshop.database.transaction() as session:
        session.add(JobLog(project_id=job.project_id, schema_id=job.schema_id, job_id=job.id, **fields))


def test_old_lines_go_in_portions(runs: Runs, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "DELETED_AT_ONCE", 3)
    job_id = begin(runs, workshop.schema())
    for minute in range(-7, 2):
        add(workshop, job_id, at=NOON + timedelta(minutes=minute), message=f"{minute}")
    assert RunLogs(workshop.database).delete_before(NOON) == 7
    assert RunLogs(workshop.database).delete_before(NOON) == 0
    with workshop.database.read() as session:
        left = session.exec(select(JobLog.message).order_by(col(JobLog.at))).all()
    assert left[:2] == ["0", "1"]
    assert len(left) == 3


def test_lines_go_with_a_deleted_schemas_data_and_stay_with_a_live_ones(runs: Runs, workshop: Workshop) -> None:
    kept, gone = workshop.schema(), workshop.schema()
    for schema in (kept, gone):
        runs.finish(begin(runs, schema), "Completed")
    with workshop.database.transaction() as session:
        delete_schemas(session, [session.get_one(Schema, gone.id)])
    runs.erased(str(kept.id), 1)
    assert len(lines(workshop.database, kept)) == len(lines(workshop.database, gone)) == 2
    runs.erased(str(gone.id), 2)
    assert lines(workshop.database, gone) == []
    assert len(lines(workshop.database, kept)) == 2


def test_lines_of_one_moment_keep_their_order_over_pages(runs: Runs, workshop: Workshop) -> None:
    schema = workshop.schema()
    job_id = begin(runs, schema)
    for number in range(20):
        level = LogLevel.ERROR if number % 2 else LogLevel.INFO
        add(workshop, job_id, at=NOON, message=f"{number}", level=level)
    wanted = LogFilter(levels=(LogLevel.ERROR,), before=NOON + timedelta(seconds=1), job_id=logs.parse_id(job_id))
    with workshop.database.read() as session:
        pages = [list_lines(session, schema.id, wanted, 3, offset) for offset in range(0, 12, 3)]
    assert {count for count, _ in pages} == {10}
    assert [line.message for _, page in pages for line in page] == [f"{number}" for number in range(19, 0, -2)]
