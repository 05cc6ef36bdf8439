"""Servers that are gone without a word: in the middle of a read, as after a power cut, or as they begin to encrypt."""

import socket
import threading
import time

import pytest

from connectors.base import ReadRequest
from connectors.errors import UnreachableError
from tests.connectors.mysql.source import MYSQL, Source
from tests.kit.bad_sources import bad_source
from tests.kit.mariadb import run_mariadb, run_mariadb_with_tls
from tests.kit.own_network import run_apart, unpermitted, unplug


def read_until_the_end() -> None:
    with run_mariadb() as server:
        source = Source(server, server.create_database())
        source.execute(
            "CREATE TABLE t (id int, v varchar(700))", "INSERT INTO t SELECT seq, REPEAT('x', 600) FROM seq_1_to_100000"
        )
        with MYSQL.read(source.config(), ReadRequest("t", "r", batch_bytes=2**20)) as read:
            batches = read.batches()
            next(batches)
            unplug()
            begun = time.monotonic()
            with pytest.raises(UnreachableError, match="The connection broke while t was read"):
                list(batches)
            assert 20 < time.monotonic() - begun < 100


@pytest.mark.long
def test_a_server_that_is_gone_without_a_word() -> None:
    if why := unpermitted():
        pytest.skip(why)
    run_apart(read_until_the_end)


def test_a_server_that_hangs_up_while_it_encrypts() -> None:
    """It is stopping, perhaps, and back in a moment: nothing is wrong with the certificates or the TLS mode."""
    with run_mariadb_with_tls("127.0.0.1") as (server, authority):
        source = Source(server, "mysql")

        def hang_up(client: socket.socket, ended: threading.Event) -> None:
            with socket.create_connection((server.host, server.port)) as line:
                client.sendall(line.recv(4096))
                client.recv(36)  # the wish for TLS
                client.recv(4096)  # its first words
                client.shutdown(socket.SHUT_RDWR)

        for mode in ("prefer", "require", "verify-full"):
            with bad_source(hang_up) as bad, pytest.raises(UnreachableError, match="broke off the login") as caught:
                MYSQL.validate(source.config(port=bad.port, sslmode=mode, ssl_ca=authority.certificate))
            assert caught.value.retryable
