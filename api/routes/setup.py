"""``/api/projects/:project_id/external_data_sources/``: what is asked before a source is made.

Registered before the sources' own routes, whose ``/{id}/`` would take these paths for ids.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.actions import create_source, edit_source, setup
from api.auth import Reader, Writer
from api.backend import BackendDep
from api.bodies.reading import documented, reader
from api.bodies.responses import SourceBody
from api.bodies.setup import (
    Connection,
    PrefixQuestion,
    Preview,
    PreviewQuestion,
    RevenueAnalyticsChanges,
    TableChoice,
    WizardSource,
)
from api.fixed_paths import FixedPath
from api.objects import KnownSource

router = APIRouter(
    prefix="/api/projects/{project_id}/external_data_sources", tags=["external_data_sources"], route_class=FixedPath
)

Planned = Annotated[Connection, Depends(reader(Connection))]
Looked = Annotated[PreviewQuestion, Depends(reader(PreviewQuestion))]
Question = Annotated[PrefixQuestion, Depends(reader(PrefixQuestion))]
Changes = Annotated[RevenueAnalyticsChanges, Depends(reader(RevenueAnalyticsChanges))]


@router.get("/wizard/", name="wizard")
def wizard(caller: Reader) -> dict[str, WizardSource]:
    """Every source type by its name, with the form that makes a source of it and what it can do."""
    return setup.wizard()


@router.post("/database_schema/", name="database_schema", openapi_extra=documented(Connection))
def database_schema(backend: BackendDep, caller: Writer, body: Planned) -> list[TableChoice]:
    """A live look at a source that is not there yet: its tables, and how each could be copied. Nothing is stored."""
    return setup.tables(backend, caller, body)


@router.post("/preview_resource/", name="preview_resource", openapi_extra=documented(PreviewQuestion))
def preview_resource(backend: BackendDep, caller: Writer, body: Looked) -> Preview:
    """A live look at the rows of one table of a source that is not there yet: its first page. Nothing is stored."""
    return setup.preview(backend, caller, body)


@router.post("/source_prefix/", name="source_prefix", response_class=Response, openapi_extra=documented(PrefixQuestion))
def source_prefix(backend: BackendDep, caller: Writer, body: Question) -> Response:
    """Whether a new source may have this prefix: 400 says why not."""
    create_source.check_prefix(backend, caller, body.source_type, body.prefix or "", body.access_method)
    return Response()


@router.patch(
    "/{id}/revenue_analytics_config/",
    name="revenue_analytics_config",
    openapi_extra=documented(RevenueAnalyticsChanges),
)
def revenue_analytics_config(backend: BackendDep, caller: Writer, source_id: KnownSource, body: Changes) -> SourceBody:
    """Whether revenue analytics looks at this source, and whether at charges without an invoice too."""
    return edit_source.change_revenue_analytics(backend, caller, source_id, body)
