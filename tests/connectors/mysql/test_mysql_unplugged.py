"""A server that is gone without a word, as after a power cut: a read of it ends."""

import time

import pytest

from connectors.base import ReadRequest
from connectors.errors import UnreachableError
from tests.connectors.mysql.source import MYSQL, Source
from tests.kit.mariadb import run_mariadb
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
