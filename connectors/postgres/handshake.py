"""What is wrong with a server's certificate: libpq says only that something is.

Protocol: https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest).
"""

import socket
import ssl
import struct
import time

import psycopg

from connectors.deadline import remaining
from connectors.errors import ConfigurationError
from connectors.postgres.config import PostgresConfig
from connectors.tls import Files, context, refusal
from connectors.tunnels import Endpoint

PATIENCE_SECONDS = 5.0
_SSL_REQUEST = struct.pack(">II", 8, 80877103)


def certificate_error(
    error: psycopg.Error, config: PostgresConfig, endpoint: Endpoint, files: Files
) -> ConfigurationError | None:
    """Why no trusted authority stands behind the certificate, where the login failed of that: found out by another
    handshake. None for all else.
    """
    if not config.sslmode.startswith("verify") or "SSL error" not in str(error):
        return None
    left = remaining()
    until = time.monotonic() + (PATIENCE_SECONDS if left is None else min(PATIENCE_SECONDS, left))
    for address in endpoint.addresses:
        try:
            _shake_hands((address, endpoint.port), config.host, context(files), until)
        except ssl.SSLCertVerificationError as found:
            return refusal(found, config.host)
        except OSError:
            continue
    return None


def _shake_hands(address: tuple[str, int], name: str, how: ssl.SSLContext, until: float) -> None:
    """Does not outlast its time, however slowly the server answers: hence not by a socket of TLS's own."""
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = how.wrap_bio(heard, said, server_hostname=name)
    with socket.create_connection(address, _left(until)) as line:
        line.sendall(_SSL_REQUEST)
        if line.recv(1) != b"S":
            return
        while True:
            try:
                secured.do_handshake()
                return
            except ssl.SSLWantReadError:
                line.settimeout(_left(until))
                line.sendall(said.read())
                received = line.recv(65536)
                if not received:
                    return
                heard.write(received)


def _left(until: float) -> float:
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
