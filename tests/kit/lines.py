"""A line to a server, that a test makes slow, holds, or cuts."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 16 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Line:
    """Passes on what its clients say to the server and back. ``host`` and ``port`` are the clients' end."""

    port: int
    target: tuple[str, int]
    bytes_per_second: float | None
    """Of what the server says on each connection."""
    host: str = "127.0.0.1"
    taken: int = 0
    """Connections so far."""
    _open: threading.Event = field(default_factory=threading.Event)
    _sockets: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Every connection, in the middle of whatever is said on it."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Connections are taken, and nothing comes through any of them."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self._open.wait()
            with socket.socket() as server:
                # Small, so that what is on its way is soon there.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _CHUNK)
                server.connect(self.target)
                self._sockets += [client, server]
                back = threading.Thread(target=self._pass_on, args=(server, client, self.bytes_per_second))
                back.start()
                self._pass_on(client, server, None)
                back.join()
                # As where there is no line: who has gone takes no more of what the server still has to say.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def _pass_on(self, giver: socket.socket, taker: socket.socket, bytes_per_second: float | None) -> None:
        with suppress(OSError):
            while said := giver.recv(_CHUNK):
                self._open.wait()
                taker.sendall(said)
                if bytes_per_second:
                    time.sleep(len(said) / bytes_per_second)
        for each in (giver, taker):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(host: str, port: int, bytes_per_second: float | None = None) -> Iterator[Line]:
    """A new line to a server, which may come later, and go."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        line = Line(listener.getsockname()[1], (host, port), bytes_per_second)
        line._open.set()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * _CHUNK)
                    line.taken += 1
                    threading.Thread(target=line._serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield line
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            line.cut()
