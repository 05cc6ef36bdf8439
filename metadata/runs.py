"""The life of a run as the metadata sees it: what activities call.

Each call is one transaction and may be repeated. Ids are text; a malformed one is an unknown one.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from metadata.database import Database, for_update
from metadata.errors import EraseUnfinishedError, NotFoundError
from metadata.intents import BegunRun, Erasure, Finished, RunIntent, RunningJob, ScheduleIntent, run_intent
from metadata.inventory import Inventory
from metadata.live import live_schema, locked_job, locked_state, parse_id
from metadata.logs import delete_lines, log_finished, log_started
from metadata.models import (
    Capture,
    Job,
    JobStatus,
    LakeTable,
    Schema,
    SchemaState,
    SchemaStatus,
    Source,
    SyncType,
    TableKind,
    utc_now,
)
from metadata.vault import Vault

__all__ = ["BegunRun", "Erasure", "Finished", "RunIntent", "RunningJob", "Runs", "SavedTable", "ScheduleIntent"]

FAILURES_THAT_DISABLE = 3
SUPERSEDED = "The run stopped without a word, and a newer run took its place."


@dataclass(frozen=True)
class SavedTable:
    """One of a schema's tables in the lake, as a commit left it."""

    name: str
    path: str
    row_count: int
    size_bytes: int
    columns: list[dict[str, Any]]
    kind: str = TableKind.MAIN


class Runs(Inventory):
    """What runs ask and tell, beside the inventory that the reconciler reads. Thread-safe."""

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__(database)
        self._vault = vault

    def intent(self, project_id: int, schema_id: str) -> RunIntent | None:
        """None where the schema, its source or its project is gone."""
        with self._database.read() as session:
            found = live_schema(session, project_id, schema_id)
            if found is None:
                return None
            schema, source = found
            state = session.get(SchemaState, schema.id) or SchemaState(schema_id=schema.id)
            return run_intent(schema, source, state, _capture(session, schema, source))

    def inputs(self, project_id: int, schema_id: str) -> dict[str, Any]:
        """The source's connection details in the clear; ``NotFoundError`` where the schema is gone."""
        with self._database.read() as session:
            found = live_schema(session, project_id, schema_id)
        if found is None:
            raise NotFoundError("The table or its source was deleted.")
        return self._vault.decrypt(found[1].encrypted_inputs)

    def begin(
        self, project_id: int, schema_id: str, workflow_id: str, workflow_run_id: str, trigger: str
    ) -> BegunRun | None:
        """Open the run's job under a new fence and end the jobs of older runs; None where the schema is gone.

        The same workflow ids always get the same job and fence, even when a newer run has begun meanwhile; the
        rest of the intent is what holds now. ``EraseUnfinishedError`` where old data waits to be deleted.
        """
        with self._database.transaction() as session:
            found = live_schema(session, project_id, schema_id, lock=True)
            if found is None:
                return None
            schema, source = found
            state = locked_state(session, schema.id)
            known = select(Job).where(Job.workflow_id == workflow_id, Job.workflow_run_id == workflow_run_id)
            job = session.exec(known).first()
            if job is None:
                if state.erase_pending:
                    raise EraseUnfinishedError("The old data of this table is still being deleted.")
                job = _open_job(session, schema, state, workflow_id, workflow_run_id, trigger)
            elif job.status == JobStatus.RUNNING:
                job.generation = state.generation
                session.add(job)
            intent = run_intent(schema, source, state, _capture(session, schema, source))
            return BegunRun(replace(intent, fence=job.fence), str(job.id))

    def raise_generation(self, job_id: str, above: int) -> int:
        """A generation newer than that one, for a run that rebuilds of its own accord. Raised once however often."""
        with self._database.transaction() as session:
            _, schema = locked_job(session, job_id)
            state = locked_state(session, schema.id)
            if state.generation <= above:
                state.generation = above + 1
                session.add(state)
            return state.generation

    def progress(self, job_id: str, rows_synced: int, rows_to_sync: int | None, bytes_written: int) -> None:
        """Where a running job stands, in absolute figures. Nothing happens to a job that has ended."""
        with self._database.transaction() as session:
            session.connection().execute(
                update(Job)
                .where(col(Job.id) == parse_id(job_id), col(Job.status) == JobStatus.RUNNING)
                .values(rows_synced=rows_synced, rows_to_sync=rows_to_sync, bytes_written=bytes_written)
            )

    def part_progress(
        self, job_id: str, part: int, rows_synced: int, rows_to_sync: int | None, bytes_written: int
    ) -> None:
        """As ``progress``, of one part of the table alone: the job shows the sum of the parts."""
        with self._database.transaction() as session:
            running = select(Job).where(Job.id == parse_id(job_id), Job.status == JobStatus.RUNNING)
            job = session.exec(for_update(running)).first()
            if job is None:
                return
            job.parts = {**job.parts, str(part): [rows_synced, bytes_written]}
            job.rows_synced, job.bytes_written = (sum(figures) for figures in zip(*job.parts.values(), strict=True))
            job.rows_to_sync = rows_to_sync
            session.add(job)

    def committed(
        self,
        project_id: int,
        schema_id: str,
        position: dict[str, Any] | None,
        table: SavedTable,
        repeat: str | None = None,
    ) -> None:
        """Copy where a table stands and what it is, which makes it known. Nothing happens where the schema is gone.

        A position that comes late never replaces that of a later commit; None leaves it as it is, for a history table
        beside the main one. ``repeat``: the digest of a read that had nothing new for the table; it takes the place of
        the one before.
        """
        with self._database.transaction() as session:
            found = live_schema(session, project_id, schema_id, lock=True)
            if found is None:
                return
            schema, _ = found
            state = locked_state(session, schema.id)
            if position is not None and _order(position) > _order(state.position):
                state.position, state.sequence = position, position["sequence"]
            state.repeat = repeat or state.repeat
            known = select(LakeTable).where(LakeTable.schema_id == schema.id, LakeTable.kind == table.kind)
            stored = session.exec(known).first()
            if stored is None:
                stored = LakeTable(project_id=project_id, schema_id=schema.id, kind=table.kind, name="", path="")
            stored.name, stored.path, stored.columns = table.name, table.path, table.columns
            stored.row_count, stored.size_bytes, stored.updated_at = table.row_count, table.size_bytes, utc_now()
            session.add_all([state, stored])

    def catch_up(self, schema_id: str, fence: int, generation: int) -> None:
        """What the table's log says is newer than what is known here, as after a restored backup of the database: the
        next run begins beyond it. Nothing happens where a newer run is known.
        """
        identity = parse_id(schema_id)
        with self._database.transaction() as session:
            state = session.exec(for_update(select(SchemaState).where(SchemaState.schema_id == identity))).first()
            if state is not None:
                state.fence, state.generation = max(state.fence, fence), max(state.generation, generation)
                session.add(state)

    def finish(
        self,
        job_id: str,
        status: str,
        error: str | None = None,
        warnings: list[dict[str, Any]] | None = None,
        retryable: bool = True,
        own_error: bool = False,
        rows_synced: int | None = None,
        bytes_written: int | None = None,
    ) -> Finished:
        """End the job, once: a second call changes nothing and answers the same.

        Figures left out stay as they are. The schema shows how its newest job ended. A failure that neither
        time (``retryable``) nor we ourselves (``own_error``) can mend counts; the third without a success
        between them disables the schema. ``NotFoundError`` for an unknown job.
        """
        ended = JobStatus(status)
        if ended == JobStatus.RUNNING:
            raise ValueError("a job does not finish by running")
        with self._database.transaction() as session:
            job, schema = locked_job(session, job_id)
            if job.status == JobStatus.RUNNING:
                job.status, job.latest_error, job.finished_at = ended, error, utc_now()
                job.warnings = warnings or []
                job.rows_synced = job.rows_synced if rows_synced is None else rows_synced
                job.bytes_written = job.bytes_written if bytes_written is None else bytes_written
                session.add(job)
                log_finished(session, job)
                # ``begin`` ends all older jobs, so one that runs is the schema's newest.
                _mirror(schema, job, counts=not (retryable or own_error))
                session.add(schema)
            spent = schema.failures_in_a_row >= FAILURES_THAT_DISABLE and not schema.should_sync
            return Finished(
                disabled=spent and job.status == JobStatus.FAILED,
                schema_gone=live_schema(session, job.project_id, str(job.schema_id)) is None,
            )

    def erased(self, schema_id: str, generation: int) -> None:
        """The schema's lake data is gone: forget where it stood. Holds for a deleted schema too.

        Nothing happens where the generation is another by now: then there is a new table, or more to be erased.
        """
        identity = parse_id(schema_id)
        with self._database.transaction() as session:
            schema = session.exec(for_update(select(Schema).where(Schema.id == identity))).first()
            state = session.exec(for_update(select(SchemaState).where(SchemaState.schema_id == identity))).first()
            if state is None or not state.erase_pending or state.generation != generation:
                return
            state.erase_pending, state.position, state.sequence = False, None, 0
            session.add(state)
            session.connection().execute(delete(LakeTable).where(col(LakeTable.schema_id) == identity))
            if schema is not None and schema.deleted_at is not None:
                delete_lines(session, schema.id)


