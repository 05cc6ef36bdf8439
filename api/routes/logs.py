"""``/api/projects/:project_id/external_data_schemas/:id/logs/``"""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.auth import ObjectId, Reader
from api.backend import BackendDep
from api.bodies.logs import LogLineBody
from api.bodies.moments import MomentParameter
from api.bodies.reading import storable
from api.errors import InvalidError, NotFoundError
from api.pagination import Page, PageDep
from metadata.live import live_schema
from metadata.logs import LogFilter, list_lines
from metadata.models import JobLog, LogLevel

router = APIRouter(prefix="/api/projects/{project_id}/external_data_schemas", tags=["external_data_schemas"])

Levels = Annotated[str | None, Query(max_length=100, description="debug, info, warning, error; several with commas")]
PartOfMessage = Annotated[
    Annotated[str, Field(max_length=400), storable] | None, Query(description="part of a message, whatever its case")
]


async def _filter(
    level: Levels = None,
    after: Annotated[MomentParameter | None, Query(description="exclusive")] = None,
    before: Annotated[MomentParameter | None, Query(description="exclusive")] = None,
    job_id: Annotated[uuid.UUID | None, Query()] = None,
    search: PartOfMessage = None,
) -> LogFilter:
    return LogFilter(_levels(level), after, before, job_id, search)


@router.get("/{id}/logs/", name="logs")
def logs(
    backend: BackendDep,
    caller: Reader,
    schema_id: ObjectId,
    page: PageDep,
    wanted: Annotated[LogFilter, Depends(_filter)],
) -> Page[LogLineBody]:
    """What its runs did and what went wrong, newest first."""
    with backend.database.read() as session:
        found = live_schema(session, caller.project_id, str(schema_id))
        if found is None:
            raise NotFoundError
        count, lines = list_lines(session, found[0].id, wanted, page.limit, page.offset)
    return page.page(count, [_body(line) for line in lines])


def _body(line: JobLog) -> LogLineBody:
    own = {name: getattr(line, name) for name in LogLineBody.model_fields if name != "timestamp"}
    return LogLineBody(**own, timestamp=line.at)


def _levels(text: str | None) -> tuple[LogLevel, ...]:
    names = [name.strip().lower() for name in (text or "").split(",")]
    try:
        return tuple(LogLevel(name) for name in names if name)
    except ValueError as error:
        known = ", ".join(LogLevel)
        raise InvalidError(f"A level is one of {known}.", attr="level", code="invalid_choice") from error
