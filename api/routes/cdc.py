"""``/api/projects/:project_id/external_data_sources/``: change data capture.

Registered before the sources' own routes, whose ``/{id}/`` would take the first path for an id.
"""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.actions import cdc
from api.actions import cdc_status as status
from api.auth import ObjectId, Reader, Writer
from api.backend import BackendDep
from api.bodies.cdc import (
    CdcConnection,
    CdcDisabled,
    CdcEnabled,
    CdcPrerequisites,
    CdcSettingsKept,
    CdcStatus,
)
from api.bodies.cdc_requests import CdcQuestion, CdcSettings, CdcSetup
from api.bodies.reading import documented, reader
from api.fixed_paths import FixedPath
from api.objects import KnownSource

router = APIRouter(
    prefix="/api/projects/{project_id}/external_data_sources", tags=["external_data_sources"], route_class=FixedPath
)

Planned = Annotated[CdcConnection, Depends(reader(CdcConnection))]
Question = Annotated[CdcQuestion, Depends(reader(CdcQuestion))]
Setup = Annotated[CdcSetup, Depends(reader(CdcSetup))]
Settings = Annotated[CdcSettings, Depends(reader(CdcSettings))]


@router.post("/check_cdc_prerequisites/", name="check_cdc_prerequisites", openapi_extra=documented(CdcConnection))
def check_cdc_prerequisites(backend: BackendDep, caller: Writer, body: Planned) -> CdcPrerequisites:
    """Whether a source that is not there yet could have change data capture, and what stands in the way."""
    return cdc.prerequisites(backend, caller, body)


@router.post(
    "/{id}/check_cdc_prerequisites_for_source/",
    name="check_cdc_prerequisites_for_source",
    openapi_extra=documented(CdcQuestion),
)
def check_cdc_prerequisites_for_source(
    backend: BackendDep, caller: Writer, source_id: KnownSource, body: Question
) -> CdcPrerequisites:
    """Whether this source could have change data capture, and what stands in the way."""
    return cdc.prerequisites_of_source(backend, caller, source_id, body)


@router.post("/{id}/enable_cdc/", name="enable_cdc", openapi_extra=documented(CdcSetup))
def enable_cdc(backend: BackendDep, caller: Writer, source_id: KnownSource, body: Setup) -> CdcEnabled:
    """Begin to capture changes. 400 with `errors` says what stands in the way, 409 that it is enabled already."""
    return cdc.enable(backend, caller, source_id, body)


@router.post("/{id}/disable_cdc/", name="disable_cdc")
def disable_cdc(backend: BackendDep, caller: Writer, source_id: KnownSource) -> CdcDisabled:
    """End the capture of changes; the data stays, without a sync type. Nothing happens where it is not enabled."""
    return cdc.disable(backend, caller, source_id)


@router.post("/{id}/update_cdc_settings/", name="update_cdc_settings", openapi_extra=documented(CdcSettings))
def update_cdc_settings(backend: BackendDep, caller: Writer, source_id: KnownSource, body: Settings) -> CdcSettingsKept:
    """Change how changes are captured, and the thresholds. 400 where change data capture is not enabled."""
    return cdc.update(backend, caller, source_id, body)


@router.get("/{id}/cdc_status/", name="cdc_status")
def cdc_status(backend: BackendDep, caller: Reader, source_id: ObjectId) -> CdcStatus:
    """Whether changes are captured, and how far behind that is. 400 where the source does not answer."""
    return status.status(backend, caller, source_id)
