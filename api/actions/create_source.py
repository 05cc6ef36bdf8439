"""A new source: everything is tried before anything is stored."""

from collections.abc import Mapping, Sequence

from sqlmodel import Session

from api.actions.capture_setup import Plan, Start, captured_from_birth, plan_for
from api.actions.schema_settings import with_settings
from api.actions.webhook_setup import registered_from_birth
from api.auth import Caller
from api.backend import Backend
from api.bodies.responses import SourceBody
from api.bodies.source_requests import NamedSchema, SourceCreate, SourcePayload
from api.errors import InvalidError, NotFoundError, invalid_source
from api.inputs import declared_inputs, found_tables, known_connector, table_facts
from api.presentation import source_bodies
from api.schema_rules import Effects
from api.webhooks import required
from connectors.base import Direct
from connectors.errors import SourceError
from metadata.models import DIRECT, Schema, Source, SyncType, WishKind
from metadata.outbox import wish
from metadata.projects import get_project
from metadata.schemas import TableFacts, schema_from
from metadata.sources import PrefixTakenError, create_source, prefix_taken


def create(backend: Backend, caller: Caller, body: SourceCreate) -> SourceBody:
    """Shape, login, discovery, settings; then all rows in one transaction; then schedules and first runs."""
    connector = known_connector(body.source_type)
    if body.access_method == DIRECT and not isinstance(connector, Direct):
        raise InvalidError(
            f"A source of the type {body.source_type} cannot be queried live: use the access method warehouse.",
            attr="access_method",
        )
    prefix = body.prefix or ""
    check_prefix(backend, caller, body.source_type, prefix, body.access_method)

    inputs = declared_inputs(connector, body.payload.inputs())
    source = Source(
        project_id=caller.project_id,
        source_type=body.source_type,
        prefix=prefix,
        description=body.description,
        access_method=body.access_method,
        encrypted_inputs=backend.vault.encrypt(inputs),
        created_by=caller.label,
    )
    plan = _capture_plan(source, body.payload)
    with backend.source_calls.bounded(caller.project_id):
        tables = [table_facts(table) for table in found_tables(backend, connector, inputs, attr="payload")]
    schemas, effects = _set_up(source, tables, body.payload.schemas or [], captured=plan is not None)
    followed = [each.name for each in schemas if each.sync_type == SyncType.WEBHOOK and each.should_sync]
    if followed:
        try:
            with (
                backend.source_calls.bounded(caller.project_id),
                registered_from_birth(backend, source, required(body.source_type), inputs, followed) as start,
            ):
                answer, enabled = _store(backend, caller, source, schemas, effects, start)
        except SourceError as error:
            raise invalid_source(error, "payload") from error
    elif plan is None:
        answer, enabled = _store(backend, caller, source, schemas, effects)
    else:
        try:
            with (
                backend.source_calls.bounded(caller.project_id),
                captured_from_birth(backend, source, plan, inputs, schemas) as start,
            ):
                answer, enabled = _store(backend, caller, source, schemas, effects, start)
        except SourceError as error:
            raise invalid_source(error, "payload") from error
        backend.relay.capture_changed(caller.project_id, str(answer.id))
    backend.relay.deliver(enabled)
    return answer


def _store(
    backend: Backend,
    caller: Caller,
    source: Source,
    schemas: Sequence[Schema],
    effects: Mapping[str, Effects],
    start: Start = lambda _: None,
) -> tuple[SourceBody, list[str]]:
    """All rows in one transaction, and what ``start`` adds to it; the answer, and the schemas that want something."""
    prefix = source.prefix
    try:
        with backend.database.transaction() as session:
            if get_project(session, caller.project_id, lock=True) is None:
                raise NotFoundError
            if prefix_taken(session, caller.project_id, source.source_type, prefix):
                raise _prefix_taken(prefix)
            create_source(session, source, schemas)
            start(session)
            enabled = _wishes(session, schemas, effects)
            [answer] = source_bodies(backend, session, [source], caller)
    except PrefixTakenError as error:
        raise _prefix_taken(prefix) from error
    return answer, enabled


def _capture_plan(source: Source, payload: SourcePayload) -> Plan | None:
    if not payload.cdc_enabled:
        return None
    if source.access_method == DIRECT:
        raise InvalidError("A direct source is queried live: nothing of it is captured.", attr="payload.cdc_enabled")
    try:
        return plan_for(source, payload, payload)
    except InvalidError as error:
        raise InvalidError(error.detail, attr=f"payload.{error.attr or 'cdc_enabled'}", code=error.code) from error


def check_prefix(backend: Backend, caller: Caller, source_type: str, prefix: str, access_method: str) -> None:
    """``InvalidError`` where a new source may not have it."""
    known_connector(source_type)
    if access_method == DIRECT and not prefix:
        raise InvalidError("A direct source needs a prefix.", attr="prefix", code="required")
    with backend.database.read() as session:
        if prefix_taken(session, caller.project_id, source_type, prefix):
            raise _prefix_taken(prefix)


def _set_up(
    source: Source, tables: Sequence[TableFacts], named: Sequence[NamedSchema], *, captured: bool
) -> tuple[list[Schema], dict[str, Effects]]:
    """A schema for every table, with the settings of those that were named, and what these ask of Temporal."""
    schemas = {table.name: schema_from(source, table) for table in tables}
    effects: dict[str, Effects] = {}
    for place, wanted in enumerate(named):
        attr = f"payload.schemas.{place}"
        if wanted.name not in schemas:
            raise InvalidError(f"The source has no table {wanted.name}.", attr=f"{attr}.name")
        if wanted.name in effects:
            raise InvalidError(f"The table {wanted.name} is named twice.", attr=f"{attr}.name")
        effects[wanted.name] = with_settings(
            schemas[wanted.name],
            wanted.settings(),
            holds_data=False,
            under=attr,
            direct=source.access_method == DIRECT,
            captured=captured,
        )
    return list(schemas.values()), effects


def _wishes(session: Session, schemas: Sequence[Schema], effects: Mapping[str, Effects]) -> list[str]:
    """Write down what the enabled schemas want of Temporal; their ids."""
    enabled = [schema for schema in schemas if schema.should_sync]
    wish(session, enabled, WishKind.SCHEDULE)
    wish(session, [schema for schema in enabled if effects[schema.name].start], WishKind.START)
    return [str(schema.id) for schema in enabled]


def _prefix_taken(prefix: str) -> InvalidError:
    detail = (
        f"Another source of this type has the prefix {prefix}: choose another one."
        if prefix
        else "There is a source of this type without a prefix already: give this one a prefix."
    )
    return InvalidError(detail, attr="prefix", code="prefix_taken")
