"""What an event says, by its source's configuration."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from connectors.errors import SourceError
from connectors.inference.objects import NoObjectError, parsed_value
from connectors.inference.texts import Literal
from connectors.receiving import ObjectChange, Record, RefusedError
from connectors.rest.paths import found
from connectors.webhooks.config import EVENT_ID, EVENT_TYPE, WebhookConfig

WITHOUT_TYPE = "event"

_INT8 = range(-(2**63), 2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NUMBER = 40


@dataclass(frozen=True)
class Event:
    """``table``: None where nothing is made of it; then it has no changes."""

    type: str
    table: str | None
    id: str | None
    changes: tuple[ObjectChange, ...]


def read_event(config: WebhookConfig, body: bytes, id: str | None = None) -> Event:
    """``id``: as it came beside the body. ``RefusedError`` where the body is not of the shape that the configuration
    says.
    """
    try:
        content = parsed_value(body)
    except NoObjectError as error:
        raise _malformed(f"The body has {error}.") from error
    try:
        return _event(config, content, body, id)
    except SourceError as error:
        raise _malformed(error.message) from error


def _event(config: WebhookConfig, content: Any, body: bytes, beside: str | None) -> Event:
    given = found(config.event_type, content)
    kind = given if isinstance(given, str) and given else WITHOUT_TYPE
    table = _table(config, content)
    wanted = not config.event_types or any(fnmatchcase(kind, pattern) for pattern in config.event_types)
    if table is None or not wanted:
        return Event(kind, None, None, ())
    id = _event_id(config, content, body, beside)
    order = _order(found(config.order, content)) if config.order else None
    deleted = bool(config.deleted) and _holds(found(config.deleted, content))
    records = _records(config, content, id, kind)
    return Event(kind, table, id, tuple(ObjectChange(each, order, deleted) for each in records))


def _table(config: WebhookConfig, content: Any) -> str | None:
    if not config.table:
        return config.tables[0]
    name = found(config.table, content)
    return name if isinstance(name, str) and name in config.tables else None


def _event_id(config: WebhookConfig, content: Any, body: bytes, beside: str | None) -> str:
    if not config.event_id:
        return beside or hashlib.sha256(body).hexdigest()
    id = found(config.event_id, content)
    if not isinstance(id, str) or not id:
        raise _malformed(f"The event has no id at {config.event_id}.")
    return str(id)


def _records(config: WebhookConfig, content: Any, id: str, kind: str) -> list[Record]:
    given = found(config.record, content) if config.record else content
    several = given if isinstance(given, list) and config.key else [given]
    if not all(isinstance(each, dict) for each in several):
        raise _malformed(f"The event has no object {f'at {config.record}' if config.record else 'as its body'}.")
    if not config.key:
        return [{**given, EVENT_ID: id, EVENT_TYPE: kind}]
    return [{**each, **_key(config, each)} for each in several]


def _key(config: WebhookConfig, record: Mapping[str, Any]) -> Record:
    key = {name: found(path, record) for name, path in config.key}
    for name, value in key.items():
        if not isinstance(value, str | bool):
            raise _malformed(f"The object has no {name} that could be its key.")
    return key


def _order(value: Any) -> int | None:
    """Of a number the whole part; of a time its microseconds. None where it is neither."""
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(text) > _LONGEST_NUMBER:
        return None
    try:
        number = Decimal(text)
        order = int(number.to_integral_value("ROUND_FLOOR")) if number.adjusted() < _LONGEST_NUMBER else None
    except (InvalidOperation, ValueError, OverflowError):
        order = _microseconds(text)
    return order if order is not None and order in _INT8 else None


def _microseconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return (zoned - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None


def _holds(value: Any) -> bool:
    if isinstance(value, Literal):
        return bool(value.strip("-0.eE+"))
    return bool(value) and value != "false"


def _malformed(message: str) -> RefusedError:
    return RefusedError("malformed_body", message)
