"""The lines that runs write for the people who own their tables: written, listed, and deleted when they are old."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func
from sqlmodel import Session, col, select

from metadata.database import Database
from metadata.live import parse_id
from metadata.models import CaptureEvent, Job, JobLog, JobStatus, LogLevel, Schema

MOST_LINES_OF_RUN = 1000
MOST_WARNINGS_OF_RUN = 100
"""Columns and reasons that get a line of their own; the job has them all."""

MOST_MESSAGE = 4000
DELETED_AT_ONCE = 5000
LEFT_OUT = "This run writes more lines than are kept: what comes before its end is left out."


@dataclass(frozen=True)
class Line:
    """``fields`` has ``event`` and the figures of the message, for machines."""

    message: str
    fields: dict[str, Any] = field(default_factory=dict)
    level: LogLevel = LogLevel.INFO


@dataclass(frozen=True)
class LogFilter:
    """``after`` and ``before`` are exclusive; no ``levels`` means all of them."""

    levels: tuple[LogLevel, ...] = ()
    after: datetime | None = None
    before: datetime | None = None
    job_id: uuid.UUID | None = None
    search: str | None = None


class RunLogs:
    """What workers do with lines, each call in one small transaction. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, job_id: str, *lines: Line) -> None:
        """Add lines to a run's. Beyond ``MOST_LINES_OF_RUN`` there is only a line that says so."""
        with self._database.transaction() as session:
            job = session.exec(select(Job).where(Job.id == parse_id(job_id))).first()
            if job is None:
                return
            written = select(JobLog.id).where(JobLog.job_id == job.id).limit(MOST_LINES_OF_RUN)
            room = MOST_LINES_OF_RUN - session.exec(select(func.count()).select_from(written.subquery())).one()
            kept = list(lines) if len(lines) < room else [*lines[: room - 1], Line(LEFT_OUT)] if room else []
            session.add_all(_row(job, line) for line in kept)

    def delete_before(self, moment: datetime) -> int:
        """Delete what is older, a few at a time, so that nobody waits for the database long; how many they were.

        The events of captures go with the lines.
        """
        return self._delete_before(JobLog, moment) + self._delete_before(CaptureEvent, moment)

    def _delete_before(self, lines: type[JobLog] | type[CaptureEvent], moment: datetime) -> int:
        deleted = 0
        while True:
            oldest = select(lines.id).where(lines.at < moment).order_by(col(lines.at)).limit(DELETED_AT_ONCE)
            with self._database.transaction() as session:
                gone = session.connection().execute(delete(lines).where(col(lines.id).in_(oldest))).rowcount
            deleted += gone
            if gone < DELETED_AT_ONCE:
                return deleted


def list_lines(
    session: Session, schema_id: uuid.UUID, wanted: LogFilter, limit: int, offset: int
) -> tuple[int, list[JobLog]]:
    """How many there are in all, and one page of them, newest first."""
    conditions: list[ColumnElement[bool]] = [col(JobLog.schema_id) == schema_id]
    if wanted.job_id:
        conditions.append(col(JobLog.job_id) == wanted.job_id)
    if wanted.levels:
        conditions.append(col(JobLog.level).in_(wanted.levels))
    if wanted.after:
        conditions.append(col(JobLog.at) > wanted.after)
    if wanted.before:
        conditions.append(col(JobLog.at) < wanted.before)
    if wanted.search:
        conditions.append(col(JobLog.message).icontains(wanted.search, autoescape=True))
    count = session.exec(select(func.count()).select_from(JobLog).where(*conditions)).one()
    newest_first = (col(JobLog.at).desc(), col(JobLog.id).desc())
    # Where no text is searched the page is found in the index alone; only its own lines are then read.
    page = select(JobLog.id).where(*conditions).order_by(*newest_first).limit(limit).offset(offset)
    return count, list(session.exec(select(JobLog).where(col(JobLog.id).in_(page)).order_by(*newest_first)))


def log_started(session: Session, job: Job, schema: Schema) -> None:
    """Within the transaction that opens the job, so that there is exactly one such line."""
    mode = str(schema.sync_type)
    by = {"schedule": "by its schedule", "manual": "by hand"}.get(job.trigger, f"by a {job.trigger}")
    session.add(
        _row(job, Line(f"Run started {by}: {mode}.", {"event": "started", "trigger": job.trigger, "mode": mode}))
    )


def log_finished(session: Session, job: Job) -> None:
    """Within the transaction that ends the job, so that there is exactly one such line."""
    assert job.finished_at is not None
    seconds = round((job.finished_at - job.created_at).total_seconds(), 3)
    for warning in job.warnings[:MOST_WARNINGS_OF_RUN]:
        text = f"Column {warning['column']}, {warning['count']:,} values: {warning['reason']}."
        session.add(_row(job, Line(text, {"event": "values", **warning}, LogLevel.WARNING)))
    done = f"{job.rows_synced:,} rows, {job.bytes_written:,} bytes written"
    messages = {
        JobStatus.COMPLETED: f"Run completed in {seconds:.1f} s: {done}.",
        JobStatus.CANCELLED: f"Run cancelled after {seconds:.1f} s; what was committed stays: {done}.",
        JobStatus.FAILED: f"Run failed after {seconds:.1f} s: {job.latest_error or 'no reason is known.'}",
    }
    fields = {
        "event": "finished",
        "status": str(job.status),
        "rows_synced": job.rows_synced,
        "bytes_written": job.bytes_written,
        "seconds": seconds,
        "error": job.latest_error,
    }
    level = LogLevel.ERROR if job.status == JobStatus.FAILED else LogLevel.INFO
    session.add(_row(job, Line(messages[JobStatus(job.status)], fields, level)))


def delete_lines(session: Session, schema_id: uuid.UUID) -> None:
    """All of a schema that nobody can ask for any more."""
    session.connection().execute(delete(JobLog).where(col(JobLog.schema_id) == schema_id))


def _row(job: Job, line: Line) -> JobLog:
    return JobLog(
        project_id=job.project_id,
        schema_id=job.schema_id,
        job_id=job.id,
        level=line.level,
        message=line.message[:MOST_MESSAGE].replace("\0", ""),
        fields=line.fields,
    )
