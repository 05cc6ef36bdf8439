"""The capture of sources' changes, as the workers see it: what is wanted, and how far it came."""

import uuid
from collections.abc import Collection
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, delete, update
from sqlmodel import Session, col, or_, select

from metadata.database import Database, for_update
from metadata.errors import NotFoundError
from metadata.intents import CaptureIntent, capture_intent
from metadata.live import after, nothing_deleted, parse_id
from metadata.models import Capture, CaptureEvent, LogLevel, Project, Schema, Source, SyncType, utc_now
from metadata.vault import Vault

MIB = 2**20
"""What a megabyte is in thresholds."""

MOST_MESSAGE = 4000

GROWTH_WEIGHT = 0.5
"""What a new measurement counts beside those before: the log grows between captures and shrinks with each."""


class Captures:
    """Each call is one transaction and may be repeated. Ids are text; an unknown one is ignored. Thread-safe."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def intent(self, project_id: int, source_id: str) -> CaptureIntent | None:
        """Of a deleted source too, as long as there is something to remove; None where there is no capture.

        None as well while the API sets a capture up: it is nobody else's yet.
        """
        mine = select(Capture).where(Capture.source_id == parse_id(source_id), Capture.project_id == project_id)
        with self._database.read() as session:
            found = _intents(session, session.exec(mine.where(_unclaimed())).all())
        return found[0] if found else None

    def page(self, after_id: str | None, limit: int) -> list[CaptureIntent]:
        """All that ``intent`` would find, by source id."""
        some = select(Capture).where(_unclaimed(), *after(Capture.source_id, after_id))
        with self._database.read() as session:
            return _intents(session, session.exec(some.order_by(col(Capture.source_id)).limit(limit)).all())

    def inputs(self, source_id: str) -> dict[str, Any]:
        """The source's connection details in the clear, of a deleted source too."""
        with self._database.read() as session:
            source = session.exec(select(Source).where(Source.id == parse_id(source_id))).first()
        if source is None:
            raise NotFoundError("There is no such source.")
        return self._vault.decrypt(source.encrypted_inputs)

    def captured(self, source_id: str, epoch: int, sequence: int, position: int, captured_at: datetime | None) -> None:
        """An entry of the change log is there; where a time is given, with everything that was committed by then.

        Never goes back. Nothing happens for another epoch than the newest.
        """
        with self._database.transaction() as session:
            capture = locked_capture(session, source_id)
            if capture is None or capture.epoch != epoch:
                return
            capture.sequence = max(capture.sequence, sequence)
            capture.position = max(capture.position, position)
            if captured_at is not None:
                capture.captured_at = max(capture.captured_at or captured_at, captured_at)
            capture.latest_error = None
            session.add(capture)

    def failed(self, source_id: str, message: str) -> None:
        """What stands in the way, until something is captured again."""
        with self._database.transaction() as session:
            capture = locked_capture(session, source_id)
            if capture is None or capture.latest_error == message:
                return
            capture.latest_error = message
            session.add(capture)
            add_event(session, capture, LogLevel.ERROR, message, {"event": "failed"})

    def renewed(self, source_id: str, epoch: int, position: int, cluster: str | None, reason: str) -> None:
        """The slot was made anew, for this reason. Nothing happens unless the epoch follows on the newest."""
        with self._database.transaction() as session:
            capture = locked_capture(session, source_id)
            if capture is None or epoch != capture.epoch + 1:
                return
            capture.epoch, capture.sequence, capture.position, capture.cluster = epoch, 0, position, cluster
            capture.captured_at = capture.growth = capture.retained_bytes = capture.watched_at = None
            session.add(capture)
            fields = {"event": "renewed", "epoch": epoch, "position": position, "reason": reason}
            message = f"Capture begins again, and the tables are read anew: {reason}"
            add_event(session, capture, LogLevel.WARNING, message, fields)

    def watched(
        self,
        source_id: str,
        retained_bytes: int | None,
        lag_bytes: int | None,
        limit_bytes: int | None,
        wal_status: str | None,
        watched_at: datetime,
    ) -> None:
        """What the source says of the slot, and how fast the log that it keeps for us grows. That it passes a threshold
        is an event.
        """
        with self._database.transaction() as session:
            capture = locked_capture(session, source_id)
            if capture is None or (capture.watched_at is not None and capture.watched_at >= watched_at):
                return
            _note_crossing(session, capture, retained_bytes or 0)
            capture.growth = _growth(capture, retained_bytes, watched_at)
            capture.retained_bytes, capture.lag_bytes, capture.limit_bytes = retained_bytes, lag_bytes, limit_bytes
            capture.wal_status, capture.watched_at = wal_status, watched_at
            session.add(capture)

    def event(self, source_id: str, level: str, message: str, fields: dict[str, Any]) -> None:
        """Something that the source's people should know. Nothing happens where there is no capture."""
        with self._database.transaction() as session:
            capture = session.exec(select(Capture).where(Capture.source_id == parse_id(source_id))).first()
            if capture is not None:
                add_event(session, capture, LogLevel(level), message, fields)

    def removed(self, source_id: str) -> None:
        """Nothing of it is left at the source. Nothing happens to a capture that is not to be removed."""
        with self._database.transaction() as session:
            source = session.exec(for_update(select(Source).where(Source.id == parse_id(source_id)))).first()
            capture = locked_capture(session, source_id)
            if source is None or capture is None or not capture.removing or _is_claimed(capture):
                return
            delete_capture(session, source, capture)


