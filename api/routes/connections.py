"""``/api/projects/:project_id/external_data_sources/connections/``

Registered before the sources' own routes, whose ``/{id}/`` would take this path for an id.
"""

import uuid

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.auth import Reader
from api.backend import BackendDep
from api.fixed_paths import FixedPath
from api.presentation import engine
from metadata.tables import direct_sources

router = APIRouter(
    prefix="/api/projects/{project_id}/external_data_sources", tags=["external_data_sources"], route_class=FixedPath
)


class ConnectionBody(BaseModel):
    """A direct source."""

    id: uuid.UUID
    prefix: str
    engine: str = Field(description="what answers queries there, for instance postgres")


@router.get("/connections/", name="connections")
def connections(backend: BackendDep, caller: Reader) -> list[ConnectionBody]:
    """The sources that are never copied but queried live, by prefix."""
    with backend.database.read() as session:
        return [
            ConnectionBody(id=source.id, prefix=source.prefix, engine=engine(source))
            for source in direct_sources(session, caller.project_id)
        ]