def _capture(session: Session, schema: Schema, source: Source) -> Capture | None:
    """That of the source, where the schema's changes come from it."""
    capture = session.get(Capture, source.id) if schema.sync_type == SyncType.CDC else None
    return None if capture is None or capture.removing else capture


def _open_job(
    session: Session,
    schema: Schema,
    state: SchemaState,
    workflow_id: str,
    workflow_run_id: str,
    trigger: str,
) -> Job:
    running = select(Job).where(Job.schema_id == schema.id, Job.status == JobStatus.RUNNING)
    for older in session.exec(for_update(running)):
        older.status, older.latest_error, older.finished_at = JobStatus.FAILED, SUPERSEDED, utc_now()
        session.add(older)
        log_finished(session, older)
    state.fence += 1
    job = Job(
        project_id=schema.project_id,
        source_id=schema.source_id,
        schema_id=schema.id,
        workflow_id=workflow_id,
        workflow_run_id=workflow_run_id,
        trigger=trigger,
        fence=state.fence,
        generation=state.generation,
    )
    schema.status = SchemaStatus.RUNNING
    session.add_all([job, schema, state])
    session.flush()
    log_started(session, job, schema)
    return job


def _mirror(schema: Schema, job: Job, *, counts: bool) -> None:
    """Let the schema show how its newest job ended."""
    schema.status = SchemaStatus(job.status)
    schema.latest_error = job.latest_error
    if job.status == JobStatus.COMPLETED:
        schema.latest_error = None
        # What changes bring is as new as their end; a read is as old as its beginning.
        schema.last_synced_at = job.finished_at if schema.sync_type == SyncType.CDC else job.created_at
        schema.failures_in_a_row = 0
    elif job.status == JobStatus.FAILED and counts:
        schema.failures_in_a_row += 1
        if schema.failures_in_a_row >= FAILURES_THAT_DISABLE:
            schema.should_sync = False
            schema.updated_at = utc_now()


def _order(position: dict[str, Any] | None) -> tuple[int, int, int]:
    """Sequences count up within a generation, and begin again where the data was erased for a new one. They also go
    back where a backup of the table was put back; the fence never does.
    """
    return (position["generation"], position["fence"], position["sequence"]) if position else (0, 0, 0)
