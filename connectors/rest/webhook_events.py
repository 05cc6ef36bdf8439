"""What the events of a declared provider are about, and what they say of its objects."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import Any

from connectors.errors import SourceError
from connectors.inference.objects import NoObjectError, parsed_object
from connectors.inference.texts import Literal, value_text
from connectors.receiving import ALL_EVENTS, Delivery, ObjectChange, Received, Record, RefusedError
from connectors.rest.declaration import Declaration, Resource
from connectors.rest.paths import found as found_at
from connectors.rest.walking import included
from connectors.rest.webhook_declaration import TableEvents, WebhookDeclaration

_MICROSECONDS = 1_000_000


def delivery_of(webhooks: WebhookDeclaration, received: Received) -> Delivery:
    """``RefusedError`` for a body that is no event."""
    try:
        body = parsed_object(received.body)
    except NoObjectError as error:
        raise RefusedError("malformed_body", f"The body is {error}.") from error
    event_type = _type_of(webhooks, received, body)
    named = (webhooks.tables_by_type.get(each, ()) for each in _candidates(webhooks, event_type))
    tables = dict.fromkeys(chain.from_iterable(named))
    return Delivery(event_type, tuple(tables), _id_of(webhooks, received, body))


def changes_of(declaration: Declaration, table: str, event_type: str, content: bytes) -> list[ObjectChange]:
    """What shows no object of the table says nothing."""
    webhooks, resource = declaration.webhooks, declaration.resource(table)
    if webhooks is None or resource is None or table not in webhooks.tables:
        return []
    try:
        body = parsed_object(content)
    except NoObjectError:
        return []
    events, of_parent = webhooks.tables[table], _of_parent(webhooks, resource, body)
    if of_parent is None:
        return []
    return [
        *_shown(webhooks, resource, event_type, body, of_parent),
        *_asked(webhooks, events, event_type, body, of_parent),
    ]


def needed_types(webhooks: WebhookDeclaration, tables: Sequence[str]) -> tuple[str, ...]:
    """As the provider is asked for them."""
    types = {each for name in tables if name in webhooks.tables for each in webhooks.tables[name].types}
    if ALL_EVENTS in types:
        return (ALL_EVENTS,)
    return tuple(sorted({_asked_for(webhooks, each) for each in types}))


def as_row(webhooks: WebhookDeclaration, resource: Resource, record: Record) -> tuple[Record, bool]:
    """An object as a read of the table has it, and whether it is there at all."""
    events = webhooks.tables[resource.name]
    is_in = events.where is None or found_at(events.where, record) is True
    return {name: value for name, value in record.items() if name not in events.without}, is_in


def has_key(resource: Resource, record: Record) -> bool:
    return all(record.get(name) not in (None, "") for name in resource.primary_key)


def microseconds(value: Any) -> int | None:
    """Of a number of seconds since 1970, or a time as ISO 8601. None for anything else."""
    try:
        if isinstance(value, Literal | int) and not isinstance(value, bool):
            return int(Decimal(value) * _MICROSECONDS)
        if not isinstance(value, str):
            return None
        moment = datetime.fromisoformat(value)
    except (ValueError, ArithmeticError):
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = zoned - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * _MICROSECONDS + since.microseconds


def _shown(
    webhooks: WebhookDeclaration,
    resource: Resource,
    event_type: str,
    body: Mapping[str, Any],
    of_parent: Mapping[str, str],
) -> Iterator[ObjectChange]:
    events = webhooks.tables[resource.name]
    named = _named(webhooks, events, event_type)
    if named is None:
        return
    record = found_at(events.record or webhooks.record or "@", body)
    if not isinstance(record, dict):
        return
    row, is_in = as_row(webhooks, resource, {**record, **of_parent})
    if not has_key(resource, row):
        return
    if named in events.deletes and webhooks.record_order is not None:
        # An object that is gone bears the time of its last change: it tells nothing of when it went.
        yield ObjectChange(row, None, deleted=True, whole=events.path is None)
    else:
        yield ObjectChange(row, _order_of(webhooks, body, record), named in events.deletes or not is_in)


def _asked(
    webhooks: WebhookDeclaration,
    events: TableEvents,
    event_type: str,
    body: Mapping[str, Any],
    of_parent: Mapping[str, str],
) -> Iterator[ObjectChange]:
    for ask in events.asks:
        if _named(webhooks, events, event_type) in events.deletes or not _fitting(webhooks, ask.types, event_type):
            continue
        record = {name: found_at(path, body) for name, path in ask.record.items()}
        if all(value not in (None, "") for value in record.values()):
            order = None if webhooks.order is None else microseconds(found_at(webhooks.order, body))
            yield ObjectChange({**record, **of_parent}, order, whole=False)


def _order_of(webhooks: WebhookDeclaration, body: Mapping[str, Any], record: Record) -> int | None:
    if webhooks.order is not None:
        return microseconds(found_at(webhooks.order, body))
    return record_order(webhooks, record)


def record_order(webhooks: WebhookDeclaration, record: Record) -> int | None:
    """By the object itself."""
    return None if webhooks.record_order is None else microseconds(found_at(webhooks.record_order, record))


def _of_parent(webhooks: WebhookDeclaration, resource: Resource, body: Mapping[str, Any]) -> Mapping[str, str] | None:
    """What the rows have of their parent; None where the event has no parent to have it from."""
    if resource.parent is None:
        return {}
    parent = found_at(webhooks.parents[resource.parent.resource], body)
    try:
        return included(resource, parent) if isinstance(parent, dict) else None
    except SourceError:
        return None


def _type_of(webhooks: WebhookDeclaration, received: Received, body: Mapping[str, Any]) -> str:
    found = received.headers.get(webhooks.type_header) if webhooks.type_header else found_at(webhooks.type or "", body)
    if not isinstance(found, str) or isinstance(found, Literal) or not found:
        raise RefusedError("malformed_body", "The request does not say of which type its event is.")
    action = found_at(webhooks.action, body) if webhooks.action else None
    return f"{found}.{action}" if isinstance(action, str) and action else found


def _id_of(webhooks: WebhookDeclaration, received: Received, body: Mapping[str, Any]) -> str | None:
    if webhooks.id_header:
        return received.headers.get(webhooks.id_header)
    found = found_at(webhooks.id, body) if webhooks.id else None
    return None if found in (None, "") else value_text(found)


def _named(webhooks: WebhookDeclaration, events: TableEvents, event_type: str) -> str | None:
    """What the table calls an event that shows its object. A type with its action goes before one without."""
    return _fitting(webhooks, (*events.deletes, *events.upserts), event_type)


def _fitting(webhooks: WebhookDeclaration, types: Sequence[str], event_type: str) -> str | None:
    return next((each for each in _candidates(webhooks, event_type) if each in types), None)


def _candidates(webhooks: WebhookDeclaration, event_type: str) -> tuple[str, ...]:
    """What a table may call events of that type, the most telling first."""
    return (event_type, _asked_for(webhooks, event_type), ALL_EVENTS)


def _asked_for(webhooks: WebhookDeclaration, event_type: str) -> str:
    return event_type.partition(".")[0] if webhooks.action else event_type
