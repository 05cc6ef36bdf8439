"""A real MariaDB for the tests, and databases of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from local.mariadb import MariaDbServer
from local.ports import choose_ports
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
