"""Finding and locking the rows of schemas, and of what hangs on them.

There is one lock order: the source, its capture, its webhook, its schemas by id, then a schema's state, then its job.
"""

import uuid
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlmodel import Session, col, select

from metadata.database import for_update
from metadata.errors import NotFoundError
from metadata.models import Job, Project, Schema, SchemaState, Source


def parse_id(text: str) -> uuid.UUID | None:
    """None where the text is no id, which finds nothing in a query either."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def nothing_deleted() -> tuple[ColumnElement[bool], ...]:
    """The condition that schema, source and project of a joined query are all there."""
    return tuple(col(table.deleted_at).is_(None) for table in (Schema, Source, Project))


def live_schema(
    session: Session, project_id: int, schema_id: str, *, lock: bool = False
) -> tuple[Schema, Source] | None:
    """The schema with its source; None where it, the source or the project is gone, or the project another."""
    identity = parse_id(schema_id)
    if lock:
        session.exec(for_update(select(Schema).where(Schema.id == identity))).first()
    found = session.exec(_LIVE, params={"identity": identity, "project": project_id}).first()
    return None if found is None else (found[0], found[1])


_LIVE = (
    select(Schema, Source)
    .join(Source, col(Source.id) == Schema.source_id)
    .join(Project, col(Project.id) == Schema.project_id)
    .where(col(Schema.id) == bindparam("identity"), col(Schema.project_id) == bindparam("project"), *nothing_deleted())
)
"""Built once: every call and every step of a run begins with it."""


def locked_schemas(
    session: Session, source_id: uuid.UUID, schema_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, Schema]:
    """The live ones among these that are of this source, by id, locked in the one order that everybody uses."""
    wanted = select(Schema).where(
        Schema.source_id == source_id, col(Schema.id).in_(schema_ids), col(Schema.deleted_at).is_(None)
    )
    return {schema.id: schema for schema in session.exec(for_update(wanted.order_by(col(Schema.id))))}


def locked_state(session: Session, schema_id: uuid.UUID) -> SchemaState:
    """The schema's state, made where there is none yet. The schema itself must be locked already."""
    state = session.exec(for_update(select(SchemaState).where(SchemaState.schema_id == schema_id))).first()
    if state is None:
        state = SchemaState(schema_id=schema_id)
        session.add(state)
        session.flush()
    return state


def locked_job(session: Session, job_id: str) -> tuple[Job, Schema]:
    """The job and its schema, deleted or not, both locked; ``NotFoundError`` for an unknown job."""
    seen = session.exec(select(Job).where(Job.id == parse_id(job_id))).first()
    if seen is None:
        raise NotFoundError("There is no such job.")
    schema = session.exec(for_update(select(Schema).where(Schema.id == seen.schema_id))).one()
    return session.exec(for_update(select(Job).where(Job.id == seen.id))).one(), schema


def after(column: Any, last_id: str | None) -> tuple[ColumnElement[bool], ...]:
    """The condition that begins a page behind the last id of the page before; the first page has none."""
    return () if last_id is None else (col(column) > uuid.UUID(last_id),)
