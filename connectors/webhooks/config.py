"""What a user says of the events that some sender of theirs sends: how they are signed, and what is where in them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jmespath.exceptions import JMESPathError

from connectors.base import FormField
from connectors.errors import ConfigurationError
from connectors.fields import text_of
from connectors.rest.paths import compiled, is_plain
from connectors.webhooks.signatures import STRIPE_HEADER, HmacScheme

STANDARD, HMAC, STRIPE = "standard", "hmac", "stripe"
MOST_TEXT = 1000
MOST_TABLES = 100

EVENT_ID, EVENT_TYPE = "_event_id", "_event_type"
"""Columns of a table whose rows are the events themselves."""

FIELDS = (
    FormField("signature", "Signature", type="select", default=STANDARD, options=(STANDARD, HMAC, STRIPE)),
    FormField("signature_header", "Header with the signature", placeholder="X-Hub-Signature-256"),
    FormField("algorithm", "Algorithm (hmac)", type="select", default="sha256", options=("sha1", "sha256", "sha512")),
    FormField("encoding", "Encoding (hmac)", type="select", default="hex", options=("hex", "base64")),
    FormField("prefix", "What stands before the signature (hmac)", placeholder="sha256="),
    FormField("timestamp_header", "Header with the time (hmac)", placeholder="X-Request-Timestamp"),
    FormField("signed_content", "What is signed (hmac)", placeholder="{timestamp}.{body}"),
    FormField("tables", "Tables", default="events", placeholder="customers, orders"),
    FormField("table", "Path to the table's name", placeholder="object"),
    FormField("event_type", "Path to the event's type", default="type"),
    FormField("event_types", "Types that are wanted", placeholder="customer.*, order.created"),
    FormField("event_id", "Path to the event's id", placeholder="id"),
    FormField("record", "Path to the object", placeholder="data.object"),
    FormField("key", "Key of the object", placeholder="id"),
    FormField("order", "Path to what grows with each change", placeholder="data.updated_at"),
    FormField("deleted", "Path or condition of a deletion", placeholder="contains(type, 'deleted')"),
)

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
"""What may name a header."""
_NAME = re.compile(r"[A-Za-z_][\w\-]{0,99}", re.ASCII)
_PLACES = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class WebhookConfig:
    """Paths are JMESPath over the body; those of the key over the object. Only ``order`` and ``deleted`` compute."""

    scheme: str
    hmac: HmacScheme
    """Of ``stripe`` just the header counts."""
    tables: tuple[str, ...]
    table: str
    event_type: str
    event_types: tuple[str, ...]
    """Patterns; none: all."""
    event_id: str
    """Empty: events of the same bytes are one."""
    record: str
    key: tuple[tuple[str, str], ...]
    """Names of columns, and the path to each. Empty: each event is a row."""
    order: str
    deleted: str

    @property
    def primary_key(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.key) or (EVENT_ID,)


def parse_config(inputs: Mapping[str, Any]) -> WebhookConfig:
    """``ConfigurationError`` names the field."""
    values = {each.name: _value(inputs, each) for each in FIELDS}
    tables = tuple(dict.fromkeys(_listed(values["tables"])))
    if not tables or len(tables) > MOST_TABLES or not all(_NAME.fullmatch(name) for name in tables):
        raise ConfigurationError(
            f"The field tables has up to {MOST_TABLES} names, separated by commas, of letters, digits, _ and -.",
            attr="tables",
        )
    if len(tables) > 1 and not values["table"]:
        raise ConfigurationError("Of several tables the field table must say which one an event is of.", attr="table")
    for name in ("table", "event_type", "event_id", "record"):
        _check_path(values[name], name, plain=True)
    for name in ("order", "deleted"):
        _check_path(values[name], name)
    return WebhookConfig(
        scheme=values["signature"],
        hmac=_hmac(values),
        tables=tables,
        table=values["table"],
        event_type=values["event_type"],
        event_types=tuple(_listed(values["event_types"])),
        event_id=values["event_id"],
        record=values["record"],
        key=_key(values["key"]),
        order=values["order"],
        deleted=values["deleted"],
    )


def _value(inputs: Mapping[str, Any], field: FormField) -> str:
    value = text_of(inputs, field.name) or str(field.default or "")
    if len(value) > MOST_TEXT or not value.isprintable():
        raise ConfigurationError(
            f"The field {field.name} is a line of at most {MOST_TEXT} characters.", attr=field.name
        )
    if field.options and value not in field.options:
        raise ConfigurationError(f"The field {field.name} is one of {', '.join(field.options)}.", attr=field.name)
    return value


def _hmac(values: Mapping[str, str]) -> HmacScheme:
    header = _header(values, "signature_header")
    if values["signature"] == STRIPE:
        return HmacScheme(header or STRIPE_HEADER)
    if values["signature"] == HMAC and not header:
        raise ConfigurationError("The field signature_header is missing.", attr="signature_header")
    at = _header(values, "timestamp_header")
    signed = values["signed_content"] or ("{timestamp}.{body}" if at else "{body}")
    places = sorted(_PLACES.findall(signed))
    if places != (["{body}", "{timestamp}"] if at else ["{body}"]):
        raise ConfigurationError(
            "The field signed_content has {body} once, and where there is a timestamp_header {timestamp}, once, too.",
            attr="signed_content",
        )
    return HmacScheme(header, values["algorithm"], values["encoding"], values["prefix"], at or None, signed)  # type: ignore[arg-type]


def _header(values: Mapping[str, str], name: str) -> str:
    if values[name] and not _TOKEN.fullmatch(values[name]):
        raise ConfigurationError(f"The field {name} is the name of a header.", attr=name)
    return values[name].lower()


def _key(text: str) -> tuple[tuple[str, str], ...]:
    """``id``, or several with commas; what is deeper in the object gets a name: ``order_id=order.id``."""
    found: dict[str, str] = {}
    for part in _listed(text):
        name, equals, path = (each.strip() for each in part.partition("="))
        if not _NAME.fullmatch(name) or (equals and not path) or name in found:
            raise ConfigurationError(
                "The field key has names of the object's fields, separated by commas; give a path a name, as in "
                "order_id=order.id.",
                attr="key",
            )
        found[name] = path or f'"{name}"'
        _check_path(found[name], "key", plain=True)
    return tuple(found.items())


def _check_path(path: str, name: str, *, plain: bool = False) -> None:
    """``plain``: it only leads somewhere, so that what is there stays as it is written."""
    try:
        if path:
            compiled(path)
    except JMESPathError as error:
        raise ConfigurationError(f"The field {name} is no JMESPath expression.", attr=name) from error
    if plain and path and not is_plain(path):
        raise ConfigurationError(f"The field {name} is a path that computes nothing, such as data.object.", attr=name)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
