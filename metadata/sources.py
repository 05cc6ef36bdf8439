"""Sources and their jobs as the API reads and writes them, always inside one project."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, or_, select

from metadata.captures import end_captures
from metadata.database import for_update
from metadata.errors import MetadataError
from metadata.listing import page_of
from metadata.models import Capture, Job, JobStatus, Schema, Source, Webhook, utc_now
from metadata.registrations import end_webhooks
from metadata.schemas import add_schemas, delete_schemas


class PrefixTakenError(MetadataError):
    """Another source of this type has the prefix in this project."""


@dataclass(frozen=True)
class JobFilter:
    """``after`` and ``before`` are exclusive; no ``schema_names`` means all of them."""

    after: datetime | None = None
    before: datetime | None = None
    schema_names: tuple[str, ...] = ()
    limit: int = 50


def list_sources(
    session: Session, project_id: int, search: str | None, limit: int, offset: int
) -> tuple[int, list[Source]]:
    """How many there are in all, and one page of them, newest first."""
    found = select(Source).where(Source.project_id == project_id, col(Source.deleted_at).is_(None))
    if search:
        searched = (col(Source.source_type), col(Source.prefix), col(Source.description))
        found = found.where(or_(*(column.icontains(search, autoescape=True) for column in searched)))
    return page_of(session, Source, found, limit, offset)


def find_source(session: Session, project_id: int, source_id: uuid.UUID, *, lock: bool = False) -> Source | None:
    """A live source; None where the project has no such one."""
    statement = select(Source).where(
        Source.id == source_id, Source.project_id == project_id, col(Source.deleted_at).is_(None)
    )
    return session.exec(for_update(statement) if lock else statement).first()


def prefix_taken(session: Session, project_id: int, source_type: str, prefix: str) -> bool:
    """Compared without case, as the names of the lake tables have none."""
    same = select(Source.id).where(
        Source.project_id == project_id,
        Source.source_type == source_type,
        func.lower(Source.prefix) == prefix.lower(),
        col(Source.deleted_at).is_(None),
    )
    return session.exec(same.limit(1)).first() is not None


def create_source(session: Session, source: Source, schemas: Collection[Schema]) -> None:
    """The source with all its schemas. ``PrefixTakenError`` spoils the transaction."""
    session.add(source)
    try:
        session.flush()
    except IntegrityError as error:
        raise PrefixTakenError("Another source of this type already has this prefix.") from error
    add_schemas(session, schemas)


def delete_source(session: Session, source: Source) -> list[str]:
    """Soft, with all its schemas; answers as ``delete_schemas`` does. Capture and webhook wait to be removed."""
    end_captures(session, col(Capture.source_id) == source.id)
    end_webhooks(session, col(Webhook.source_id) == source.id)
    alive = select(Schema).where(Schema.source_id == source.id, col(Schema.deleted_at).is_(None))
    deleted = delete_schemas(session, session.exec(for_update(alive.order_by(col(Schema.id)))).all())
    source.deleted_at = source.updated_at = utc_now()
    session.add(source)
    return deleted


def last_runs(session: Session, source_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """When the newest completed job of each source started."""
    newest = (
        select(Job.created_at)
        .where(Job.source_id == Source.id, Job.status == JobStatus.COMPLETED)
        .order_by(col(Job.created_at).desc())
        .limit(1)
        .correlate(Source)
        .scalar_subquery()
    )
    # One step into the index for each source, however many jobs it has.
    found = session.exec(select(Source.id, newest).where(col(Source.id).in_(source_ids)))
    return {source_id: at for source_id, at in found if at is not None}


def list_jobs(session: Session, source_id: uuid.UUID, wanted: JobFilter) -> list[tuple[Job, Schema]]:
    """Newest first, those of deleted schemas too."""
    found = select(Job, Schema).join(Schema, col(Schema.id) == Job.schema_id).where(Job.source_id == source_id)
    if wanted.after:
        found = found.where(Job.created_at > wanted.after)
    if wanted.before:
        found = found.where(Job.created_at < wanted.before)
    if wanted.schema_names:
        found = found.where(col(Schema.name).in_(wanted.schema_names))
    newest_first = found.order_by(col(Job.created_at).desc(), col(Job.id).desc())
    return [(job, schema) for job, schema in session.exec(newest_first.limit(wanted.limit))]
