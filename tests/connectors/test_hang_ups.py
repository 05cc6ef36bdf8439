"""A server that hangs up in the middle of a handshake may be there again soon: no setting is wrong for it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.deadline import patience
from connectors.errors import UnreachableError
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.rest import client
from connectors.surroundings import Surroundings


@contextmanager
def hanging_up(answer: bytes) -> Iterator[int]:
    """The port of a server that says so much, waits for what is said to it, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    if answer:
                        connection.recv(8)
                        connection.sendall(answer)
                    connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def inputs(source_type: str, port: int) -> dict[str, Any]:
    keys = {"access_key_id": "k", "secret_access_key": "s", "endpoint": f"https://127.0.0.1:{port}"}
    return {
        "Postgres": {"host": "127.0.0.1", "port": port, "database": "d", "user": "u", "sslmode": "require"},
        "MySQL": {"host": "127.0.0.1", "port": port, "database": "d", "user": "u", "sslmode": "require"},
        "Files": {"location": f"https://127.0.0.1:{port}/", "tables": "t: 1.csv"},
        "Files in S3": {"location": "s3://bucket", "tables": "t: *.csv", **keys},
        "RestApi": {
            "base_url": f"https://127.0.0.1:{port}",
            "declaration": {"resources": [{"name": "a", "path": "a"}]},
        },
    }[source_type]


@pytest.mark.parametrize("source_type", ["Postgres", "MySQL", "Files", "Files in S3", "RestApi"])
def test_a_hang_up_is_no_wrong_setting(monkeypatch: pytest.MonkeyPatch, source_type: str) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.1)
    found = connector(source_type.split(" ")[0])
    with hanging_up(b"S" if source_type == "Postgres" else b"") as port:
        config = found.parse_config(inputs(source_type, port), Surroundings(OPEN))
        with pytest.raises(UnreachableError) as caught, patience(10):
            found.validate(config)
    assert caught.value.retryable
    assert caught.value.message.endswith(".")
