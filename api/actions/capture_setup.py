"""Making what a source keeps for change data capture: whatever fails, nothing of it is left there."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlmodel import Session

from api.backend import Backend
from api.bodies.cdc_requests import CdcNames, CdcSettings
from api.captures import UnmetError, planned_settings, planned_setup, required, setup_of
from api.errors import ConflictError
from connectors.capture import CaptureSetup, Capturing, FollowedTable
from connectors.deadline import patience
from connectors.errors import SourceError
from metadata.capture_claims import (
    CaptureSettings,
    CaptureTakenError,
    Claim,
    claim_capture,
    is_held,
    refuse_taken,
    release_capture,
    start_capture,
)
from metadata.captures import add_event
from metadata.intents import primary_key
from metadata.models import Capture, LogLevel, Schema, Source, SyncType, utc_now

log = structlog.get_logger(__name__)

TEAR_DOWN_SECONDS = 10.0

Start = Callable[[Session], None]
"""Turns the capture on, in the transaction that stores what goes with it."""


@dataclass(frozen=True)
class Plan:
    """What is to be made, and by whom."""

    connector: Capturing
    setup: CaptureSetup
    settings: CaptureSettings


def plan_for(source: Source, names: CdcNames, settings: CdcSettings) -> Plan:
    """``InvalidError`` where the source cannot have it, or not so."""
    connector = required(source.source_type)
    setup = planned_setup(names, source.id)
    return Plan(connector, setup, planned_settings(setup, settings))


def refuse_if_taken(capture: Capture | None) -> None:
    """``ConflictError`` where there is one, or is about to be."""
    try:
        refuse_taken(capture)
    except CaptureTakenError as error:
        raise ConflictError(error.message, code=error.code) from error


def claimed(backend: Backend, session: Session, source: Source, plan: Plan, cluster: str | None) -> Claim:
    """For longer than a request may take. ``ConflictError`` where somebody else has what it needs.

    The caller holds the lock of the source, or has it to himself.
    """
    lease = timedelta(seconds=2 * backend.source_calls.seconds + 60)
    try:
        return claim_capture(session, source, plan.settings, cluster, lease)
    except CaptureTakenError as error:
        raise ConflictError(error.message, code=error.code) from error


@contextmanager
def set_up(backend: Backend, claim: Claim, plan: Plan, config: Any, tables: Sequence[str]) -> Iterator[Start]:
    """Slot and publication are there within the block.

    Where it fails they are dropped and the claim is given back; what cannot be dropped at once is dropped in the
    background. What was somebody else's before is never touched.
    """
    ours = False
    try:
        try:
            position = plan.connector.set_up_capture(config, plan.setup, tables)
        except SourceError as error:
            # Cut off in the middle, it may have left something; a refusal means that it made nothing.
            ours = error.retryable
            raise
        ours = True

        def start(session: Session) -> None:
            if not start_capture(session, claim, position):
                raise ConflictError("The source took too long to set change data capture up: try again.")

        yield start
    except BaseException:
        _give_back(backend, claim, plan, config, made=ours)
        raise


@contextmanager
def captured_from_birth(
    backend: Backend, source: Source, plan: Plan, inputs: Mapping[str, Any], schemas: Collection[Schema]
) -> Iterator[Start]:
    """As ``set_up``, for a source whose rows the block stores; ``UnmetError`` where something stands in the way.

    The source's own row is there before, deleted: so that there is somebody who knows of the slot, whatever happens.
    """
    captured = [each for each in schemas if each.sync_type == SyncType.CDC and each.should_sync]
    tables = [FollowedTable(str(each.id), each.name, primary_key(each)) for each in captured]
    config = backend.config(plan.connector, inputs)
    if problems := plan.connector.capture_problems(config, plan.setup, tables):
        raise UnmetError(problems)
    cluster = plan.connector.capture_status(config, plan.setup).cluster
    with backend.database.transaction() as session:
        source.deleted_at = utc_now()
        session.add(source)
        session.flush()
        claim = claimed(backend, session, source, plan, cluster)
    with set_up(backend, claim, plan, config, [table.name for table in tables]) as start:
        source.deleted_at = None
        yield start


def _give_back(backend: Backend, claim: Claim, plan: Plan, config: Any, *, made: bool) -> None:
    """What was made is only touched while the claim holds: beyond it, a slot of that name may be another request's."""
    try:
        with backend.database.read() as session:
            if not is_held(session, claim):
                return
        clean = not made or _torn_down(plan, config)
        with backend.database.transaction() as session:
            release_capture(session, claim, clean=clean)
        if not clean:
            backend.relay.capture_changed(claim.project_id, str(claim.source_id))
    except Exception as error:
        # Nobody keeps the claim: it runs out, and whatever is left is dropped then.
        log.warning("the claim of a capture runs out by itself", source_id=str(claim.source_id), reason=repr(error))


def _torn_down(plan: Plan, config: Any) -> bool:
    try:
        with patience(TEAR_DOWN_SECONDS):
            plan.connector.tear_down_capture(config, plan.setup)
    except Exception as error:
        log.warning("slot and publication are dropped later", slot=plan.setup.slot, reason=repr(error))
        return False
    return True


def drop_left_behind(backend: Backend, before: Source, capture: Capture, inputs: Mapping[str, Any]) -> None:
    """Where the connection leads elsewhere now, what the old place keeps for us is dropped, if it still answers.

    The new place gets its own at the next round of capturing. ``before``: the source with its old connection.
    """
    connector, setup = required(before.source_type), setup_of(capture)
    old = backend.stored_config(connector, before)
    new = backend.config(connector, inputs)
    try:
        with backend.source_calls.bounded(before.project_id), patience(TEAR_DOWN_SECONDS):
            status = connector.capture_status(new, setup)
            if status.slot_exists and status.cluster == capture.cluster:
                return
            connector.tear_down_capture(old, setup)
    except SourceError as error:
        log.warning("left at the old place", source_id=str(before.id), slot=setup.slot, reason=error.message)
        message = f"The slot {setup.slot} may still be at the place that the source was at before: {error.message}"
        with backend.database.transaction() as session:
            add_event(session, capture, LogLevel.WARNING, message, {"event": "left_behind"})