def locked_capture(session: Session, source_id: uuid.UUID | str) -> Capture | None:
    """The caller that also locks the source has done so before."""
    mine = select(Capture).where(Capture.source_id == parse_id(str(source_id)))
    return session.exec(for_update(mine)).first()


def end_captures(session: Session, which: ColumnElement[bool]) -> None:
    """Nothing more is captured; what the sources keep for it waits to be dropped."""
    ended = {"removing": True, "updated_at": utc_now()}
    session.connection().execute(update(Capture).where(which, col(Capture.removing).is_(False)).values(ended))


def ended_captures(session: Session, project_id: int, most: int) -> list[str]:
    """The sources of those of the project that wait to be removed, at the most so many."""
    ended = select(Capture.source_id).where(Capture.project_id == project_id, col(Capture.removing))
    return [str(source_id) for source_id in session.exec(ended.order_by(col(Capture.source_id)).limit(most))]


def delete_capture(session: Session, source: Source, capture: Capture) -> None:
    """The source remembers the epoch: what another capture of it writes never mixes with what this one wrote."""
    source.capture_epoch = max(source.capture_epoch, capture.epoch)
    session.add(source)
    session.connection().execute(delete(Capture).where(col(Capture.source_id) == capture.source_id))


def add_event(session: Session, capture: Capture, level: LogLevel, message: str, fields: dict[str, Any]) -> None:
    text = message[:MOST_MESSAGE].replace("\0", "")
    session.add(
        CaptureEvent(
            project_id=capture.project_id, source_id=capture.source_id, level=level, message=text, fields=fields
        )
    )


def newest_events(session: Session, source_id: uuid.UUID, most: int) -> list[CaptureEvent]:
    newest_first = (col(CaptureEvent.at).desc(), col(CaptureEvent.id).desc())
    mine = select(CaptureEvent).where(CaptureEvent.source_id == source_id)
    return list(session.exec(mine.order_by(*newest_first).limit(most)))


def captures_of(session: Session, source_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Capture]:
    """Those that are on, by source."""
    on = select(Capture).where(col(Capture.source_id).in_(source_ids), col(Capture.removing).is_(False))
    return {capture.source_id: capture for capture in session.exec(on)}


def _intents(session: Session, captures: Collection[Capture]) -> list[CaptureIntent]:
    ids = [capture.source_id for capture in captures]
    sources = {source.id: source for source in session.exec(select(Source).where(col(Source.id).in_(ids)))}
    captured = _captured_schemas(session, ids)
    return [capture_intent(each, sources[each.source_id], captured.get(each.source_id, ())) for each in captures]


def _captured_schemas(session: Session, source_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[Schema]]:
    wanted = (
        select(Schema)
        .join(Source, col(Source.id) == Schema.source_id)
        .join(Project, col(Project.id) == Schema.project_id)
        .where(col(Schema.source_id).in_(source_ids), Schema.sync_type == SyncType.CDC, col(Schema.should_sync))
        .where(*nothing_deleted())
        .order_by(col(Schema.source_id), col(Schema.id))
    )
    return {key: list(some) for key, some in groupby(session.exec(wanted), lambda schema: schema.source_id)}


def _unclaimed() -> ColumnElement[bool]:
    return or_(col(Capture.claimed_until).is_(None), col(Capture.claimed_until) <= utc_now())


def _is_claimed(capture: Capture) -> bool:
    return capture.claimed_until is not None and capture.claimed_until > utc_now()


def _note_crossing(session: Session, capture: Capture, retained_bytes: int) -> None:
    before = capture.retained_bytes or 0
    for name, threshold_mb, level in (
        ("critical", capture.critical_mb, LogLevel.ERROR),
        ("warning", capture.warning_mb, LogLevel.WARNING),
    ):
        if before < threshold_mb * MIB <= retained_bytes:
            message = f"The source keeps more than {threshold_mb:,} MB of its log for us, the {name} threshold."
            add_event(session, capture, level, message, {"event": name, "retained_bytes": retained_bytes})
            return


def _growth(capture: Capture, retained_bytes: int | None, watched_at: datetime) -> float | None:
    if retained_bytes is None or capture.retained_bytes is None or capture.watched_at is None:
        return None if retained_bytes is None else capture.growth
    seconds = max((watched_at - capture.watched_at).total_seconds(), 1.0)
    measured = (retained_bytes - capture.retained_bytes) / seconds
    return measured if capture.growth is None else GROWTH_WEIGHT * measured + (1 - GROWTH_WEIGHT) * capture.growth
