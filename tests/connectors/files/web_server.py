"""A web server of files, with and without TLS, that keeps what it was asked."""

import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Page:
    """``sent``: how much of it a broken connection lets through."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    methods: tuple[str, ...] = ("HEAD", "GET")
    refusal: int = 405
    """The status for all other methods."""


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class RunningWebServer:
    """Answers 404 for all that is not among ``pages``."""

    url: str
    certificate: str | None
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def put(self, path: str, body: bytes | str, modified_at: Any = None, **headers: str) -> None:
        contents = body if isinstance(body, bytes) else body.encode()
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if modified_at is not None:
            told["Last-Modified"] = format_datetime(modified_at, usegmt=True)
        self.pages[path] = Page(contents, headers=told)

    def move(self, path: str, target: str, status: int = 302) -> None:
        self.pages[path] = Page(status=status, headers={"Location": target})


@contextmanager
def run_web_server(folder: Path | None = None) -> Iterator[RunningWebServer]:
    """On the loopback; with TLS and a certificate of its own where it is given a folder for it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    certificate = None
    if folder is not None:
        certificate = _write_certificate(folder / "server.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if folder is None else "https"
    running = RunningWebServer(f"{scheme}://127.0.0.1:{server.server_address[1]}/", certificate)
    server.running = running  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _write_certificate(path: Path) -> str:
    """Signed by itself, made out to the loopback address, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "syncline test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate + secret)
    return certificate.decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written."""

    def _answer(self) -> None:
        running: RunningWebServer = self.server.running  # type: ignore[attr-defined]
        running.asked.append(Asked(self.command, self.path, dict(self.headers)))
        page = running.pages.get(self.path, Page(status=404))
        if self.command not in page.methods:
            page = Page(status=page.refusal)
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(page.body[: page.sent])
        if page.sent is not None:
            self.close_connection = True
