"""A server of JSON on this machine that plays an API: routes, logins, limits, and whatever goes wrong with one."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
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
    """``body``: JSON, or bytes as they are. ``cut``: the connection ends after so many bytes."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


Route = Callable[[Asked], Reply]


@dataclass
class Provider:
    """``faults`` come in place of the next answers; ``before`` is called ahead of each."""

    url: str
    routes: dict[str, Route] = field(default_factory=dict)
    faults: deque[Reply] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    before: Callable[[Asked], None] = lambda asked: None

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        self.before(asked)
        if self.faults:
            return self.faults.popleft()
        route = self.routes.get(asked.path) or next(
            (route for path, route in self.routes.items() if path.endswith("*") and asked.path.startswith(path[:-1])),
            None,
        )
        return route(asked) if route else Reply({"message": "no such path"}, 404)


@contextmanager
def running() -> Iterator[Provider]:
    provider = Provider("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer goes in one piece, and at once.
        disable_nagle_algorithm = True
        wbufsize = 2**16

        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def log_message(self, format: str, *args: Any) -> None:
            """Tests look at what was asked."""

        def _reply(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            is_json = self.headers.get("content-type", "").startswith("application/json")
            body = json.loads(content) if content and is_json else content.decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = provider.answer(Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
            sent = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(sent)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent if reply.cut is None else sent[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
