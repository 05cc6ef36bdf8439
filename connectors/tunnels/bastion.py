"""The fields of a tunnel: the part of a form that they are, their check, and the frozen configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.base import FormField
from connectors.errors import ConfigurationError
from connectors.hosts import checked_host, checked_port
from connectors.outbound import OutboundPolicy
from connectors.tunnels.keys import HostKey, host_key, private_key

DEFAULT_PORT = 22

TUNNEL_FIELDS = (
    FormField("ssh_host", "SSH server (empty: no tunnel)", placeholder="bastion.example.com", decides_host=True),
    FormField("ssh_port", "SSH port", type="number", default=DEFAULT_PORT, decides_host=True, only_with="ssh_host"),
    FormField("ssh_user", "SSH user", only_with="ssh_host"),
    FormField("ssh_password", "SSH password", type="password", secret=True, only_with="ssh_host"),
    FormField(
        "ssh_private_key",
        "SSH private key (OpenSSH or PEM)",
        type="textarea",
        secret=True,
        only_with="ssh_host",
    ),
    FormField("ssh_passphrase", "Passphrase of the private key", type="password", secret=True, only_with="ssh_host"),
    FormField(
        "ssh_host_key",
        "Host key of the SSH server",
        type="textarea",
        placeholder="ssh-ed25519 SHA256:…, or a line of known_hosts",
        only_with="ssh_host",
    ),
)
UNTRIMMED = frozenset({"ssh_password", "ssh_passphrase"})
"""Blanks at their ends belong to these."""


@dataclass(frozen=True)
class Bastion:
    """An SSH server that leads to databases, and how to log in there. Without a ``host_key`` nothing is sent to it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    private_key: str = field(repr=False)
    """As PEM without a passphrase; empty where there is none."""
    host_key: HostKey | None
    outbound: OutboundPolicy


def bastion_of(values: Mapping[str, str], outbound: OutboundPolicy) -> Bastion | None:
    """The bastion of a form's texts, which has all ``TUNNEL_FIELDS``; None where no ``ssh_host`` is given.

    ``ConfigurationError`` names a field. Whether the server shows the right key is seen when it is connected to.
    """
    if not values["ssh_host"]:
        return None
    host = checked_host(values["ssh_host"], attr="ssh_host", what="SSH server")
    if not values["ssh_user"]:
        raise ConfigurationError("The user at the SSH server is missing.", attr="ssh_user")
    if not (values["ssh_password"] or values["ssh_private_key"]):
        raise ConfigurationError("The SSH server needs a private key or a password.", attr="ssh_private_key")
    return Bastion(
        host=host,
        port=checked_port(values["ssh_port"], DEFAULT_PORT, attr="ssh_port", what="SSH port"),
        user=values["ssh_user"],
        password=values["ssh_password"],
        private_key=private_key(values["ssh_private_key"], values["ssh_passphrase"]),
        host_key=host_key(values["ssh_host_key"]),
        outbound=outbound,
    )
