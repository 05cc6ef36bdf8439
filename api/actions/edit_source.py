"""Changing a source: its description, and its connection once the new one has been tried."""

import uuid

from api.actions.capture_setup import drop_left_behind
from api.actions.webhook_move import follow
from api.auth import Caller
from api.backend import Backend
from api.bodies.responses import SourceBody
from api.bodies.setup import RevenueAnalyticsChanges
from api.bodies.source_requests import SourceChanges
from api.errors import ConflictError, InvalidError, NotFoundError
from api.inputs import known_connector, merged_inputs, tested_config
from api.presentation import source_bodies
from metadata.captures import captures_of
from metadata.models import Source, utc_now
from metadata.sources import find_source


def edit(backend: Backend, caller: Caller, source_id: uuid.UUID, body: SourceChanges) -> SourceBody:
    with backend.database.read() as session:
        seen = find_source(session, caller.project_id, source_id)
    if seen is None:
        raise NotFoundError
    given = body.given()
    _refuse_what_is_fixed(seen, body)
    inputs = _tried_inputs(backend, seen, body) if "job_inputs" in given else None
    with backend.database.transaction() as session:
        source = find_source(session, caller.project_id, source_id, lock=True)
        if source is None:
            raise NotFoundError
        if inputs is not None and source.encrypted_inputs != seen.encrypted_inputs:
            raise ConflictError("The connection was changed by somebody else meanwhile: look at it and try again.")
        if inputs is not None:
            source.encrypted_inputs = inputs
        if "description" in given:
            source.description = body.description
        source.updated_at = utc_now()
        session.add(source)
        session.flush()
        [answer] = source_bodies(backend, session, [source], caller)
        capture = captures_of(session, [source_id]).get(source_id)
    if inputs is not None and capture is not None:
        drop_left_behind(backend, seen, capture, backend.vault.decrypt(inputs))
    if inputs is not None:
        follow(backend, seen)
    return answer


def change_revenue_analytics(
    backend: Backend, caller: Caller, source_id: uuid.UUID, body: RevenueAnalyticsChanges
) -> SourceBody:
    """What is absent stays; ``null`` goes by the source type again."""
    given = body.given()
    with backend.database.transaction() as session:
        source = find_source(session, caller.project_id, source_id, lock=True)
        if source is None:
            raise NotFoundError
        if "enabled" in given:
            source.revenue_analytics_enabled = body.enabled
        if "include_invoiceless_charges" in given:
            source.include_invoiceless_charges = body.include_invoiceless_charges is not False
        source.updated_at = utc_now()
        session.add(source)
        session.flush()
        [answer] = source_bodies(backend, session, [source], caller)
    return answer


def _refuse_what_is_fixed(source: Source, body: SourceChanges) -> None:
    if "prefix" in body.model_fields_set and (body.prefix or "") != source.prefix:
        raise InvalidError("The prefix of a source cannot change.", attr="prefix")
    if "access_method" in body.model_fields_set and body.access_method != source.access_method:
        raise InvalidError("The access method of a source cannot change.", attr="access_method")


def _tried_inputs(backend: Backend, source: Source, body: SourceChanges) -> str:
    """The new inputs, encrypted, after a live login with them."""
    connector = known_connector(source.source_type)
    stored = backend.vault.decrypt(source.encrypted_inputs)
    inputs = merged_inputs(connector, stored, body.job_inputs)
    with backend.source_calls.bounded(source.project_id):
        tested_config(backend, connector, inputs, attr="job_inputs")
    return backend.vault.encrypt(inputs)
