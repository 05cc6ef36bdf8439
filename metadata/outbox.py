"""The outbox: what committed changes still want of Temporal.

A wish is written in the transaction of the change that makes it, fulfilled after the commit, and deleted once Temporal
has done it. Whoever fulfils a schema's wishes claims all of them for a while, so that nobody overtakes: what is told to
Temporal is what the settings say at the time of the claim, never what they said when the wish was written.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import delete, func, update
from sqlmodel import Session, col, or_, select

from metadata.database import Database, for_update
from metadata.intents import ScheduleIntent, schedule_intent
from metadata.inventory import schedulable_schemas
from metadata.models import Job, JobStatus, Schema, SchemaState, Wish, WishKind, utc_now

LEASE = timedelta(seconds=20)
"""How long a claim holds where its owner dies."""

FIRST_WAIT_SECONDS = 1
LONGEST_WAIT_SECONDS = 60


@dataclass(frozen=True)
class PendingWish:
    """``id`` tells Temporal a repetition from a new request."""

    id: str
    kind: WishKind


@dataclass(frozen=True)
class Errand:
    """A schema's wishes, oldest first, and what holds for it now."""

    project_id: int
    schema_id: str
    wishes: tuple[PendingWish, ...]
    intent: ScheduleIntent | None
    """None where the schema is deleted or has no sync type."""
    rebuilding: bool
    """A run of the newest generation is under way: it is the rebuild that a resync asks for."""


@dataclass(frozen=True)
class Backlog:
    """How much waits, and since when."""

    length: int
    oldest: datetime | None


def wish(session: Session, schemas: Collection[Schema], *kinds: WishKind) -> None:
    """Write down what the change that this transaction makes wants of Temporal, in this order for each schema."""
    now = utc_now()
    session.add_all(
        Wish(
            project_id=schema.project_id,
            schema_id=schema.id,
            kind=kind,
            created_at=now + timedelta(microseconds=place),
            due_at=now,
        )
        for schema in schemas
        for place, kind in enumerate(kinds)
    )


class Outbox:
    """What waits, claimed by one process at a time. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, limit: int) -> list[str]:
        """Schemas with wishes that nobody is about to fulfil, those that wait longest first."""
        now = utc_now()
        with self._database.read() as session:
            found = session.exec(
                select(Wish.schema_id)
                .where(Wish.due_at <= now, or_(col(Wish.claimed_until).is_(None), col(Wish.claimed_until) <= now))
                .group_by(col(Wish.schema_id))
                .order_by(func.min(Wish.due_at))
                .limit(limit)
            )
            return [str(schema_id) for schema_id in found]

    def claim(self, schema_ids: Collection[str]) -> list[Errand]:
        """All wishes of these schemas, for the time of a lease. Schemas that somebody else has claimed are left out."""
        ids = [uuid.UUID(schema_id) for schema_id in schema_ids]
        now = utc_now()
        with self._database.transaction() as session:
            # The schema's lock makes two claims at once see each other.
            in_order = select(Schema).where(col(Schema.id).in_(ids)).order_by(col(Schema.id))
            locked = {schema.id: schema for schema in session.exec(for_update(in_order))}
            waiting = select(Wish).where(col(Wish.schema_id).in_(ids)).order_by(col(Wish.schema_id), *_IN_ORDER)
            grouped = {key: list(wishes) for key, wishes in groupby(session.exec(waiting), lambda w: w.schema_id)}
            free = {key: wishes for key, wishes in grouped.items() if not _claimed(wishes, now)}
            session.connection().execute(
                update(Wish).where(col(Wish.schema_id).in_(free)).values(claimed_until=now + LEASE)
            )
            intents, rebuilding = _intents(session, free), _rebuilding(session, free)
            return [
                Errand(
                    project_id=locked[key].project_id,
                    schema_id=str(key),
                    wishes=tuple(PendingWish(str(one.id), WishKind(one.kind)) for one in wishes),
                    intent=intents.get(key),
                    rebuilding=key in rebuilding,
                )
                for key, wishes in free.items()
            ]

    def fulfilled(self, wish_ids: Collection[str]) -> None:
        with self._database.transaction() as session:
            session.connection().execute(delete(Wish).where(col(Wish.id).in_([uuid.UUID(one) for one in wish_ids])))

    def failed(self, reasons: Mapping[str, str]) -> None:
        """Give these schemas' claims back, by schema id; they are due again after a wait that grows with each time."""
        now = utc_now()
        with self._database.transaction() as session:
            ids = [uuid.UUID(schema_id) for schema_id in reasons]
            for left in session.exec(for_update(select(Wish).where(col(Wish.schema_id).in_(ids)))):
                wait = min(FIRST_WAIT_SECONDS * 2**left.attempts, LONGEST_WAIT_SECONDS)
                left.attempts = min(left.attempts + 1, 20)
                left.due_at, left.claimed_until = now + timedelta(seconds=wait), None
                left.latest_error = reasons[str(left.schema_id)]
                session.add(left)

    def backlog(self) -> Backlog:
        with self._database.read() as session:
            length, oldest = session.exec(select(func.count(), func.min(Wish.created_at))).one()
            return Backlog(length, oldest)


_IN_ORDER = (col(Wish.created_at), col(Wish.id))


def _claimed(wishes: Collection[Wish], now: datetime) -> bool:
    return any(one.claimed_until is not None and one.claimed_until > now for one in wishes)


def _intents(session: Session, schema_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ScheduleIntent]:
    found = session.exec(schedulable_schemas().where(col(Schema.id).in_(schema_ids)))
    return {schema.id: schedule_intent(schema, source, state) for schema, source, state in found}


def _rebuilding(session: Session, schema_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    newest = (
        select(Job.schema_id)
        .join(SchemaState, col(SchemaState.schema_id) == Job.schema_id)
        .where(col(Job.schema_id).in_(schema_ids), Job.status == JobStatus.RUNNING)
        .where(Job.generation >= SchemaState.generation)
    )
    return set(session.exec(newest))
