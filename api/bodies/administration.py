"""Projects and API keys: what clients send, and what they get to see."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.bodies.moments import Moment
from api.bodies.reading import RequestBody, storable

Name = Annotated[str, Field(min_length=1, max_length=200), storable]
Scope = Literal["external_data_source:read", "external_data_source:write", "*"]
Role = Literal["viewer", "editor", "manager"]


class ProjectCreate(RequestBody):
    name: Name


class ProjectChanges(RequestBody):
    """What is absent stays as it is."""

    name: Name = Field(default="", description="may be absent, but not empty")


class ProjectBody(BaseModel):
    """A tenant: its sources, tables and keys are nobody else's."""

    id: int
    name: str
    created_at: datetime


class KeyCreate(RequestBody):
    label: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=100)] = Field(
        description="`external_data_source:read` for GET, `external_data_source:write` for all else; `*` is an "
        "instance key, which may do everything in every project"
    )
    role: Role = Field(
        default="editor",
        description="a viewer reads whatever the scopes say, an editor also writes, a manager also looks after keys",
    )
    expires_at: Moment | None = Field(
        default=None, description="in the future; null for no end, or the end of the key that makes it"
    )


class KeyBody(BaseModel):
    """A key, without its secret, which nobody can read again."""

    id: uuid.UUID
    label: str
    secret_hint: str = Field(description="the first characters of the secret, to tell keys apart")
    scopes: list[str]
    role: str
    created_at: datetime
    created_by: str | None = Field(description="label of the key that made it")
    expires_at: datetime | None


class NewKeyBody(KeyBody):
    """A key with its secret, which is shown only now."""

    secret: str = Field(description="what goes behind `Authorization: Bearer`")
