"""A real MariaDB for the tests, and databases of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from local.mariadb import MariaDbServer
from local.ports import choose_ports
from tests.connectors.tls import Authority
from tests.kit.servers import server_folder


@contextmanager
def run_mariadb(**options: str) -> Iterator[MariaDbServer]:
    """``ssl_cert`` and other server settings as keywords."""
    with server_folder() as folder:
        settings = {name.replace("_", "-"): value for name, value in options.items()}
        port = choose_ports(["mariadb"])["mariadb"]
        server = MariaDbServer(folder, port, "test-password", throwaway=True, options=settings)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def run_mariadb_with_tls(address: str) -> Iterator[tuple[MariaDbServer, Authority]]:
    """With a certificate of its own authority, made out to that address; clients' are that authority's, too."""
    with server_folder() as folder:
        authority = Authority()
        issued = authority.issue("the server", address)
        files = {"ssl_cert": issued.certificate, "ssl_key": issued.key, "ssl_ca": authority.certificate}
        for name, text in files.items():
            (folder / name).write_text(text)
        with run_mariadb(**{name: str(folder / name) for name in files}) as server:
            yield server, authority
