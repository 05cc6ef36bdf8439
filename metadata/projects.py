"""Projects: the tenants of an instance."""

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from metadata.captures import end_captures
from metadata.database import for_update
from metadata.models import Capture, Project, Schema, Source, Webhook, utc_now
from metadata.registrations import end_webhooks
from metadata.schemas import delete_schemas

AT_ONCE = 500


def create_project(session: Session, name: str) -> Project:
    project = Project(name=name)
    session.add(project)
    session.flush()
    return project


def get_project(session: Session, project_id: int, *, lock: bool = False) -> Project | None:
    """None where it never existed or was deleted."""
    alive = select(Project).where(Project.id == project_id, col(Project.deleted_at).is_(None))
    return session.exec(for_update(alive) if lock else alive).first()


def count_projects(session: Session) -> int:
    return session.exec(select(func.count()).select_from(Project).where(col(Project.deleted_at).is_(None))).one()


def list_projects(session: Session, limit: int = 100, offset: int = 0) -> list[Project]:
    """Newest first."""
    return list(
        session.exec(
            select(Project)
            .where(col(Project.deleted_at).is_(None))
            .order_by(col(Project.id).desc())
            .limit(limit)
            .offset(offset)
        )
    )


def delete_project(session: Session, project_id: int) -> list[str] | None:
    """Delete it with its sources and schemas; its keys stop working with the commit. None: there is no such project.

    Answers the ids of the schemas that leave something to do outside of the metadata, which the outbox has.
    """
    project = get_project(session, project_id, lock=True)
    if project is None:
        return None
    alive = select(Source.id).where(Source.project_id == project_id, col(Source.deleted_at).is_(None))
    session.exec(for_update(alive.order_by(col(Source.id)))).all()
    end_captures(session, col(Capture.project_id) == project_id)
    end_webhooks(session, col(Webhook.project_id) == project_id)
    left: list[str] = []
    schemas = select(Schema).where(Schema.project_id == project_id, col(Schema.deleted_at).is_(None))
    while some := session.exec(for_update(schemas.order_by(col(Schema.id)).limit(AT_ONCE))).all():
        left += delete_schemas(session, some)
        session.expunge_all()
    now = utc_now()
    for table, found in ((Source, col(Source.project_id)), (Project, col(Project.id))):
        changed = {"deleted_at": now} | ({"updated_at": now} if table is Source else {})
        session.connection().execute(
            update(table).where(found == project_id, col(table.deleted_at).is_(None)).values(changed)
        )
    return left
