"""Who calls, for which project, and whether their key lets them."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.backend import Backend, BackendDep
from api.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from api.limits import ThrottledError
from metadata.keys import EDITOR, EVERY_SCOPE, MANAGER, READ_SCOPE, VIEWER, WRITE_SCOPE, Login, find_login, has_scope

ROLES = (VIEWER, EDITOR, MANAGER)
"""Each may do what those before it may."""

bearer = HTTPBearer(auto_error=False, scheme_name="apiKey", description="An API key of the project.")


@dataclass(frozen=True)
class Caller:
    """A key that may do what it asks for, in this project."""

    project_id: int
    label: str
    role: str
    key_id: uuid.UUID
    home_id: int
    """The project that the key belongs to; another than ``project_id`` only for the instance's own keys."""
    scopes: frozenset[str]
    expires_at: datetime | None


def _caller(scope: str, role: str) -> Callable[..., Caller]:
    def authenticate(
        request: Request,
        backend: BackendDep,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer, scopes=[scope])],
        project_id: Annotated[str, Path(json_schema_extra={"format": "int64"})],
    ) -> Caller:
        login = _login(backend, request, credentials, _number(project_id))
        project = login.asked_project_id
        if project is None or (project != login.project_id and EVERY_SCOPE not in login.scopes):
            # Whether a foreign project exists is nobody's business.
            raise NotFoundError
        return _allowed(login, project, scope, role)

    return authenticate


def _instance_caller(role: str) -> Callable[..., Caller]:
    """For calls that belong to no project: its own stands for it."""

    def authenticate(
        request: Request,
        backend: BackendDep,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer, scopes=[EVERY_SCOPE])],
    ) -> Caller:
        login = _login(backend, request, credentials, None)
        return _allowed(login, login.project_id, EVERY_SCOPE, role)

    return authenticate


def _login(
    backend: Backend, request: Request, credentials: HTTPAuthorizationCredentials | None, project_id: int | None
) -> Login:
    """Asked of the database anew each time, so that a revoked key ends with the next request."""
    if credentials is None or not credentials.credentials:
        raise UnauthenticatedError("Send an API key: Authorization: Bearer <key>.")
    secret, address = credentials.credentials, request.client.host if request.client else ""
    try:
        backend.limits.before(secret, address)
        with backend.database.read() as session:
            found = find_login(session, secret, project_id)
        if found is None:
            backend.limits.failed(address)
            raise UnauthenticatedError("This API key is not valid.", code="authentication_failed")
        backend.limits.succeeded(secret)
    except ThrottledError as error:
        backend.metrics.throttled(error.limit)
        raise
    return found


def _allowed(login: Login, project_id: int, scope: str, role: str) -> Caller:
    if not has_scope(login, scope):
        raise ForbiddenError(f"This API key does not have the scope {scope}.")
    if ROLES.index(login.role) < ROLES.index(role):
        raise ForbiddenError(f"This API key has the role {login.role}; this takes a {role}.")
    return Caller(project_id, login.label, login.role, login.key_id, login.project_id, login.scopes, login.expires_at)


def _number(project_id: str) -> int | None:
    """None for what no project can have."""
    if not (project_id.isascii() and project_id.isdigit() and len(project_id) < 10) or project_id.startswith("0"):
        return None
    return int(project_id)


Reader = Annotated[Caller, Depends(_caller(READ_SCOPE, VIEWER))]
Writer = Annotated[Caller, Depends(_caller(WRITE_SCOPE, EDITOR))]
KeyManager = Annotated[Caller, Depends(_caller(WRITE_SCOPE, MANAGER))]
InstanceReader = Annotated[Caller, Depends(_instance_caller(VIEWER))]
InstanceManager = Annotated[Caller, Depends(_instance_caller(MANAGER))]
ProjectReader = Annotated[Caller, Depends(_caller(EVERY_SCOPE, VIEWER))]
ProjectManager = Annotated[Caller, Depends(_caller(EVERY_SCOPE, MANAGER))]


def id_of(text: str) -> uuid.UUID:
    """An id in a path. A malformed one is one that nobody has."""
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise NotFoundError from error


async def _object_id(id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> uuid.UUID:
    return id_of(id)


ObjectId = Annotated[uuid.UUID, Depends(_object_id)]
"""The object that the path names."""
