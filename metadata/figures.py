"""How the installation does, in a few numbers over all projects."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from metadata.models import Job, JobStatus, Schema, Source, Wish, utc_now

ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
RECENT = timedelta(hours=1)


@dataclass(frozen=True)
class Figures:
    """Statuses without any are there with a zero, but for schemas'; a schema that never ran has the status None."""

    outbox_length: int
    outbox_oldest: datetime | None
    jobs_running: int
    jobs_ended: dict[str, int]
    """Of those that began within the last hour."""
    schemas: dict[str | None, int]
    sources: int


def figures(session: Session) -> Figures:
    """Five queries, each over an index or the live rows of one table."""
    length, oldest = session.exec(select(func.count(), func.min(Wish.created_at)).select_from(Wish)).one()
    running = select(func.count()).select_from(Job).where(Job.status == JobStatus.RUNNING)
    ended = (
        select(Job.status, func.count())
        .where(col(Job.status).in_(ENDED), Job.created_at > utc_now() - RECENT)
        .group_by(col(Job.status))
    )
    by_status = select(Schema.status, func.count()).where(col(Schema.deleted_at).is_(None)).group_by(col(Schema.status))
    sources = select(func.count()).select_from(Source).where(col(Source.deleted_at).is_(None))
    return Figures(
        outbox_length=length,
        outbox_oldest=oldest,
        jobs_running=session.exec(running).one(),
        jobs_ended={str(status): 0 for status in ENDED} | {str(status): count for status, count in session.exec(ended)},
        schemas=dict(session.exec(by_status).all()),
        sources=session.exec(sources).one(),
    )
