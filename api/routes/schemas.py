"""``/api/projects/:project_id/external_data_schemas/``"""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status

from api.actions import discover, runs, schema_settings
from api.auth import ObjectId, Reader, Writer
from api.backend import BackendDep
from api.bodies.reading import documented, reader
from api.bodies.responses import IncrementalFieldsBody, SchemaBody
from api.bodies.schema_requests import SchemaChanges
from api.errors import NotFoundError
from api.objects import KnownSchema
from api.pagination import Page, PageDep, Search, in_turn
from api.presentation import schema_bodies
from metadata.live import live_schema
from metadata.models import SchemaStatus, SyncType
from metadata.schemas import SchemaFilter, list_schemas

router = APIRouter(prefix="/api/projects/{project_id}/external_data_schemas", tags=["external_data_schemas"])

Changes = Annotated[SchemaChanges, Depends(reader(SchemaChanges))]


async def _filter(
    search: Search = None,
    source_id: uuid.UUID | None = None,
    status: SchemaStatus | None = None,
    sync_type: SyncType | None = None,
    should_sync: Annotated[bool | None, Query()] = None,
) -> SchemaFilter:
    return SchemaFilter(source_id, status, sync_type, should_sync, search)


@router.get("/", name="list")
def index(
    backend: BackendDep, caller: Reader, page: PageDep, wanted: Annotated[SchemaFilter, Depends(_filter)]
) -> Page[SchemaBody]:
    """All schemas of the project, newest first."""
    with in_turn(), backend.database.read() as session:
        count, schemas = list_schemas(session, caller.project_id, wanted, page.limit, page.offset)
        return page.page(count, schema_bodies(backend, session, schemas))


@router.get("/{id}/", name="retrieve")
def retrieve(backend: BackendDep, caller: Reader, schema_id: ObjectId) -> SchemaBody:
    """One schema: its settings, its table and how its newest run ended."""
    with backend.database.read() as session:
        found = live_schema(session, caller.project_id, str(schema_id))
        if found is None:
            raise NotFoundError
        return schema_bodies(backend, session, [found[0]])[0]


@router.patch("/{id}/", name="partial_update", openapi_extra=documented(SchemaChanges))
@router.put("/{id}/", name="update", openapi_extra=documented(SchemaChanges))
def change(backend: BackendDep, caller: Writer, schema_id: KnownSchema, body: Changes) -> SchemaBody:
    """Change the settings that the body has; PUT is the same as PATCH."""
    return schema_settings.change(backend, caller, schema_id, body)


@router.delete("/{id}/", name="destroy", status_code=status.HTTP_204_NO_CONTENT)
def destroy(backend: BackendDep, caller: Writer, schema_id: ObjectId) -> None:
    """Stop its run, delete its schedule, its lake data and the schema."""
    runs.delete_schema(backend, caller, schema_id)


@router.post("/{id}/reload/", name="reload", response_class=Response)
def reload(backend: BackendDep, caller: Writer, schema_id: ObjectId) -> Response:
    """Run now. Where a run is active, exactly one more follows it."""
    runs.reload(backend, caller, schema_id)
    return Response()


@router.post("/{id}/resync/", name="resync", response_class=Response)
def resync(backend: BackendDep, caller: Writer, schema_id: ObjectId) -> Response:
    """Rebuild from nothing. Readers keep the old data until the new is whole."""
    runs.resync(backend, caller, schema_id)
    return Response()


@router.post("/{id}/cancel/", name="cancel", response_class=Response)
def cancel(backend: BackendDep, caller: Writer, schema_id: ObjectId) -> Response:
    """Stop the active run; what it has committed stays."""
    runs.cancel(backend, caller, schema_id)
    return Response()


@router.delete("/{id}/delete_data/", name="delete_data", status_code=status.HTTP_204_NO_CONTENT)
def delete_data(backend: BackendDep, caller: Writer, schema_id: ObjectId) -> None:
    """Delete the lake data and the cursor; the settings and the schedule stay."""
    runs.delete_data(backend, caller, schema_id)


@router.post("/{id}/incremental_fields/", name="incremental_fields")
def incremental_fields(backend: BackendDep, caller: Writer, schema_id: ObjectId) -> IncrementalFieldsBody:
    """A live look at what the table offers."""
    return discover.incremental_fields(backend, caller, schema_id)
