"""Connections of HTTP clients: each is made to an address that the outbound policy let through, whatever leads to it.

A name is resolved for each connection and checked as it is then, so that redirects and names that change their
addresses gain nothing.
"""

import logging
import ssl
from collections.abc import Iterable
from functools import cache

import certifi
import httpcore2
import httpx2

from connectors.outbound import OutboundPolicy, resolve

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
MOST_CONNECTIONS = 32

# It would tell the address of every request, in which a key may stand.
logging.getLogger("httpx2").setLevel(logging.WARNING)


@cache
def authorities(own: str | None = None) -> ssl.SSLContext:
    """One's own (PEM), or else those of the public and of the system."""
    if own is not None:
        return ssl.create_default_context(cadata=own)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def is_about_certificates(error: BaseException | None) -> bool:
    """Whether a server's certificate did not pass. All else that breaks a handshake may pass by itself."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def guarded_transport(policy: OutboundPolicy, trusted: ssl.SSLContext) -> httpx2.BaseTransport:
    transport = httpx2.HTTPTransport(verify=trusted, trust_env=False)
    transport._pool = httpcore2.ConnectionPool(
        ssl_context=trusted,
        max_connections=MOST_CONNECTIONS,
        network_backend=_GuardedBackend(policy),
    )
    return transport


class _GuardedBackend(httpcore2.SyncBackend):
    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy = policy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        addresses = resolve(self._policy, host, port, attr=None)
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses:
            try:
                return super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure
