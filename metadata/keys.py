"""API keys. A secret is known to its owner only; the database keeps its SHA-256."""

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import Select, and_, bindparam, func, text
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


@dataclass(frozen=True)
class Login:
    """A key that is valid now, and what was asked for with it."""

    key_id: uuid.UUID
    project_id: int
    """The key's own."""
    label: str
    role: str
    scopes: frozenset[str]
    expires_at: datetime | None
    asked_project_id: int | None
    """None where the project that is asked for does not exist."""


def find_login(session: Session, secret: str, project_id: int | None = None) -> Login | None:
    """Who the key of this secret lets in, together with the project that is asked for: one query, for every request.

    None where the key is unknown, expired or revoked, or its own project was deleted.
    """
    asked = {"hash": _hash(secret), "now": utc_now(), "asked": project_id}
    found = session.connection().execute(_LOGIN, asked).first()
    if found is None:
        return None
    key_id, project, label, role, scopes, expires_at, asked_id = found
    return Login(key_id, project, label, role, frozenset(scopes), expires_at, asked_id)


def _login_statement() -> Select[Any]:
    """Built once: that takes four times as long as to have it answered."""
    asked = aliased(Project)
    expires_at = col(ApiKey.expires_at)
    columns: list[Any] = [
        getattr(ApiKey, name) for name in ("id", "project_id", "label", "role", "scopes", "expires_at")
    ]
    return (
        sqlalchemy.select(*columns, col(asked.id))
        .join(Project, col(Project.id) == ApiKey.project_id)
        .outerjoin(asked, and_(col(asked.id) == bindparam("asked"), col(asked.deleted_at).is_(None)))
        .where(
            col(ApiKey.secret_hash) == bindparam("hash"),
            col(ApiKey.revoked_at).is_(None),
            or_(expires_at.is_(None), expires_at > bindparam("now")),
            col(Project.deleted_at).is_(None),
        )
    )


_LOGIN = _login_statement()


def has_scope(login: Login, scope: str) -> bool:
    return EVERY_SCOPE in login.scopes or scope in login.scopes


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
