"""A server of JSON on this machine that plays an API: routes, logins, limits, and whatever goes wrong with one."""

import gzip
import json
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """``body``: JSON, or bytes as they are. ``cut``: the connection ends after so many bytes of it."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    delay: float = 0.0
    """Seconds before the answer begins."""
    stall: float = 0.0
    """Seconds for which nothing comes once the answer is cut; the connection ends only then."""
    drip: float = 0.0
    """Seconds between one byte of the body and the next."""
    ends: Literal["answer", "headers", "reset"] | None = None
    """The connection ends before the answer, in its headers, or is reset by the server."""
    length: int | None = None
    """What ``Content-Length`` says, where it is not the truth; below 0 it is not said, and the connection's end is that
    of the answer."""
    zipped: bool = False
    """With ``cut``, the end of what was packed is missing, and the length is right."""

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Route = Callable[[Asked], Reply]
Fault = Reply | Callable[[Reply], Reply]
"""What comes in place of an answer; or what becomes of it, which the API has given all the same."""
Plan = Callable[[int, Asked], Fault | None]
"""The fault of the request of that number, which begins with 1."""


def _without_faults(number: int, asked: Asked) -> Fault | None:
    return None


@dataclass
class Provider:
    """``faults`` come to the next answers, and where there are none ``plan`` decides; ``before`` is called ahead of
    each.
    """

    url: str
    routes: dict[str, Route] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    plan: Plan = _without_faults
    asked: list[Asked] = field(default_factory=list)
    before: Callable[[Asked], None] = lambda asked: None
    clock: Callable[[], float] = time.time
    """The API's own."""
    _numbering: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def answer(self, asked: Asked) -> Reply:
        with self._numbering:
            self.asked.append(asked)
            number = len(self.asked)
        self.before(asked)
        fault = self.faults.popleft() if self.faults else self.plan(number, asked)
        if isinstance(fault, Reply):
            return fault
        reply = self._route(asked.path)(asked)
        return reply if fault is None else fault(reply)

    def listen(self) -> None:
        """Once more at the same address, where it was left."""
        server = _Server(("127.0.0.1", urlsplit(self.url).port or 0), _handler(self))
        self.url = f"http://127.0.0.1:{server.server_port}"
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._server = server
        self._thread.start()

    def leave(self) -> None:
        """Connections are refused from now on, and those that there are end."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()

    @property
    def is_away(self) -> bool:
        return self._server is None

    def _route(self, path: str) -> Route:
        return self.routes.get(path) or next(
            (route for start, route in self.routes.items() if start.endswith("*") and path.startswith(start[:-1])),
            lambda asked: Reply({"message": "no such path"}, 404),
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked may have gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer goes in one piece, and at once.
        disable_nagle_algorithm = True
        wbufsize = 2**16

        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def do_PATCH(self) -> None:
            self._reply()

        def do_DELETE(self) -> None:
            self._reply()

        def log_message(self, format: str, *args: Any) -> None:
            """Tests look at what was asked."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(provider.clock() if timestamp is None else timestamp, usegmt=True)

        def _reply(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            if provider.is_away:
                self.close_connection = True
                return
            is_json = self.headers.get("content-type", "").startswith("application/json")
            body = json.loads(content) if content and is_json else content.decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = provider.answer(Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
            if reply.delay:
                time.sleep(reply.delay)
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            content, length = _on_the_wire(reply)
            self.close_connection = self.close_connection or reply.cut is not None or reply.ends is not None
            if reply.ends == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if reply.ends in ("answer", "reset"):
                return
            if reply.ends == "headers":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: applic")
                return
            self.send_response(reply.status)
            if length < 0:
                self.send_header("Connection", "close")
            else:
                self.send_header("Content-Length", str(length))
            if reply.zipped:
                self.send_header("Content-Encoding", "gzip")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for each in (content,) if not reply.drip else (content[at : at + 1] for at in range(len(content))):
                self.wfile.write(each)
                self._pause(reply.drip)
            self._pause(reply.stall)

        def _pause(self, seconds: float) -> None:
            if seconds:
                self.wfile.flush()
                time.sleep(seconds)

    return Handler


def _on_the_wire(reply: Reply) -> tuple[bytes, int]:
    """The bytes that are sent, and how many it is said that there are."""
    if reply.zipped:
        packed = gzip.compress(reply.content, 1)[: reply.cut]
        return packed, len(packed) if reply.length is None else reply.length
    content = reply.content
    return content[: reply.cut], len(content) if reply.length is None else reply.length


@contextmanager
def running() -> Iterator[Provider]:
    provider = Provider("")
    provider.listen()
    try:
        yield provider
    finally:
        provider.leave()
