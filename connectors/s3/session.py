"""Botocore's clients, whose connections go where the outbound policy lets them, whatever leads there.

A name is resolved for each connection and checked as it is then, so that redirects and names that change their
addresses gain nothing.
"""

import os
import threading
from functools import cache
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.client import Config
from botocore.httpsession import URLLib3Session

from connectors.deadline import remaining
from connectors.outbound import OutboundPolicy, connect_to
from connectors.s3.bucket import Bucket

ATTEMPTS = 4
"""Of one request."""
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
MOST_CONNECTIONS = 32
_SESSION_LOCK = threading.Lock()


def guarded_client(bucket: Bucket) -> Any:
    """A client of the bucket's store, with the bucket's keys and no others."""
    left = remaining()
    patience = (CONNECT_SECONDS, READ_SECONDS) if left is None else (max(1.0, left / 2), max(1.0, left / 2))
    options: dict[str, Any] = {
        "signature_version": "s3v4" if bucket.access_key_id else UNSIGNED,
        "ignore_configured_endpoint_urls": True,
        "retries": {"total_max_attempts": ATTEMPTS if left is None else 1, "mode": "standard"},
        "s3": {"addressing_style": "path" if bucket.endpoint else "auto"},
        # What speaks S3's protocol need not know its newest checksums.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    with _SESSION_LOCK:
        client: Any = _session().create_client(
            "s3",
            region_name=bucket.region,
            endpoint_url=bucket.endpoint,
            # Without any, those of the server would be looked for.
            aws_access_key_id=bucket.access_key_id or "none",
            aws_secret_access_key=bucket.secret_access_key or "none",
            config=Config(**options),
        )
    client._endpoint.http_session = guarded_session(bucket.outbound, *patience)
    return client


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


@cache
def _session() -> botocore.session.Session:
    """One for all clients: it knows S3 once it has read what there is to know. Made and asked under ``_SESSION_LOCK``.

    Nothing of the server's own configuration or login may serve a user, or reach a host that a user names.
    """
    alone = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return botocore.session.Session(session_vars=alone)
