"""Who calls, for which project, and whether their key lets them."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.backend import Backend, BackendDep
from api.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from metadata.keys import EVERY_SCOPE, READ_SCOPE, WRITE_SCOPE, find_key, has_scope
from metadata.models import ApiKey
from metadata.projects import get_project

bearer = HTTPBearer(auto_error=False, scheme_name="apiKey", description="An API key of the project.")


@dataclass(frozen=True)
class Caller:
    """A key that may do what it asks for, in this project."""

    project_id: int
    label: str
    role: str


def _caller(scope: str) -> Callable[..., Caller]:
    def authenticate(
        backend: BackendDep,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
        project_id: Annotated[str, Path(json_schema_extra={"format": "int64"})],
    ) -> Caller:
        key = _key(backend, credentials)
        project = _project(backend, key, project_id)
        if not has_scope(key, scope):
            raise ForbiddenError(f"This API key does not have the scope {scope}.")
        return Caller(project, key.label, key.role)

    return authenticate


def _key(backend: Backend, credentials: HTTPAuthorizationCredentials | None) -> ApiKey:
    if credentials is None or not credentials.credentials:
        raise UnauthenticatedError("Send an API key: Authorization: Bearer <key>.")
    with backend.database.read() as session:
        key = find_key(session, credentials.credentials)
    if key is None:
        raise UnauthenticatedError("This API key is not valid.", code="authentication_failed")
    return key


def _project(backend: Backend, key: ApiKey, project_id: str) -> int:
    """The project that is asked for. Whether a foreign one exists is nobody's business."""
    if project_id == str(key.project_id):
        return key.project_id
    if EVERY_SCOPE in key.scopes and project_id.isascii() and project_id.isdigit() and len(project_id) < 10:
        with backend.database.read() as session:
            if get_project(session, int(project_id)) is not None:
                return int(project_id)
    raise NotFoundError


Reader = Annotated[Caller, Depends(_caller(READ_SCOPE))]
Writer = Annotated[Caller, Depends(_caller(WRITE_SCOPE))]


def _object_id(id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> uuid.UUID:
    try:
        return uuid.UUID(id)
    except ValueError as error:
        raise NotFoundError from error


ObjectId = Annotated[uuid.UUID, Depends(_object_id)]
"""The object that the path names. A malformed id is one that nobody has."""
