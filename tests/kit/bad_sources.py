"""Servers on the port of a Postgres that do not do what a Postgres does."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket, threading.Event], None]
TRICKLE_SECONDS = 0.05


@dataclass
class BadSource:
    port: int
    accepted: list[socket.socket] = field(default_factory=list)
    left: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released by each client that has hung up."""

    @property
    def inputs(self) -> dict[str, object]:
        return {"host": "127.0.0.1", "port": self.port, "database": "d", "user": "u", "password": "p", "schema": "s"}


@contextmanager
def bad_source(behave: Behaviour) -> Iterator[BadSource]:
    """``behave`` gets each connection, in a thread, until the client hangs up or the event is set."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        source = BadSource(listener.getsockname()[1])
        threads = [threading.Thread(target=_accept, args=(listener, source, behave, ended))]
        threads[0].start()
        try:
            yield source
        finally:
            ended.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            threads[0].join()
            for connection in source.accepted:
                connection.close()


def silent(connection: socket.socket, ended: threading.Event) -> None:
    """Accepts and never says a word."""


def trickling_login(connection: socket.socket, ended: threading.Event) -> None:
    """Answers the login, a byte at a time, with a long error."""
    connection.recv(4096)
    connection.sendall(b"N")
    connection.recv(4096)
    _trickle(connection, ended, b"E" + struct.pack("!I", 20_000))


def silent_after_login(connection: socket.socket, ended: threading.Event) -> None:
    """Lets in whoever comes, and answers no query."""
    _let_in(connection)


def trickling_rows(connection: socket.socket, ended: threading.Event) -> None:
    """Lets in whoever comes, and answers the first query a byte at a time."""
    _let_in(connection)
    connection.recv(65536)
    _trickle(connection, ended, b"T" + struct.pack("!I", 20_000))


def _accept(listener: socket.socket, source: BadSource, behave: Behaviour, ended: threading.Event) -> None:
    def serve(connection: socket.socket) -> None:
        with suppress(OSError):
            behave(connection, ended)
            while connection.recv(65536):
                pass
        source.left.release()

    with suppress(OSError):
        while not ended.is_set():
            connection, _ = listener.accept()
            source.accepted.append(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


def _let_in(connection: socket.socket) -> None:
    connection.recv(4096)  # the wish for TLS
    connection.sendall(b"N")
    connection.recv(4096)  # who it is
    parameters = {"server_version": "16.0", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
    connection.sendall(
        _message(b"R", struct.pack("!I", 0))
        + b"".join(_message(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters.items())
        + _message(b"K", struct.pack("!II", 1, 1))
        + _message(b"Z", b"I")
    )


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


def _trickle(connection: socket.socket, ended: threading.Event, beginning: bytes) -> None:
    connection.sendall(beginning)
    while not ended.wait(TRICKLE_SECONDS):
        connection.sendall(b"x")
