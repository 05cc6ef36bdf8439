"""The connections of an HTTP client, which can be broken while threads wait on them."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakSet

_MADE = ("connection.connect_tcp.complete", "connection.start_tls.complete")


class Wires:
    """Thread-safe. ``noted`` is a request's extension ``trace``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def noted(self, event: str, told: Mapping[str, Any]) -> None:
        if event in _MADE:
            with self._lock:
                self._sockets.add(told["return_value"].get_extra_info("socket"))

    def cut(self) -> None:
        """Whoever waits on one learns that it is broken; later requests make connections of their own."""
        with self._lock:
            for each in self._sockets:
                with suppress(OSError):
                    # Not as TLS would have it, which asks for a reader's patience.
                    socket.socket.shutdown(each, socket.SHUT_RDWR)
