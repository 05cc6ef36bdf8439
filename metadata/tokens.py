"""Tokens of logins that all processes share: encrypted, under the account that they belong to."""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from metadata.database import Database, clock, database_of_process
from metadata.models import LoginTokens
from metadata.vault import Vault

UNUSED = timedelta(days=365)
"""After so long nobody comes back for a login's tokens. Sooner, a source that was paused would have lost its own."""
_NOTED_SECONDS = 86_400
"""How exactly it is known when tokens were last used."""


@dataclass(frozen=True)
class KeptTokens:
    """``connectors.tokens.Kept``."""

    version: int = 0
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    good_seconds: float | None = None
    claimed_seconds: float = 0.0


@dataclass(frozen=True)
class SharedTokens:
    """``connectors.tokens.Tokens``, by the clock of the database. No transaction outlasts a call."""

    database_url: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)

    def kept(self, account: str) -> KeptTokens:
        database = database_of_process(self.database_url)
        with database.read() as session:
            found = session.execute(
                select(LoginTokens, clock(session)).where(col(LoginTokens.account) == account)
            ).first()
        if found is None:
            return KeptTokens()
        row, now = found
        if now - row.used_at > _NOTED_SECONDS:
            _note_use(database, account)
        return KeptTokens(
            row.version,
            {} if row.encrypted_values is None else _vault(self.encryption_keys).decrypt(row.encrypted_values),
            None if row.good_until is None else row.good_until - now,
            max(0.0, row.claimed_until - now),
        )

    def claim(self, account: str, version: int, seconds: float) -> str | None:
        claim = secrets.token_hex(16)
        with database_of_process(self.database_url).transaction() as session:
            now = clock(session)
            insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
            row = {"account": account, "version": 0, "claimed_until": 0.0, "used_at": now}
            session.execute(insert(LoginTokens).values(**row).on_conflict_do_nothing())
            won = session.execute(
                _at(account, version)
                .where(col(LoginTokens.claimed_until) <= now)
                .values(claim=claim, claimed_until=now + seconds, used_at=now)
                .returning(col(LoginTokens.account))
            ).first()
        return None if won is None else claim

    def release(self, account: str, claim: str) -> None:
        mine = update(LoginTokens).where(col(LoginTokens.account) == account, col(LoginTokens.claim) == claim)
        with database_of_process(self.database_url).transaction() as session:
            session.execute(mine.values(claim=None, claimed_until=0.0))

    def keep(self, account: str, version: int, values: Mapping[str, str], good_seconds: float | None) -> bool:
        encrypted = _vault(self.encryption_keys).encrypt(values)
        with database_of_process(self.database_url).transaction(lasting=True) as session:
            now = clock(session)
            kept = session.execute(
                _at(account, version)
                .values(
                    version=version + 1,
                    encrypted_values=encrypted,
                    good_until=None if good_seconds is None else now + good_seconds,
                    claim=None,
                    claimed_until=0.0,
                    used_at=now,
                )
                .returning(col(LoginTokens.account))
            ).first()
        return kept is not None


def delete_unused_tokens(database: Database) -> int:
    """Those that nobody has used for ``UNUSED``, and logins that never got any; how many they were."""
    with database.transaction() as session:
        unused_seconds = clock(session) - col(LoginTokens.used_at)
        never_kept = and_(col(LoginTokens.version) == 0, unused_seconds > _NOTED_SECONDS)
        unused = or_(unused_seconds > UNUSED.total_seconds(), never_kept)
        return session.connection().execute(delete(LoginTokens).where(unused)).rowcount


def _at(account: str, version: int) -> Any:
    return update(LoginTokens).where(col(LoginTokens.account) == account, col(LoginTokens.version) == version)


def _note_use(database: Database, account: str) -> None:
    """Tokens are as good without it: the next one who uses them notes it."""
    with suppress(SQLAlchemyError), database.transaction() as session:
        session.execute(update(LoginTokens).where(col(LoginTokens.account) == account).values(used_at=clock(session)))


@cache
def _vault(keys: tuple[str, ...]) -> Vault:
    return Vault(keys)
