"""From what clients ask of change data capture to what connectors take."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeGuard

from api.bodies.cdc_requests import OUT_OF_ORDER, CdcNames, CdcSettings
from api.errors import InvalidError
from api.inputs import known_connector
from connectors.base import Connector
from connectors.capture import CaptureProblem, CaptureSetup, Capturing, FollowedTable
from connectors.errors import SourceError
from metadata.capture_claims import CaptureSettings
from metadata.captures import MIB
from metadata.models import Capture

CDC = "cdc"
FIX = "Copy its tables as incremental, append or full_refresh."

SETTINGS = {
    "cdc_auto_drop_slot": "auto_drop_slot",
    "cdc_lag_warning_threshold_mb": "warning_mb",
    "cdc_lag_critical_threshold_mb": "critical_mb",
    "cdc_delete_mode": "delete_mode",
    "cdc_continuous": "continuous",
}
"""From the names that clients use to those of the metadata."""


class UnmetError(InvalidError):
    """Something at the source stands in the way. The answer has all of it, with what to do."""

    def __init__(self, problems: Sequence[CaptureProblem], *, attr: str | None = None) -> None:
        first = problems[0]
        super().__init__(f"{first.message} {first.fix}", attr=attr, code="prerequisites_not_met")
        self.more = {"message": first.message, "errors": [asdict(problem) for problem in problems]}


def capturing(source_type: str) -> Capturing | None:
    """The connector, where its sources can have change data capture. ``InvalidError`` for an unknown type."""
    connector = known_connector(source_type)
    return connector if can_capture(connector) else None


def can_capture(connector: Connector) -> TypeGuard[Capturing]:
    """Whether sources of this type can have it."""
    return isinstance(connector, Capturing) and CDC in connector.sync_types


def unavailable(source_type: str) -> CaptureProblem:
    sentence = f"Change data capture is not available for sources of the type {source_type} in this version."
    return CaptureProblem("unsupported", sentence, FIX)


def required(source_type: str) -> Capturing:
    """As ``capturing``; ``InvalidError`` where they cannot have it."""
    connector = capturing(source_type)
    if connector is None:
        raise InvalidError(unavailable(source_type).message, code="unsupported")
    return connector


def refusal(error: SourceError) -> InvalidError:
    """What a source has to say that is there already: of its connection, nothing is in the request."""
    attr = error.attr if error.attr is not None and error.attr.startswith("cdc_") else None
    return InvalidError(error.message, attr=attr, code=error.code)


def setup_of(capture: Capture) -> CaptureSetup:
    return CaptureSetup(capture.slot_name, capture.publication_name, capture.managed)


def planned_setup(names: CdcNames, source_id: uuid.UUID) -> CaptureSetup:
    """Named after the source where we look after them; ``InvalidError`` where their owner does and does not say."""
    managed = names.cdc_management_mode == "managed"
    ours = f"syncline_{source_id.hex}" if managed else None
    slot, publication = names.cdc_slot_name or ours, names.cdc_publication_name or ours
    for attr, name in (("cdc_slot_name", slot), ("cdc_publication_name", publication)):
        if name is None:
            raise InvalidError("Name it: slot and publication are yours.", attr=attr, code="required")
    assert slot is not None
    assert publication is not None
    return CaptureSetup(slot, publication, managed)


def planned_settings(setup: CaptureSetup, body: CdcSettings) -> CaptureSettings:
    """With the defaults for what the body leaves out; ``InvalidError`` where these do not fit to the rest."""
    usual = CaptureSettings(slot_name=setup.slot, publication_name=setup.publication, managed=setup.managed)
    return CaptureSettings(**asdict(usual) | changes(usual, body))


def changes(stored: CaptureSettings | Capture, body: CdcSettings) -> dict[str, Any]:
    """What the body changes of these settings; ``null`` brings back a default."""
    defaults = CaptureSettings(slot_name="", publication_name="")
    given = {SETTINGS[name]: value for name, value in body.given().items() if name in SETTINGS}
    wanted = {name: getattr(defaults, name) if value is None else value for name, value in given.items()}
    if wanted.get("warning_mb", stored.warning_mb) >= wanted.get("critical_mb", stored.critical_mb):
        attr = next((name for name in SETTINGS if name.endswith("_mb") and getattr(body, name) is not None), None)
        raise InvalidError(OUT_OF_ORDER, attr=attr)
    return {name: value for name, value in wanted.items() if value != getattr(stored, name)}


def followed_tables(
    connector: Capturing, config: Any, names: Collection[str], keys: Mapping[str, Sequence[str]]
) -> list[FollowedTable]:
    """The tables of these names, with their keys by a live look at the source where ``keys`` does not have them."""
    unknown = sorted({name for name in names if not keys.get(name)})
    found = {table.name: table.primary_key for table in connector.discover(config, unknown)} if unknown else {}
    return [FollowedTable(name, name, tuple(keys.get(name) or found.get(name, ()))) for name in dict.fromkeys(names)]


def keyless(table: FollowedTable) -> CaptureProblem:
    return CaptureProblem(
        "no_key",
        f"Nothing tells the rows of {table.name} apart: it has no primary key.",
        "Give it one, or choose key columns for its schema.",
    )


def capture_error(capture: Capture | None) -> str | None:
    """What is wrong with a capture: what it ran into, else that the source keeps too much for it."""
    if capture is None:
        return None
    if capture.latest_error is not None:
        return capture.latest_error
    retained = (capture.retained_bytes or 0) // MIB
    for name, threshold in (("critical", capture.critical_mb), ("warning", capture.warning_mb)):
        if retained >= threshold:
            return (
                f"The source keeps {retained:,} MB of its log for change data capture: the {name} threshold is "
                f"{threshold:,} MB."
            )
    return None


def position_text(position: int) -> str:
    """As the source writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
