"""What steps write into a run's log, into a real database."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from activities.messages import Extracted, ExtractInput, Plan, Run
from activities.reading import Read
from activities.run_log import RunLog
from lake.facts import Debt, TableFacts
from lake.position import Position
from lake.publish import Published
from metadata.database import Database
from metadata.logs import LogFilter, RunLogs, list_lines
from metadata.models import Project, Schema, Source, SyncType
from metadata.runs import Runs
from metadata.vault import Vault, generate_key

POSITION = Position(version=7)
PLAN = Plan(generation=1, rebuild=False, base={})
FACTS = TableFacts(0, 0, [], Debt())
PUBLISHED = Published(POSITION, FACTS, rows_added=1200, rows_changed=3, bytes_written=4096)


@pytest.fixture
def database(sqlite_metadata_url: str) -> Iterator[Database]:
    database = Database(sqlite_metadata_url)
    yield database
    database.dispose()


@pytest.fixture
def run(database: Database) -> Run:
    """A run that has begun."""
    vault = Vault([generate_key()])
    with database.transaction() as session:
        project = Project(name="mine")
        session.add(project)
        session.flush()
        assert project.id is not None
        source = Source(project_id=project.id, source_type="Postgres", encrypted_inputs=vault.encrypt({}))
        session.add(source)
        session.flush()
        schema = Schema(
            project_id=project.id, source_id=source.id, name="t", should_sync=True, sync_type=SyncType.FULL_REFRESH
        )
        session.add(schema)
    begun = Runs(database, vault).begin(project.id, str(schema.id), "w", "r", "schedule")
    assert begun is not None
    return Run(
        project_id=project.id,
        source_id=str(source.id),
        schema_id=str(schema.id),
        source_type="Postgres",
        schema_name="t",
        table_name="postgres_t",
        table_path="t",
        job_id=begun.job_id,
        fence=1,
        generation=1,
        mode="full_refresh",
    )


@pytest.fixture
def run_log(database: Database) -> RunLog:
    return RunLog(RunLogs(database))


def told(database: Database, run: Run) -> list[tuple[str, str]]:
    """Level and message of what came after the run's beginning, oldest first."""
    with database.read() as session:
        _, found = list_lines(session, uuid.UUID(run.schema_id), LogFilter(), 100, 0)
    assert str(found[-1].job_id) == run.job_id
    return [(line.level, line.message) for line in found[-2::-1]]


def test_a_first_attempt_needs_no_words_and_a_later_one_says_why(database: Database, run_log: RunLog, run: Run) -> None:
    order = ExtractInput(run, PLAN, batch=0)
    run_log.reading_again(order, 1)
    run_log.reading_again(order, 2)
    run_log.reading_again(replace(order, narrow=True), 1)
    assert told(database, run) == [
        ("info", "Reading batch 1 again, attempt 2."),
        ("info", "Reading batch 1 again in small steps, for it did not fit into the memory, attempt 1."),
    ]


@pytest.mark.parametrize(
    ("published", "rebuild", "message"),
    [
        (PUBLISHED, False, "Batch 3 published: 1,200 rows added, 3 changed in the table, 4,096 bytes."),
        (PUBLISHED, True, "Batch 3 published: 1,200 rows added, 3 changed in the rebuild, 4,096 bytes."),
        (Published(POSITION, FACTS, nothing_new=True), False, "Batch 3 had nothing new for the table."),
        (
            Published(POSITION, FACTS, already_done=True),
            False,
            "Batch 3 was in the table already: an earlier attempt had published it.",
        ),
    ],
)
def test_what_became_of_a_batch(
    database: Database, run_log: RunLog, run: Run, published: Published, rebuild: bool, message: str
) -> None:
    plan = replace(PLAN, rebuild=rebuild)
    run_log.published(run, plan, 2, published)
    assert told(database, run) == [("info", message)]


def test_a_short_batch_is_told_as_read_and_as_published(database: Database, run_log: RunLog, run: Run) -> None:
    extracted = Extracted("", rows=1203, size_bytes=4096, more=False)
    run_log.read(ExtractInput(run, PLAN, batch=0), PLAN, Read(extracted, PUBLISHED), time.monotonic())
    assert told(database, run) == [
        ("info", "Batch 1 read: 1,203 rows, 4,096 bytes in 0.0 s."),
        ("info", "Batch 1 published: 1,200 rows added, 3 changed in the table, 4,096 bytes."),
    ]


@pytest.mark.parametrize(("goes_on", "level"), [(True, "warning"), (False, "error")])
def test_a_failed_attempt(database: Database, run_log: RunLog, run: Run, goes_on: bool, level: str) -> None:
    run_log.attempt_failed(run, "publish", 4, "lake", "The lake is away.", goes_on=goes_on)
    assert told(database, run) == [(level, "Attempt 4 of the step publish failed: The lake is away.")]


def test_a_log_that_cannot_be_written_stops_nobody(database: Database, run_log: RunLog, run: Run) -> None:
    with database.transaction() as session:
        session.connection().execute(text("ALTER TABLE job_log RENAME TO away"))
    run_log.planned(run, "first load", "")
    with database.transaction() as session:
        session.connection().execute(text("ALTER TABLE away RENAME TO job_log"))
    assert told(database, run) == []
    run_log.planned(run, "rebuild", "the primary key changed")
    assert told(database, run) == [("info", "Planned: rebuild, because the primary key changed.")]
