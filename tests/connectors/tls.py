"""An authority, and servers with its certificates: a Postgres, and a front for a Postgres that has no TLS, which takes
libpq's request for encryption and passes the rest on.
"""

import datetime
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.accounts import provide_folder, server_account
from local.ports import choose_ports
from local.postgres import PostgresServer
from tests.kit.debian import DebianPostgres
from tests.kit.platform import eventually
from tests.kit.servers import server_folder


@dataclass
class TlsFront:
    port: int
    certificate: str
    """With that of its authority."""


@dataclass
class Issued:
    """PEM texts."""

    certificate: str
    key: str


class Authority:
    """Issues certificates, of servers and of clients."""

    def __init__(self, name: str = "syncline test") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        basic = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = _builder(self._name, self._name, self._key, valid=(-1, 1)).add_extension(basic, True)
        self.certificate = _pem(self._certificate.sign(self._key, hashes.SHA256()))

    def issue(self, common_name: str, *hosts: str, valid: tuple[float, float] = (-1, 1)) -> Issued:
        """``hosts``: names and addresses that it is made out to. ``valid``: from and to, in days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_host(each) for each in hosts])
        builder = _builder(_named(common_name), self._name, key, valid)
        signed = (builder.add_extension(names, False) if hosts else builder).sign(self._key, hashes.SHA256())
        return Issued(_pem(signed), _pem_key(key))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: tuple[float, float]
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    begin, end = (now + datetime.timedelta(days=days) for days in valid)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def make_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Made out to that host, with its authority's behind it: the file, and its key's."""
    authority = Authority()
    issued = authority.issue("a server", host)
    certificate, key = folder / "server.pem", folder / "server.key"
    certificate.write_text(issued.certificate + authority.certificate)
    key.write_text(issued.key)
    return certificate, key


@contextmanager
def tls_front(folder: Path, backend: tuple[str, int], address: str = "127.0.0.1") -> Iterator[TlsFront]:
    """Listens on the loopback with a certificate made out to ``address``."""
    certificate, key = make_certificate(folder, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, context, backend), daemon=True)
        thread.start()
        yield TlsFront(listener.getsockname()[1], certificate.read_text())
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def _accept(listener: socket.socket, context: ssl.SSLContext, backend: tuple[str, int]) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, context, backend), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, backend: tuple[str, int]) -> None:
    with ExitStack() as stack, suppress(OSError):
        stack.enter_context(client)
        client.recv(8)
        client.sendall(b"S")
        secure = stack.enter_context(context.wrap_socket(client, server_side=True))
        server = stack.enter_context(socket.create_connection(backend))
        back = threading.Thread(target=_copy, args=(server, secure), daemon=True)
        back.start()
        _copy(secure, server)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


HBA = """
hostssl all certified 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
"""


@dataclass
class TlsPostgres:
    """A real server that lets nobody in without TLS, and the role ``certified`` by a certificate only."""

    server: PostgresServer
    authority: Authority
    _folder: Path

    def show(self, issued: Issued) -> None:
        """From now on have this certificate."""
        _write(self._folder, "server.key", issued.key)
        _write(self._folder, "server.pem", issued.certificate)
        ((before,),) = self._rows("SELECT pg_conf_load_time() FROM pg_reload_conf()")
        eventually(lambda: self._rows("SELECT pg_conf_load_time()") != [(before,)], "the server to load it")

    def _rows(self, statement: str) -> list[tuple[object, ...]]:
        with self.server.connect() as connection:
            return connection.execute(statement.encode()).fetchall()


@contextmanager
def tls_postgres() -> Iterator[TlsPostgres]:
    authority = Authority()
    issued = authority.issue("the server", "127.0.0.1", "localhost")
    with server_folder() as parent:
        folder = provide_folder(parent / "tls", server_account())
        texts = {"server.pem": issued.certificate, "server.key": issued.key, "clients.pem": authority.certificate}
        for name, text in {**texts, "hba.conf": HBA}.items():
            _write(folder, name, text)
        options = {
            "wal_level": "logical",
            "ssl": "on",
            "ssl_cert_file": str(folder / "server.pem"),
            "ssl_key_file": str(folder / "server.key"),
            "ssl_ca_file": str(folder / "clients.pem"),
            "hba_file": str(folder / "hba.conf"),
        }
        port = choose_ports(["postgres"])["postgres"]
        server = DebianPostgres(15, parent, port, "test-password", throwaway=True, options=options)
        server.start()
        try:
            server.execute("CREATE ROLE certified LOGIN")
            yield TlsPostgres(server, authority, folder)
        finally:
            server.kill()


def _write(folder: Path, name: str, text: str) -> None:
    path, account = folder / name, server_account()
    path.touch(mode=0o600)
    path.write_text(text)
    if account:
        os.chown(path, account.uid, account.gid)
