"""Connections of HTTP clients: each is made to an address that the outbound policy let through, whatever leads to it.

A name is resolved for each connection and checked as it is then, so that redirects and names that change their
addresses gain nothing.
"""

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.httpsession import URLLib3Session

from connectors.outbound import OutboundPolicy, connect_to, resolve

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
MOST_CONNECTIONS = 32


def guarded_session(policy: OutboundPolicy, connect_seconds: float, read_seconds: float) -> Any:
    """Botocore's HTTP session, without the proxies and certificates that the environment names."""

    def connected(connection: Any) -> Any:
        opened = connect_to(policy, connection.host, connection.port, connect_seconds, attr=None)
        for option in connection.socket_options or ():
            opened.setsockopt(*option)
        return opened

    plain = type("GuardedConnection", (AWSHTTPConnection,), {"_new_conn": connected})
    encrypted = type("GuardedTlsConnection", (AWSHTTPSConnection,), {"_new_conn": connected})
    own: Any = URLLib3Session
    session = own(timeout=(connect_seconds, read_seconds), max_pool_connections=MOST_CONNECTIONS)
    session._manager.pool_classes_by_scheme = {
        "http": type("GuardedPool", (AWSHTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("GuardedTlsPool", (AWSHTTPSConnectionPool,), {"ConnectionCls": encrypted}),
    }
    return session


def guarded_transport(policy: OutboundPolicy, authorities: ssl.SSLContext) -> httpx.BaseTransport:
    transport = httpx.HTTPTransport(verify=authorities, trust_env=False)
    transport._pool = httpcore.ConnectionPool(
        ssl_context=authorities,
        max_connections=MOST_CONNECTIONS,
        network_backend=_GuardedBackend(policy),
    )
    return transport


class _GuardedBackend(httpcore.SyncBackend):
    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy = policy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        addresses = resolve(self._policy, host, port, attr=None)
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses:
            try:
                return super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
