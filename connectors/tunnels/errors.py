"""What goes wrong on the way to a bastion, at its door, and behind it: what the user must do, in one sentence each."""

import re

import asyncssh

from connectors.errors import BusyError, ConfigurationError, CredentialsError, SourceError, UnreachableError
from connectors.tunnels.bastion import Bastion
from connectors.tunnels.keys import HostKey


def unreachable(bastion: Bastion, error: UnreachableError) -> UnreachableError:
    """Why nothing could be connected to. The cause tells more than the sentence of ``connectors.outbound``."""
    if isinstance(error.__cause__, ConnectionRefusedError):
        return UnreachableError(
            f"Nothing answers on {bastion.host}, port {bastion.port}: check the SSH server and its port.",
            attr="ssh_host",
        )
    return late(bastion) if isinstance(error.__cause__, TimeoutError) else error


def late(bastion: Bastion) -> UnreachableError:
    return UnreachableError(
        f"The SSH server {bastion.host}, port {bastion.port}, did not answer in time: check that a firewall lets "
        "Syncline in.",
        attr="ssh_host",
    )


def login_error(
    error: Exception, bastion: Bastion, shown: HostKey | None, *, password_asked: bool, key_asked: bool
) -> SourceError:
    """Why a login failed. ``shown``: the key by which the server proved itself, where it came to that."""
    match error:
        case TimeoutError():
            return late(bastion)
        case ValueError():
            return ConfigurationError("The SSH user has characters that no name has.", attr="ssh_user")
        case asyncssh.HostKeyNotVerifiable() if shown is not None:
            return _host_key_error(bastion, shown)
        case asyncssh.KeyExchangeFailed():
            return ConfigurationError(
                f"The SSH server {bastion.host} and Syncline agree on no way to encrypt: it may be too old.",
                attr="ssh_host",
            )
        case asyncssh.PermissionDenied() | asyncssh.IllegalUserName():
            return _refusal(bastion, password_asked=password_asked, key_asked=key_asked)
        case asyncssh.ProtocolError() | asyncssh.ProtocolNotSupported():
            return UnreachableError(
                f"What answers on {bastion.host}, port {bastion.port}, is no SSH server: check the host and the port.",
                attr="ssh_host",
            )
        case _:
            return UnreachableError(
                f"The SSH server {bastion.host}, port {bastion.port}, broke off the login.", attr="ssh_host"
            )


def _host_key_error(bastion: Bastion, shown: HostKey) -> ConfigurationError:
    if bastion.host_key is None:
        return ConfigurationError(
            f"The SSH server {bastion.host} shows the host key {shown}: if that is right, put it into the field "
            "ssh_host_key.",
            attr="ssh_host_key",
        )
    return ConfigurationError(
        f"The SSH server {bastion.host} shows the host key {shown} and not the known one, {bastion.host_key}: put it "
        "into the field ssh_host_key only if you know that the server has a new key, for else somebody is in between.",
        attr="ssh_host_key",
    )


def _refusal(bastion: Bastion, *, password_asked: bool, key_asked: bool) -> CredentialsError:
    if key_asked and password_asked:
        return CredentialsError(
            f"The SSH server {bastion.host} takes neither the private key nor the password for the user "
            f"{bastion.user}.",
            attr="ssh_private_key",
        )
    if password_asked:
        return CredentialsError(
            f"The SSH server {bastion.host} does not take the password for the user {bastion.user}.",
            attr="ssh_password",
        )
    if key_asked:
        return CredentialsError(
            f"The SSH server {bastion.host} does not take the private key for the user {bastion.user}: add its public "
            "key to authorized_keys.",
            attr="ssh_private_key",
        )
    if bastion.private_key:
        return CredentialsError(
            f"The SSH server {bastion.host} lets nobody log in with a key: give a password.", attr="ssh_password"
        )
    return CredentialsError(
        f"The SSH server {bastion.host} lets nobody log in with a password: give a private key.",
        attr="ssh_private_key",
    )


def channel_error(error: Exception, bastion: Bastion, host: str, port: int) -> SourceError:
    """Why the bastion leads nowhere. Servers tell no more than a code and, in words, why they could not connect."""
    code = error.code if isinstance(error, asyncssh.ChannelOpenError) else None
    if code in (asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, asyncssh.OPEN_UNKNOWN_CHANNEL_TYPE):
        return ConfigurationError(
            f"The SSH server {bastion.host} does not let {bastion.user} go on to {host}, port {port}: allow it there "
            "(AllowTcpForwarding, PermitOpen).",
            attr="ssh_host",
        )
    if code == asyncssh.OPEN_RESOURCE_SHORTAGE:
        return BusyError(f"The SSH server {bastion.host} has no room for another connection.", retry_after_seconds=30)
    seen = f"as seen from the SSH server {bastion.host}"
    text = str(error).lower()
    if "refused" in text:
        return UnreachableError(
            f"Nothing answers on {host}, port {port}, {seen}: check host and port, and that the database is running.",
            attr="host",
        )
    if "timed out" in text:
        return UnreachableError(f"{host}, port {port}, did not answer in time, {seen}.", attr="host")
    if re.search(r"unknown host|not known|resol|no address", text):
        return UnreachableError(f"The host {host} is unknown, {seen}: check its name.", attr="host")
    if "ssh connection" in text:
        return UnreachableError(f"The connection to the SSH server {bastion.host} broke.", attr="ssh_host")
    return UnreachableError(f"{host}, port {port}, cannot be reached, {seen}.", attr="host")
