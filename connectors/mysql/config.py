"""The connection's fields: the form, their check, and the frozen configuration that comes out."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.surroundings import Surroundings

SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
DEFAULT_PORT = 3306

FORM = SourceForm(
    name="MySQL",
    label="MySQL or MariaDB",
    caption="Give host, database, user and password of an account that may SELECT what you want to copy.",
    docs_url="https://mariadb.com/kb/en/grant/",
    fields=(
        FormField("host", "Host", required=True, placeholder="db.example.com", decides_host=True),
        FormField("port", "Port", type="number", default=DEFAULT_PORT, decides_host=True),
        FormField("database", "Database", required=True),
        FormField("user", "User", required=True),
        FormField("password", "Password", type="password", secret=True),
        FormField("sslmode", "TLS mode", type="select", default="prefer", options=SSL_MODES),
        FormField("ssl_ca", "Certificate of the authority (PEM)", type="textarea"),
    ),
)

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.\-]*[A-Za-z0-9_.])?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")


@dataclass(frozen=True)
class MySqlConfig:
    """Where a database is and how to log in."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"
    ssl_ca: str | None = None
    outbound: OutboundPolicy = CLOSED


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> MySqlConfig:
    values = {each.name: _text(inputs, each.name) for each in FORM.fields}
    for name in ("host", "database", "user"):
        if not values[name]:
            raise ConfigurationError(f"The field {name} is missing.", attr=name)
    sslmode = values["sslmode"] or "prefer"
    if sslmode not in SSL_MODES:
        raise ConfigurationError(f"The TLS mode must be one of {', '.join(SSL_MODES)}.", attr="sslmode")
    return MySqlConfig(
        host=_host(values["host"]),
        port=_port(values["port"]),
        database=values["database"],
        user=values["user"],
        password=values["password"],
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
