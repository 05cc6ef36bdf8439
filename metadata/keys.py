"""API keys. A secret is known to its owner only; the database keeps its SHA-256."""

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, text
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, or_, select

from metadata.database import for_update
from metadata.models import ApiKey, Project, utc_now

READ_SCOPE = "external_data_source:read"
WRITE_SCOPE = "external_data_source:write"
EVERY_SCOPE = "*"
"""The instance's own key: may do everything, in every project."""
SCOPES = frozenset({READ_SCOPE, WRITE_SCOPE, EVERY_SCOPE})
VIEWER, EDITOR, MANAGER = "viewer", "editor", "manager"
ROLES = frozenset({VIEWER, EDITOR, MANAGER})
"""A viewer reads whatever its scopes say, an editor also writes, a manager also looks after keys and projects."""

SECRET_PREFIX = "slk_"  # noqa: S105  what every secret begins with, no secret
FIRST_PROJECT_ID = 1
BOOTSTRAP_LOCK = 0x53594E43_00000002
"""Key of the PostgreSQL advisory lock that lets one process at a time make the first key."""


def create_key(
    session: Session,
    project_id: int,
    label: str,
    scopes: Iterable[str],
    role: str = "manager",
    expires_at: datetime | None = None,
    secret: str | None = None,
    created_by: str | None = None,
) -> tuple[ApiKey, str]:
    """The key and its secret, which cannot be read again. ``ValueError`` for an unknown scope or role."""
    granted = sorted(set(scopes))
    if unknown := set(granted) - SCOPES:
        raise ValueError(f"There is no such scope: {', '.join(sorted(unknown))}.")
    if role not in ROLES:
        raise ValueError(f"There is no such role: {role}.")
    plain = f"{SECRET_PREFIX}{secrets.token_urlsafe(30)}" if secret is None else secret
    if not plain:
        raise ValueError("A key needs a secret.")
    key = ApiKey(
        project_id=project_id,
        label=label,
        secret_hash=_hash(plain),
        secret_hint=_hint(plain),
        scopes=granted,
        role=role,
        expires_at=expires_at,
        created_by=created_by,
    )
    session.add(key)
    session.flush()
    return key, plain


def find_key(session: Session, secret: str) -> ApiKey | None:
    """The key of this secret; None where it is unknown, expired or revoked, or its project was deleted."""
    return session.exec(
        select(ApiKey).join(Project, col(Project.id) == ApiKey.project_id).where(*_opened_by(secret))
    ).first()


def find_login(session: Session, secret: str, project_id: int | None) -> tuple[ApiKey, int | None] | None:
    """As ``find_key``, together with the project that is asked for, None where it does not exist: one query."""
    asked = aliased(Project)
    found = session.exec(
        select(ApiKey, asked.id)
        .join(Project, col(Project.id) == ApiKey.project_id)
        .outerjoin(asked, and_(col(asked.id) == project_id, col(asked.deleted_at).is_(None)))
        .where(*_opened_by(secret))
    ).first()
    return None if found is None else (found[0], found[1])


def _opened_by(secret: str) -> tuple[ColumnElement[bool], ...]:
    unexpired = or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > utc_now())
    living: tuple[Any, ...] = (col(ApiKey.revoked_at).is_(None), unexpired, col(Project.deleted_at).is_(None))
    return (col(ApiKey.secret_hash) == _hash(secret), *living)


def has_scope(key: ApiKey, scope: str) -> bool:
    return EVERY_SCOPE in key.scopes or scope in key.scopes


def list_keys(session: Session, project_id: int) -> list[ApiKey]:
    """Every key of the project, revoked ones too, newest first."""
    return list(
        session.exec(
            select(ApiKey)
            .where(ApiKey.project_id == project_id)
            .order_by(col(ApiKey.created_at).desc(), col(ApiKey.id))
        )
    )


def page_of_keys(session: Session, project_id: int, limit: int, offset: int) -> tuple[int, list[ApiKey]]:
    """How many keys of the project are not revoked, and one page of them, newest first."""
    found = select(ApiKey).where(ApiKey.project_id == project_id, col(ApiKey.revoked_at).is_(None))
    count = session.exec(select(func.count()).select_from(found.subquery())).one()
    newest_first = found.order_by(col(ApiKey.created_at).desc(), col(ApiKey.id))
    return count, list(session.exec(newest_first.limit(limit).offset(offset)))


def get_key(session: Session, project_id: int, key_id: uuid.UUID, *, lock: bool = False) -> ApiKey | None:
    """None where the project has no such key that is not revoked."""
    found = select(ApiKey).where(ApiKey.id == key_id, ApiKey.project_id == project_id, col(ApiKey.revoked_at).is_(None))
    return session.exec(for_update(found) if lock else found).first()


def revoke_key(session: Session, project_id: int, key_id: uuid.UUID) -> bool:
    """From now on nobody gets in with it. False where the project has no such key that is still valid."""
    key = get_key(session, project_id, key_id, lock=True)
    if key is None:
        return False
    key.revoked_at = utc_now()
    session.add(key)
    return True


def ensure_bootstrap(session: Session, secret: str | None) -> str | None:
    """Make sure that somebody can get in: project 1 exists, and has had a key.

    A configured ``secret`` becomes a key where it is none yet; one that was revoked stays so. Returns the
    secret of a key made now, else None.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(select(func.pg_advisory_xact_lock(BOOTSTRAP_LOCK)))
    if session.get(Project, FIRST_PROJECT_ID) is None:
        _create_first_project(session)
    of_interest = select(ApiKey.id).where(
        ApiKey.project_id == FIRST_PROJECT_ID if secret is None else ApiKey.secret_hash == _hash(secret)
    )
    if session.exec(of_interest.limit(1)).first() is not None:
        return None
    return create_key(session, FIRST_PROJECT_ID, "first key", [EVERY_SCOPE], secret=secret)[1]


def _create_first_project(session: Session) -> None:
    session.add(Project(id=FIRST_PROJECT_ID, name="default"))
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        # A number that was given by hand does not move the sequence that gives the next one.
        session.connection().execute(
            text("SELECT setval(pg_get_serial_sequence('project', 'id'), (SELECT max(id) FROM project))")
        )


def _hash(secret: str) -> str:
    """Secrets are random and long, so a plain hash is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _hint(secret: str) -> str:
    """The first characters, to tell keys apart; nothing of a short secret that somebody chose."""
    return secret[: len(SECRET_PREFIX) + 4] if len(secret) >= 32 else ""
