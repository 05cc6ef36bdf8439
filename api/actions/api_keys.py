"""The keys of a project. Nobody gives away, or takes away, more than they have themselves."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from api.auth import Caller
from api.backend import Backend
from api.bodies.administration import KeyBody, KeyCreate, NewKeyBody
from api.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from metadata.keys import EVERY_SCOPE, create_key, get_key, revoke_key
from metadata.models import ApiKey, utc_now


def create(backend: Backend, caller: Caller, body: KeyCreate) -> NewKeyBody:
    """The only answer that has the secret."""
    if not _covers(caller, body.scopes):
        raise ForbiddenError("A key gives away no scopes but its own.", attr="scopes")
    expires_at = _expiry(caller, body.expires_at)
    with backend.database.transaction() as session:
        key, secret = create_key(
            session, caller.project_id, body.label, body.scopes, body.role, expires_at, created_by=caller.label
        )
    return NewKeyBody(**key_body(key).model_dump(), secret=secret)


def retrieve(backend: Backend, caller: Caller, key_id: uuid.UUID) -> KeyBody:
    with backend.database.read() as session:
        key = get_key(session, caller.project_id, key_id)
    if key is None:
        raise NotFoundError
    return key_body(key)


def revoke(backend: Backend, caller: Caller, key_ids: Sequence[uuid.UUID]) -> None:
    """All of them or none: nobody gets in with them once this is done."""
    if caller.key_id in key_ids:
        raise ConflictError("This key is the one of this very call: revoke it with another one.", code="in_use")
    with backend.database.transaction() as session:
        for key_id in sorted(set(key_ids)):
            key = get_key(session, caller.project_id, key_id, lock=True)
            if key is None:
                raise NotFoundError
            if not _covers(caller, key.scopes):
                raise ForbiddenError(f"The key {key.label} has scopes that this one does not have.")
            revoke_key(session, caller.project_id, key_id)


def key_body(key: ApiKey) -> KeyBody:
    return KeyBody.model_validate(key, from_attributes=True)


def _covers(caller: Caller, scopes: Sequence[str]) -> bool:
    return EVERY_SCOPE in caller.scopes or caller.scopes.issuperset(scopes)


def _expiry(caller: Caller, wanted: datetime | None) -> datetime | None:
    """What was asked for, as long as the key that asks has not ended by then itself."""
    if wanted is None:
        return caller.expires_at
    if wanted <= utc_now():
        raise InvalidError("This time is in the past: give a later one.", attr="expires_at")
    if caller.expires_at is not None and wanted > caller.expires_at:
        raise ForbiddenError("A key makes none that outlives it.", attr="expires_at")
    return wanted
