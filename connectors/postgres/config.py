"""The connection's fields: the form, their check, and the frozen configuration that comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from connectors import tls
from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.hosts import checked_host, checked_port
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.surroundings import Surroundings
from connectors.tls import NO_CERTIFICATES, Certificates, certificates
from connectors.tunnels import TUNNEL_FIELDS, UNTRIMMED, Bastion, bastion_of

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
        FormField("sslmode", "TLS mode", type="select", default="prefer", options=tls.MODES),
        FormField("ssl_ca", "Certificate of the authority (PEM)", type="textarea"),
        FormField("ssl_cert", "Client certificate (PEM)", type="textarea"),
        FormField("ssl_key", "Key of the client certificate (PEM)", type="textarea", secret=True),
        FormField(
            "connection_string",
            "Connection string",
            type="password",
            secret=True,
            placeholder="postgresql://user:password@host:5432/database",
            decides_host=True,
        ),
        *TUNNEL_FIELDS,
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
_UNTRIMMED = UNTRIMMED | {"password"}


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
    certificates: Certificates = NO_CERTIFICATES
    outbound: OutboundPolicy = CLOSED
    bastion: Bastion | None = None
    """Through which the host is reached; its name is then one that the bastion knows."""


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
    if sslmode not in tls.MODES:
        raise ConfigurationError(f"The TLS mode must be one of {', '.join(tls.MODES)}.", attr="sslmode")
    return PostgresConfig(
        host=checked_host(values["host"]),
        port=checked_port(values["port"], DEFAULT_PORT),
        database=values["database"],
        user=values["user"],
        password=values["password"],
        schema=values["schema"] or None,
        sslmode=sslmode,
        certificates=certificates(values["ssl_ca"], values["ssl_cert"], values["ssl_key"]),
        outbound=surroundings.outbound,
        bastion=bastion_of(values, surroundings.outbound),
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
    return text if name in _UNTRIMMED else text.strip()


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
