"""A page of a list, whatever is listed."""

from typing import TypeVar

from sqlalchemy import func
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from metadata.models import Schema, Source

Listed = TypeVar("Listed", Schema, Source)


def page_of(
    session: Session, model: type[Listed], found: SelectOfScalar[Listed], limit: int, offset: int
) -> tuple[int, list[Listed]]:
    """How many there are in all, and one page of them, newest first.

    Rows are wide, so only ids are counted, sorted and skipped, which an index does alone; one statement does all,
    and a page beyond the end asks for the count by a second one.
    """
    ids = found.with_only_columns(col(model.id))
    count = select(func.count()).select_from(ids.subquery())
    newest = (col(model.created_at).desc(), col(model.id).desc())
    page = ids.order_by(*newest).limit(limit).offset(offset).subquery()
    statement = select(model, count.scalar_subquery()).join(page, page.c.id == col(model.id)).order_by(*newest)
    rows = session.exec(statement).all()
    if not rows:
        return session.exec(count).one() if offset else 0, []
    return rows[0][1], [row for row, _ in rows]
