"""How the capture of a source's changes is doing: what the source says now, beside what was written down."""

import uuid
from collections.abc import Sequence
from typing import Any

from api.auth import Caller
from api.backend import Backend
from api.bodies.cdc import CdcEvent, CdcStatus, CdcTable
from api.captures import capture_error, position_text, refusal, required, setup_of
from api.errors import NotFoundError
from connectors.capture import CaptureStatus
from connectors.errors import SourceError
from metadata.captured import captured_states
from metadata.captures import MIB, newest_events
from metadata.models import Capture, Schema, SchemaState, Source, utc_now
from metadata.sources import find_source

EVENTS = 20
SEEN = (
    *("slot_exists", "publication_exists", "slot_active", "wal_status"),
    *("lag_bytes", "retained_bytes", "limit_bytes"),
)
"""What the answer has just as the source says it."""


def status(backend: Backend, caller: Caller, source_id: uuid.UUID) -> CdcStatus:
    """400 where the source does not answer."""
    with backend.database.read() as session:
        source = find_source(session, caller.project_id, source_id)
        if source is None:
            raise NotFoundError
        capture = session.get(Capture, source_id)
        if capture is None or capture.removing:
            return CdcStatus(enabled=False)
        known = {
            "tables": [_table(capture, schema, state) for schema, state in captured_states(session, source_id)],
            "events": [
                CdcEvent.model_validate(event, from_attributes=True)
                for event in newest_events(session, source_id, EVENTS)
            ],
        }
    return _status(capture, _look(backend, source, capture), known)


def _look(backend: Backend, source: Source, capture: Capture) -> CaptureStatus:
    connector = required(source.source_type)
    try:
        config = backend.stored_config(connector, source)
        with backend.source_calls.bounded(source.project_id):
            return connector.capture_status(config, setup_of(capture))
    except SourceError as error:
        raise refusal(error) from error


def _status(capture: Capture, seen: CaptureStatus, known: dict[str, Any]) -> CdcStatus:
    return CdcStatus(
        enabled=True,
        management_mode="managed" if capture.managed else "self_managed",
        slot_name=capture.slot_name,
        publication_name=capture.publication_name,
        lag_warning_threshold_mb=capture.warning_mb,
        lag_critical_threshold_mb=capture.critical_mb,
        auto_drop_slot=capture.auto_drop_slot,
        delete_mode=capture.delete_mode,
        continuous=capture.continuous,
        **{name: getattr(seen, name) for name in SEEN},
        lag_seconds=_lag_seconds(capture, seen),
        forecast_seconds=forecast_seconds(capture, seen),
        published_tables=list(seen.published_tables),
        captured_position=position_text(capture.position),
        captured_at=capture.captured_at,
        latest_error=capture_error(capture),
        **known,
    )


def _lag_seconds(capture: Capture, seen: CaptureStatus) -> float | None:
    if not seen.lag_bytes:
        return None if seen.lag_bytes is None else 0.0
    return None if capture.captured_at is None else max((utc_now() - capture.captured_at).total_seconds(), 0.0)


def forecast_seconds(capture: Capture, seen: CaptureStatus) -> float | None:
    """Until the log that is kept comes to the critical threshold, or to where the source gives the slot up."""
    if seen.retained_bytes is None:
        return None
    limits: Sequence[int] = [limit for limit in (capture.critical_mb * MIB, seen.limit_bytes) if limit is not None]
    left = min(limits) - seen.retained_bytes
    if left <= 0:
        return 0.0
    return None if capture.growth is None or capture.growth <= 0 else left / capture.growth


def _table(capture: Capture, schema: Schema, state: SchemaState) -> CdcTable:
    return CdcTable(
        id=schema.id,
        name=schema.name,
        applied_position=_applied(capture, state.position),
        applied_at=schema.last_synced_at,
        status=schema.status,
    )


def _applied(capture: Capture, position: dict[str, Any] | None) -> str | None:
    """By the table's newest commit; a place in the log of an earlier slot means nothing any more."""
    mark = (position or {}).get("log") or {}
    return position_text(mark["position"]) if mark.get("epoch") == capture.epoch else None
