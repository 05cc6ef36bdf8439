"""The object that a path names, looked up before the body is read: who may not see it learns nothing from errors."""

import uuid
from typing import Annotated

from fastapi import Depends

from api.auth import Caller, ObjectId, Writer
from api.backend import Backend, BackendDep
from api.errors import NotFoundError
from metadata.live import live_schema
from metadata.models import Source
from metadata.sources import find_source


def live_source(backend: Backend, caller: Caller, source_id: uuid.UUID) -> Source:
    """The project's source; ``NotFoundError`` where it has no such one."""
    with backend.database.read() as session:
        source = find_source(session, caller.project_id, source_id)
    if source is None:
        raise NotFoundError
    return source


def _known_source(backend: BackendDep, caller: Writer, source_id: ObjectId) -> uuid.UUID:
    return live_source(backend, caller, source_id).id


def _known_schema(backend: BackendDep, caller: Writer, schema_id: ObjectId) -> uuid.UUID:
    with backend.database.read() as session:
        if live_schema(session, caller.project_id, str(schema_id)) is None:
            raise NotFoundError
    return schema_id


KnownSource = Annotated[uuid.UUID, Depends(_known_source)]
KnownSchema = Annotated[uuid.UUID, Depends(_known_schema)]
