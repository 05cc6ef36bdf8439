"""The connection's fields: the form, the connection string, and the frozen configuration that comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.servers import DEFAULT_TLS_MODE, TLS_FIELDS, ServerConfig, texts_of
from connectors.surroundings import Surroundings
from connectors.tunnels import TUNNEL_FIELDS

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
        *TLS_FIELDS,
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


@dataclass(frozen=True)
class PostgresConfig(ServerConfig):
    """Where a database is and how to log in. ``schema`` None: all schemas of users."""

    schema: str | None = None


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> PostgresConfig:
    """The configuration of these fields; a connection string stands in for the fields that it holds."""
    values = texts_of(FORM, inputs)
    given = _connection_string(values["connection_string"])
    for name, value in given.items():
        default = {"port": str(DEFAULT_PORT), "sslmode": DEFAULT_TLS_MODE}.get(name)
        if values[name] not in ("", default, value):
            raise ConfigurationError(f"The field {name} and the connection string contradict each other.", attr=name)
        values[name] = value
    return PostgresConfig.of(values, surroundings, default_port=DEFAULT_PORT, schema=values["schema"] or None)


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
