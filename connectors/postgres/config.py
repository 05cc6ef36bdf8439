"""The connection's fields: the form, their check, and the frozen configuration that comes out."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.surroundings import Surroundings

SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
DEFAULT_PORT = 5432

FORM = SourceForm(
    name="Postgres",
    label="PostgreSQL",
    caption="Give host, database, user and password of a role that may SELECT what you want to copy, "
    "or one connection string in place of them.",
    docs_url="https://www.postgresql.org/docs/current/libpq-connect.html",
    fields=(
        FormField("host", "Host", placeholder="db.example.com", decides_host=True),
        FormField("port", "Port", type="number", default=DEFAULT_PORT, decides_host=True),
        FormField("database", "Database"),
        FormField("user", "User"),
        FormField("password", "Password", type="password", secret=True),
        FormField("schema", "Schema", placeholder="public; empty for all schemas"),
        FormField("sslmode", "TLS mode", type="select", default="prefer", options=SSL_MODES),
        FormField("ssl_ca", "Certificate of the authority (PEM)", type="textarea"),
        FormField(
            "connection_string",
            "Connection string",
            type="password",
            secret=True,
            placeholder="postgresql://user:password@host:5432/database",
            decides_host=True,
        ),
    ),
)

_FROM_STRING = {
    "host": "host",
    "port": "port",
    "dbname": "database",
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
}
_HARMLESS_IN_STRING = {"application_name", "connect_timeout", "channel_binding", "gssencmode"}
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.\-]*[A-Za-z0-9_.])?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")


@dataclass(frozen=True)
class PostgresConfig:
    """Where a database is and how to log in. ``schema`` None: all schemas of users."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    schema: str | None = None
    sslmode: str = "prefer"
    ssl_ca: str | None = None
    outbound: OutboundPolicy = CLOSED


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> PostgresConfig:
    """The configuration of these fields; a connection string stands in for the fields that it holds."""
    values = {name: _text(inputs, name) for name in (each.name for each in FORM.fields)}
    given = _connection_string(values["connection_string"])
    for name, value in given.items():
        default = {"port": str(DEFAULT_PORT), "sslmode": "prefer"}.get(name)
        if values[name] not in ("", default, value):
            raise ConfigurationError(f"The field {name} and the connection string contradict each other.", attr=name)
        values[name] = value
    for name in ("host", "database", "user"):
        if not values[name]:
            raise ConfigurationError(f"The field {name} is missing.", attr=name)
    sslmode = values["sslmode"] or "prefer"
    if sslmode not in SSL_MODES:
        raise ConfigurationError(f"The TLS mode must be one of {', '.join(SSL_MODES)}.", attr="sslmode")
    return PostgresConfig(
        host=_host(values["host"]),
        port=_port(values["port"]),
        database=values["database"],
        user=values["user"],
        password=values["password"],
        schema=values["schema"] or None,
        sslmode=sslmode,
        ssl_ca=_certificate(values["ssl_ca"]),
        outbound=surroundings.outbound,
    )


def _text(inputs: Mapping[str, Any], name: str) -> str:
    value = inputs.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ConfigurationError(f"The field {name} must be text.", attr=name)
    text = str(value)
    if "\0" in text:
        raise ConfigurationError(f"The field {name} holds a null character.", attr=name)
    return text if name == "password" else text.strip()


def _connection_string(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        parts = conninfo_to_dict(text)
    except ProgrammingError:
        # Without its cause: libpq quotes the string, password and all.
        raise ConfigurationError(
            "The connection string is malformed: write postgresql://user:password@host:5432/database.",
            attr="connection_string",
        ) from None
    refused = sorted(parts.keys() - _FROM_STRING.keys() - _HARMLESS_IN_STRING)
    if refused:
        raise ConfigurationError(f"The connection string may not set {', '.join(refused)}.", attr="connection_string")
    return {_FROM_STRING[name]: str(value) for name, value in parts.items() if name in _FROM_STRING}


def _host(text: str) -> str:
    if not _HOST.fullmatch(text) or len(text) > 253:
        raise ConfigurationError("The host must be one host name or IP address.", attr="host")
    return text


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ConfigurationError("The port must be a number from 1 to 65535.", attr="port")
    return int(text)


def _certificate(text: str) -> str | None:
    if not text:
        return None
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            "The authority's certificate is no PEM text (-----BEGIN CERTIFICATE-----).", attr="ssl_ca"
        ) from error
    return text + "\n"
