"""The object that a path names, looked up before the body is read: who may not see it learns nothing from errors."""

import uuid
from typing import Annotated

from fastapi import Depends

from api.auth import ObjectId, Writer
from api.backend import BackendDep
from api.errors import NotFoundError
from metadata.live import live_schema
from metadata.sources import find_source


def _known_source(backend: BackendDep, caller: Writer, source_id: ObjectId) -> uuid.UUID:
    with backend.database.read() as session:
        if find_source(session, caller.project_id, source_id) is None:
            raise NotFoundError
    return source_id


def _known_schema(backend: BackendDep, caller: Writer, schema_id: ObjectId) -> uuid.UUID:
    with backend.database.read() as session:
        if live_schema(session, caller.project_id, str(schema_id)) is None:
            raise NotFoundError
    return schema_id


KnownSource = Annotated[uuid.UUID, Depends(_known_source)]
KnownSchema = Annotated[uuid.UUID, Depends(_known_schema)]
