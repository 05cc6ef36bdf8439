"""Change data capture of a source: whether it can have it, turning it on and off, and its settings."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlmodel import Session

from api.actions.capture_setup import claimed, plan_for, refuse_if_taken, set_up
from api.auth import Caller
from api.backend import Backend
from api.bodies.cdc import (
    CdcConnection,
    CdcDisabled,
    CdcEnabled,
    CdcPrerequisites,
    CdcProblem,
    CdcSettingsKept,
)
from api.bodies.cdc_requests import CdcQuestion, CdcSettings, CdcSetup
from api.captures import (
    UnmetError,
    capturing,
    changes,
    followed_tables,
    keyless,
    planned_setup,
    refusal,
    setup_of,
    unavailable,
)
from api.errors import InvalidError, NotFoundError, invalid_source
from api.inputs import declared_inputs, known_connector, tested_config
from api.objects import live_source
from connectors.capture import CaptureProblem, CaptureSetup, Capturing
from connectors.errors import SourceError
from metadata.captured import captured_schemas, end_capturing
from metadata.captures import add_event, locked_capture
from metadata.intents import primary_key
from metadata.models import DIRECT, Capture, LogLevel, Source, utc_now
from metadata.sources import find_source


def prerequisites(backend: Backend, caller: Caller, body: CdcConnection) -> CdcPrerequisites:
    """Of a source that is not there yet, after a live login."""
    connector = capturing(body.source_type)
    if connector is None:
        _check_fields(backend, body)
        return _answer([unavailable(body.source_type)])
    setup = planned_setup(body, uuid.uuid4())
    inputs = declared_inputs(connector, body.inputs())
    with backend.source_calls.bounded(caller.project_id):
        config = tested_config(backend, connector, inputs, attr="")
        try:
            return _answer(_problems(connector, config, setup, body.tables or (), {}))
        except SourceError as error:
            raise invalid_source(error, "") from error


def prerequisites_of_source(
    backend: Backend, caller: Caller, source_id: uuid.UUID, body: CdcQuestion
) -> CdcPrerequisites:
    source = live_source(backend, caller, source_id)
    connector = capturing(source.source_type)
    if connector is None:
        return _answer([unavailable(source.source_type)])
    with backend.database.read() as session:
        capture = _enabled(session.get(Capture, source_id))
        keys = {schema.name: primary_key(schema) for schema in captured_schemas(session, source_id)}
    names = list(keys) if body.tables is None else body.tables
    existing = capture is not None and not (body.cdc_slot_name or body.cdc_publication_name)
    setup = setup_of(capture) if capture is not None and existing else planned_setup(body, source_id)
    with backend.source_calls.bounded(caller.project_id):
        try:
            config = backend.stored_config(connector, source)
            return _answer(_problems(connector, config, setup, names, keys, existing))
        except SourceError as error:
            raise refusal(error) from error


def enable(backend: Backend, caller: Caller, source_id: uuid.UUID, body: CdcSetup) -> CdcEnabled:
    """Claim, make slot and publication at the source, store: all of it or nothing, and of two calls at once one."""
    source = live_source(backend, caller, source_id)
    plan = plan_for(source, body, body)
    if source.access_method == DIRECT:
        raise InvalidError("This source is queried live: nothing of it is ever copied.", code="direct_source")
    with backend.database.read() as session:
        refuse_if_taken(session.get(Capture, source_id))
    with backend.source_calls.bounded(caller.project_id):
        try:
            config = backend.stored_config(plan.connector, source)
            if problems := _problems(plan.connector, config, plan.setup, body.tables or (), {}):
                raise UnmetError(problems)
            cluster = plan.connector.capture_status(config, plan.setup).cluster
            with backend.database.transaction() as session:
                claim = claimed(backend, session, _locked(session, caller, source_id), plan, cluster)
            with (
                set_up(backend, claim, plan, config, ()) as start,
                backend.database.transaction() as session,
            ):
                _locked(session, caller, source_id)
                start(session)
        except SourceError as error:
            raise refusal(error) from error
    return CdcEnabled(success=True, schedules_ready=backend.relay.capture_changed(caller.project_id, str(source_id)))


def disable(backend: Backend, caller: Caller, source_id: uuid.UUID) -> CdcDisabled:
    """Its tables keep their data and have no sync type any more. What the source keeps is dropped in the background."""
    with backend.database.transaction() as session:
        _locked(session, caller, source_id)
        capture = _enabled(locked_capture(session, source_id))
        if capture is None:
            return CdcDisabled(success=True, already_disabled=True)
        capture.removing, capture.updated_at = True, utc_now()
        session.add(capture)
        add_event(session, capture, LogLevel.INFO, "Change data capture was disabled.", {"event": "disabled"})
        stopped = end_capturing(session, source_id)
    backend.relay.deliver(stopped)
    backend.relay.capture_changed(caller.project_id, str(source_id))
    return CdcDisabled(success=True, already_disabled=False)


def update(backend: Backend, caller: Caller, source_id: uuid.UUID, body: CdcSettings) -> CdcSettingsKept:
    with backend.database.transaction() as session:
        _locked(session, caller, source_id)
        capture = _enabled(locked_capture(session, source_id))
        if capture is None:
            raise InvalidError("Change data capture is not enabled for this source.", code="cdc_not_enabled")
        changed = changes(capture, body)
        for name, value in changed.items():
            setattr(capture, name, value)
        if changed:
            capture.updated_at = utc_now()
        session.add(capture)
    if changed:
        backend.relay.capture_changed(caller.project_id, str(source_id))
    return CdcSettingsKept(success=True, unchanged=not changed)


def _problems(
    connector: Capturing,
    config: Any,
    setup: CaptureSetup,
    names: Collection[str],
    keys: Mapping[str, tuple[str, ...]],
    existing: bool = False,
) -> list[CaptureProblem]:
    tables = followed_tables(connector, config, names, keys)
    problems = connector.capture_problems(config, setup, tables, existing)
    return problems or [keyless(table) for table in tables if not table.key]


def _answer(problems: Sequence[CaptureProblem]) -> CdcPrerequisites:
    return CdcPrerequisites(valid=not problems, errors=[CdcProblem(**asdict(problem)) for problem in problems])


def _check_fields(backend: Backend, body: CdcConnection) -> None:
    """Without a login, which would decide nothing."""
    connector = known_connector(body.source_type)
    try:
        backend.config(connector, declared_inputs(connector, body.inputs()))
    except SourceError as error:
        raise invalid_source(error, "") from error


def _locked(session: Session, caller: Caller, source_id: uuid.UUID) -> Source:
    source = find_source(session, caller.project_id, source_id, lock=True)
    if source is None:
        raise NotFoundError
    return source


def _enabled(capture: Capture | None) -> Capture | None:
    return None if capture is None or capture.removing else capture
