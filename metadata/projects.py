"""Projects: the tenants of an instance."""

from sqlalchemy import update
from sqlmodel import Session, col, select

from metadata.database import for_update
from metadata.models import Project, Schema, SchemaState, Source, utc_now


def create_project(session: Session, name: str) -> Project:
    project = Project(name=name)
    session.add(project)
    session.flush()
    return project


def get_project(session: Session, project_id: int) -> Project | None:
    """None where it never existed or was deleted."""
    return session.exec(select(Project).where(Project.id == project_id, col(Project.deleted_at).is_(None))).first()


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


def delete_project(session: Session, project_id: int) -> bool:
    """Delete it with its sources and schemas, whose lake data then waits to be erased. False: there is none.

    Runs in flight end when they find their schema gone; its keys stop working at once.
    """
    alive = select(Project).where(Project.id == project_id, col(Project.deleted_at).is_(None))
    project = session.exec(for_update(alive)).first()
    if project is None:
        return False
    now = utc_now()
    for table in (Schema, Source):
        session.connection().execute(
            update(table)
            .where(col(table.project_id) == project_id, col(table.deleted_at).is_(None))
            .values(deleted_at=now, updated_at=now)
        )
    session.connection().execute(
        update(SchemaState)
        .where(col(SchemaState.schema_id).in_(select(Schema.id).where(Schema.project_id == project_id)))
        .values(erase_pending=True, generation=col(SchemaState.generation) + 1)
    )
    project.deleted_at = now
    session.add(project)
    return True
