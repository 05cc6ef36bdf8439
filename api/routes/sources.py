"""``/api/projects/:project_id/external_data_sources/``"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status

from api.actions import create_source, discover, edit_source, runs, schema_settings
from api.auth import ObjectId, Reader, Writer
from api.backend import BackendDep
from api.bodies.moments import MomentParameter
from api.bodies.reading import Text, documented, reader
from api.bodies.responses import JobBody, RefreshBody, SchemaBody, SourceBody
from api.bodies.schema_requests import BulkChanges
from api.bodies.source_requests import SourceChanges, SourceCreate
from api.errors import NotFoundError
from api.objects import KnownSource
from api.pagination import Page, PageDep, Search, in_turn
from api.presentation import job_body, source_bodies
from metadata.sources import JobFilter, find_source, list_jobs, list_sources

router = APIRouter(prefix="/api/projects/{project_id}/external_data_sources", tags=["external_data_sources"])

New = Annotated[SourceCreate, Depends(reader(SourceCreate))]
Bulk = Annotated[BulkChanges, Depends(reader(BulkChanges))]
Changes = Annotated[SourceChanges, Depends(reader(SourceChanges))]


async def _job_filter(
    after: Annotated[MomentParameter | None, Query(description="exclusive")] = None,
    before: Annotated[MomentParameter | None, Query(description="exclusive")] = None,
    schemas: Annotated[list[Text] | None, Query(description="names of schemas")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JobFilter:
    return JobFilter(after, before, tuple(schemas or ()), limit)


@router.get("/", name="list")
def index(backend: BackendDep, caller: Reader, page: PageDep, search: Search = None) -> Page[SourceBody]:
    """All sources of the project with their schemas, newest first."""
    with in_turn(), backend.database.read() as session:
        count, sources = list_sources(session, caller.project_id, search, page.limit, page.offset)
        return page.page(count, source_bodies(backend, session, sources, caller))


@router.post("/", name="create", status_code=status.HTTP_201_CREATED, openapi_extra=documented(SourceCreate))
def create(backend: BackendDep, caller: Writer, body: New) -> SourceBody:
    """Try the connection, find its tables, set up those that are named, and start their first runs."""
    return create_source.create(backend, caller, body)


@router.get("/{id}/", name="retrieve")
def retrieve(backend: BackendDep, caller: Reader, source_id: ObjectId) -> SourceBody:
    """One source with its schemas. Of its inputs only what is no secret."""
    with backend.database.read() as session:
        source = find_source(session, caller.project_id, source_id)
        if source is None:
            raise NotFoundError
        return source_bodies(backend, session, [source], caller)[0]


@router.patch("/{id}/", name="partial_update", openapi_extra=documented(SourceChanges))
def change(backend: BackendDep, caller: Writer, source_id: KnownSource, body: Changes) -> SourceBody:
    """Change the description or the connection, which is tried before it is stored."""
    return edit_source.edit(backend, caller, source_id, body)


@router.delete("/{id}/", name="destroy", status_code=status.HTTP_204_NO_CONTENT)
def destroy(backend: BackendDep, caller: Writer, source_id: ObjectId) -> None:
    """Stop its runs, delete its schedules, its lake data and the source."""
    runs.delete_source_with_data(backend, caller, source_id)


@router.post("/{id}/reload/", name="reload", response_class=Response)
def reload(backend: BackendDep, caller: Writer, source_id: ObjectId) -> Response:
    """Run every enabled schema now."""
    runs.reload_source(backend, caller, source_id)
    return Response()


@router.post("/{id}/refresh_schemas/", name="refresh_schemas")
def refresh_schemas(backend: BackendDep, caller: Writer, source_id: ObjectId) -> RefreshBody:
    """A live look at the source's tables: new ones are added, disabled; vanished ones go, or stay for their data."""
    return discover.refresh_schemas(backend, caller, source_id)


@router.patch("/{id}/bulk_update_schemas/", name="bulk_update_schemas", openapi_extra=documented(BulkChanges))
def bulk_update_schemas(backend: BackendDep, caller: Writer, source_id: KnownSource, body: Bulk) -> Page[SchemaBody]:
    """Change the settings of several of its schemas: all are changed, or none."""
    changed = schema_settings.change_many(backend, caller, source_id, body)
    return Page(count=len(changed), next=None, previous=None, results=changed)


@router.get("/{id}/jobs/", name="jobs")
def jobs(
    backend: BackendDep, caller: Reader, source_id: ObjectId, wanted: Annotated[JobFilter, Depends(_job_filter)]
) -> list[JobBody]:
    """The newest runs of its schemas."""
    with backend.database.read() as session:
        if find_source(session, caller.project_id, source_id) is None:
            raise NotFoundError
        return [job_body(job, schema) for job, schema in list_jobs(session, source_id, wanted)]
