"""A capture while it is being set up: claimed by one request before the source hears of it.

Nobody else sets it up meanwhile, nor takes for his own what that request makes at the source. A claim that nobody keeps
runs out, and then what may have been made is dropped like that of any capture that is to be removed.
"""

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, delete
from sqlmodel import Session, col, or_, select

from metadata.captures import add_event, delete_capture, locked_capture
from metadata.errors import MetadataError
from metadata.models import Capture, DeleteMode, LogLevel, Source, utc_now


class CaptureTakenError(MetadataError):
    """The source has a capture, or is about to have or to lose one; the text says which."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True)
class CaptureSettings:
    """What a user decides about a capture; named as in the metadata."""

    slot_name: str
    publication_name: str
    managed: bool = True
    auto_drop_slot: bool = False
    warning_mb: int = 1024
    critical_mb: int = 10240
    delete_mode: str = DeleteMode.HARD
    continuous: bool = False


@dataclass(frozen=True)
class Claim:
    """The right to set a source's capture up, until that time, which also tells it from other claims."""

    project_id: int
    source_id: uuid.UUID
    until: datetime
    newborn: bool
    """The source itself only comes to life with its capture: until then it counts as deleted."""


def refuse_taken(capture: Capture | None) -> None:
    """``CaptureTakenError`` unless there is none."""
    if capture is None:
        return
    if not capture.removing:
        raise CaptureTakenError("Change data capture is enabled for this source already.", "already_enabled")
    if capture.claimed_until is not None and capture.claimed_until > utc_now():
        raise CaptureTakenError("Change data capture is being enabled for this source right now.", "being_enabled")
    raise CaptureTakenError(
        "Change data capture was ended for this source, and what is left of it there is still being dropped: "
        "try again in a moment.",
        "being_removed",
    )


def claim_capture(
    session: Session, source: Source, settings: CaptureSettings, cluster: str | None, lease: timedelta
) -> Claim:
    """The caller holds the lock of the source, or has it to himself. ``CaptureTakenError`` where there is a capture, or
    where another source's has what this one is to have in the same cluster.
    """
    refuse_taken(locked_capture(session, source.id))
    if cluster is not None:
        _refuse_shared(session, settings, cluster)
    claim = Claim(source.project_id, source.id, utc_now() + lease, newborn=source.deleted_at is not None)
    session.add(
        Capture(
            **asdict(settings),
            source_id=source.id,
            project_id=source.project_id,
            epoch=source.capture_epoch + 1,
            cluster=cluster,
            removing=True,
            claimed_until=claim.until,
        )
    )
    session.flush()
    return claim


def start_capture(session: Session, claim: Claim, position: int) -> bool:
    """What the source keeps is there, from this position on: the capture is on. False where the claim has run out."""
    capture = _claimed(session, claim)
    if capture is None or claim.until <= utc_now():
        return False
    capture.removing, capture.claimed_until, capture.position = False, None, position
    session.add(capture)
    message = f"Change data capture was enabled, with the slot {capture.slot_name}."
    add_event(session, capture, LogLevel.INFO, message, {"event": "enabled", "epoch": capture.epoch})
    return True


def is_held(session: Session, claim: Claim) -> bool:
    """Whether what was made at the source is still this claim's, and nobody else's. Takes no lock."""
    capture = session.get(Capture, claim.source_id)
    return capture is not None and capture.claimed_until == claim.until


def release_capture(session: Session, claim: Claim, *, clean: bool) -> None:
    """It was not to be. ``clean``: nothing is left at the source; else that waits to be dropped."""
    capture = _claimed(session, claim)
    if capture is None:
        return
    if not clean:
        capture.claimed_until = None
        session.add(capture)
        return
    delete_capture(session, session.get_one(Source, claim.source_id), capture)
    if claim.newborn:
        session.flush()
        session.connection().execute(delete(Source).where(col(Source.id) == claim.source_id))


def _refuse_shared(session: Session, settings: CaptureSettings, cluster: str) -> None:
    """A slot has one reader, and a publication of ours the tables of one source."""
    same = col(Capture.slot_name) == settings.slot_name
    if settings.managed:
        same = or_(same, and_(col(Capture.publication_name) == settings.publication_name, col(Capture.managed)))
    if session.exec(select(Capture.source_id).where(Capture.cluster == cluster, same).limit(1)).first() is not None:
        raise CaptureTakenError(
            "Another source of this server has this slot or publication: choose other names.", "taken"
        )


def _claimed(session: Session, claim: Claim) -> Capture | None:
    capture = locked_capture(session, claim.source_id)
    return capture if capture is not None and capture.claimed_until == claim.until else None
