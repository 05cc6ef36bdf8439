"""The connection's fields: the form, their check, and the frozen configuration that comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors import tls
from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.hosts import checked_host, checked_port
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.surroundings import Surroundings
from connectors.tls import NO_CERTIFICATES, Certificates, certificates
from connectors.tunnels import TUNNEL_FIELDS, UNTRIMMED, Bastion, bastion_of

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
        FormField("sslmode", "TLS mode", type="select", default="prefer", options=tls.MODES),
        FormField("ssl_ca", "Certificate of the authority (PEM)", type="textarea"),
        FormField("ssl_cert", "Client certificate (PEM)", type="textarea"),
        FormField("ssl_key", "Key of the client certificate (PEM)", type="textarea", secret=True),
        *TUNNEL_FIELDS,
    ),
)

_UNTRIMMED = UNTRIMMED | {"password"}


@dataclass(frozen=True)
class MySqlConfig:
    """Where a database is and how to log in."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"
    certificates: Certificates = NO_CERTIFICATES
    outbound: OutboundPolicy = CLOSED
    bastion: Bastion | None = None
    """Through which the host is reached; its name is then one that the bastion knows."""


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> MySqlConfig:
    values = {each.name: _text(inputs, each.name) for each in FORM.fields}
    for name in ("host", "database", "user"):
        if not values[name]:
            raise ConfigurationError(f"The field {name} is missing.", attr=name)
    sslmode = values["sslmode"] or "prefer"
    if sslmode not in tls.MODES:
        raise ConfigurationError(f"The TLS mode must be one of {', '.join(tls.MODES)}.", attr="sslmode")
    return MySqlConfig(
        host=checked_host(values["host"]),
        port=checked_port(values["port"], DEFAULT_PORT),
        database=values["database"],
        user=values["user"],
        password=values["password"],
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
