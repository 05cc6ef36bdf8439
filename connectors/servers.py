"""Database servers that one logs in to: the fields that their forms share, the check of these, and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from connectors import tls
from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.hosts import checked_host, checked_port
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.surroundings import Surroundings
from connectors.tls import NO_CERTIFICATES, Certificates, certificates
from connectors.tunnels import UNTRIMMED, Bastion, bastion_of

DEFAULT_TLS_MODE = "prefer"
TLS_FIELDS = (
    FormField("sslmode", "TLS mode", type="select", default=DEFAULT_TLS_MODE, options=tls.MODES),
    FormField("ssl_ca", "Certificate of the authority (PEM)", type="textarea"),
    FormField("ssl_cert", "Client certificate (PEM)", type="textarea"),
    FormField("ssl_key", "Key of the client certificate (PEM)", type="textarea", secret=True),
)

_UNTRIMMED = UNTRIMMED | {"password"}


@dataclass(frozen=True)
class ServerConfig:
    """Where a database is and how to log in."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str = DEFAULT_TLS_MODE
    certificates: Certificates = NO_CERTIFICATES
    outbound: OutboundPolicy = CLOSED
    bastion: Bastion | None = None
    """Through which the host is reached; its name is then one that the bastion knows."""

    @classmethod
    def of(cls, values: Mapping[str, str], surroundings: Surroundings, *, default_port: int, **more: Any) -> Self:
        """The configuration of a form's texts, which has ``host``, ``port``, ``database``, ``user``, ``password``,
        ``TLS_FIELDS`` and ``TUNNEL_FIELDS``. ``ConfigurationError`` names a field. ``more``: fields of a subclass.
        """
        for name in ("host", "database", "user"):
            if not values[name]:
                raise ConfigurationError(f"The field {name} is missing.", attr=name)
        sslmode = values["sslmode"] or DEFAULT_TLS_MODE
        if sslmode not in tls.MODES:
            raise ConfigurationError(f"The TLS mode must be one of {', '.join(tls.MODES)}.", attr="sslmode")
        return cls(
            host=checked_host(values["host"]),
            port=checked_port(values["port"], default_port),
            database=values["database"],
            user=values["user"],
            password=values["password"],
            sslmode=sslmode,
            certificates=certificates(values["ssl_ca"], values["ssl_cert"], values["ssl_key"]),
            outbound=surroundings.outbound,
            bastion=bastion_of(values, surroundings.outbound),
            **more,
        )


def texts_of(form: SourceForm, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The text of each of the form's fields, empty where none is given; blanks stay at the ends of passwords only."""
    return {each.name: _text(inputs, each.name) for each in form.fields}


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
