"""``/api/projects/:project_id/api_keys/``"""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, status

from api.actions import api_keys
from api.auth import KeyManager, id_of
from api.backend import BackendDep
from api.bodies.administration import KeyBody, KeyCreate, NewKeyBody
from api.bodies.reading import documented, reader
from api.pagination import Page, PageDep
from metadata.keys import page_of_keys

router = APIRouter(prefix="/api/projects/{project_id}/api_keys", tags=["api_keys"])

New = Annotated[KeyCreate, Depends(reader(KeyCreate))]


async def _key_id(key_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> uuid.UUID:
    return id_of(key_id)


KeyId = Annotated[uuid.UUID, Depends(_key_id)]


@router.get("/", name="list")
def index(backend: BackendDep, caller: KeyManager, page: PageDep) -> Page[KeyBody]:
    """The project's keys that are not revoked, newest first, without their secrets."""
    with backend.database.read() as session:
        count, keys = page_of_keys(session, caller.project_id, page.limit, page.offset)
    return page.page(count, [api_keys.key_body(key) for key in keys])


@router.post("/", name="create", status_code=status.HTTP_201_CREATED, openapi_extra=documented(KeyCreate))
def create(backend: BackendDep, caller: KeyManager, body: New) -> NewKeyBody:
    """Make a key. Its secret is in this answer and nowhere else."""
    return api_keys.create(backend, caller, body)


@router.delete("/", name="destroy_many", status_code=status.HTTP_204_NO_CONTENT)
def destroy_many(
    backend: BackendDep,
    caller: KeyManager,
    id: Annotated[list[uuid.UUID], Query(min_length=1, max_length=1000, description="may be repeated")],
) -> None:
    """Revoke the keys that are named, all or none."""
    api_keys.revoke(backend, caller, id)


@router.get("/{key_id}/", name="retrieve")
def retrieve(backend: BackendDep, caller: KeyManager, key_id: KeyId) -> KeyBody:
    """One key, without its secret."""
    return api_keys.retrieve(backend, caller, key_id)


@router.delete("/{key_id}/", name="destroy", status_code=status.HTTP_204_NO_CONTENT)
def destroy(backend: BackendDep, caller: KeyManager, key_id: KeyId) -> None:
    """Revoke it: nobody gets in with it any more, from now on."""
    api_keys.revoke(backend, caller, [key_id])
