"""What there is, page by page: the reconciler compares it with what Temporal and the lake know.

Pages are ordered by id and begin behind ``after_id``, the last id of the page before: nothing ever lists all.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import defer
from sqlmodel import col, or_, select
from sqlmodel.sql.expression import Select

from metadata.database import Database
from metadata.intents import Erasure, RunningJob, ScheduleIntent, WrittenTable, lake_path, schedule_intent
from metadata.live import after, nothing_deleted, parse_id
from metadata.models import Job, JobStatus, Project, Schema, SchemaState, Source


class Inventory:
    """Reads only. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def running_jobs(self, before: datetime, limit: int, after_id: str | None = None) -> list[RunningJob]:
        """Jobs that began before that time and have not ended, by job id."""
        with self._database.read() as session:
            jobs = session.exec(
                select(Job)
                .where(Job.status == JobStatus.RUNNING, Job.created_at < before, *after(Job.id, after_id))
                .order_by(col(Job.id))
                .limit(limit)
            )
            return [_running(job) for job in jobs]

    def running_jobs_of(self, schema_id: str) -> list[RunningJob]:
        """The schema's jobs that have not ended; the schema may be deleted."""
        of_schema = select(Job).where(Job.schema_id == parse_id(schema_id), Job.status == JobStatus.RUNNING)
        with self._database.read() as session:
            return [_running(job) for job in session.exec(of_schema)]

    def live_job_ids(self, schema_id: str) -> set[str]:
        """Their ids: what they staged is theirs."""
        return {job.job_id for job in self.running_jobs_of(schema_id)}

    def schedulable(self, after_id: str | None, limit: int) -> list[ScheduleIntent]:
        """Live schemas that have a sync type, enabled or not, by schema id."""
        with self._database.read() as session:
            page = schedulable_schemas().where(*after(Schema.id, after_id)).order_by(col(Schema.id)).limit(limit)
            return [schedule_intent(schema, source, state) for schema, source, state in session.exec(page)]

    def schedulable_among(self, ids: Iterable[str]) -> dict[str, ScheduleIntent]:
        """Those of these ids, by id, that ``schedulable`` would find."""
        asked = {identity for text in ids if (identity := parse_id(text)) is not None}
        with self._database.read() as session:
            found = session.exec(schedulable_schemas().where(col(Schema.id).in_(asked)))
            return {str(schema.id): schedule_intent(schema, source, state) for schema, source, state in found}

    def schedule_intent(self, schema_id: str) -> ScheduleIntent | None:
        """The same for one schema; None where it is gone or has no sync type."""
        with self._database.read() as session:
            found = session.exec(schedulable_schemas().where(Schema.id == parse_id(schema_id))).first()
        return None if found is None else schedule_intent(*found)

    def live_schema_ids(self, ids: Iterable[str]) -> set[str]:
        """Those that name a live schema of a live source and project; what is no id names none."""
        asked = {identity for text in ids if (identity := parse_id(text)) is not None}
        with self._database.read() as session:
            found = session.exec(
                select(Schema.id)
                .join(Source, col(Source.id) == Schema.source_id)
                .join(Project, col(Project.id) == Schema.project_id)
                .where(col(Schema.id).in_(asked), *nothing_deleted())
            )
            return {str(identity) for identity in found}

    def erasure(self, project_id: int, schema_id: str) -> Erasure | None:
        """What waits to be deleted of this schema, which may be deleted itself; None where nothing does."""
        statement = _erasures().where(Schema.id == parse_id(schema_id), Schema.project_id == project_id)
        with self._database.read() as session:
            found = session.exec(statement).first()
        return None if found is None else _erasure(*found)

    def pending_erasures(self, after_id: str | None, limit: int) -> list[Erasure]:
        """Everything in the lake that waits to be deleted, by schema id."""
        statement = _erasures().where(*after(Schema.id, after_id)).order_by(col(Schema.id)).limit(limit)
        with self._database.read() as session:
            return [_erasure(*found) for found in session.exec(statement)]

    def written(self, deleted_since: datetime, after_id: str | None, limit: int) -> list[WrittenTable]:
        """Where runs have written for schemas that are alive, whatever their settings are now, or that were deleted
        since that time; by schema id.
        """
        lasting = or_(col(Schema.deleted_at).is_(None), col(Schema.deleted_at) >= deleted_since)
        page = (
            select(Schema, Source)
            .join(Source, col(Source.id) == Schema.source_id)
            .join(SchemaState, col(SchemaState.schema_id) == Schema.id)
            .where(col(SchemaState.fence) > 0, lasting, *after(Schema.id, after_id))
            .order_by(col(Schema.id))
            .limit(limit)
            .options(defer(Schema.discovered), defer(Source.encrypted_inputs))  # type: ignore[arg-type]
        )
        with self._database.read() as session:
            return [
                WrittenTable(str(schema.id), lake_path(schema, source), schema.deleted_at)
                for schema, source in session.exec(page)
            ]


def schedulable_schemas() -> Select[Schema, Source, SchemaState]:
    return (
        select(Schema, Source, SchemaState)
        .join(Source, col(Source.id) == Schema.source_id)
        .join(Project, col(Project.id) == Schema.project_id)
        .join(SchemaState, col(SchemaState.schema_id) == Schema.id, isouter=True)
        .where(col(Schema.sync_type).is_not(None), *nothing_deleted())
        # What discovery saw is most of a row, and a schedule needs nothing of it.
        .options(defer(Schema.discovered), defer(Source.encrypted_inputs))  # type: ignore[arg-type]
    )


def _erasures() -> Select[Schema, Source, SchemaState]:
    return (
        select(Schema, Source, SchemaState)
        .join(Source, col(Source.id) == Schema.source_id)
        .join(SchemaState, col(SchemaState.schema_id) == Schema.id)
        .where(col(SchemaState.erase_pending))
    )


def _running(job: Job) -> RunningJob:
    return RunningJob(str(job.id), job.project_id, str(job.schema_id), job.workflow_id, job.workflow_run_id)


def _erasure(schema: Schema, source: Source, state: SchemaState) -> Erasure:
    return Erasure(schema.project_id, str(schema.id), lake_path(schema, source), state.generation)
