"""A database behind an SSH server: all that is done at it is done through the tunnel."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.base import ReadRequest
from connectors.errors import ReadCancelledError, UnreachableError
from tests.connectors.mysql.source import MYSQL, Source
from tests.connectors.mysql.test_mysql_breaks import LONG, SLEEPY, await_statement
from tests.kit.sshd import Sshd, run_sshd


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with run_sshd() as server:
        yield server


def test_each_row_comes_through(source: Source, sshd: Sshd) -> None:
    source.execute(*LONG)
    config = source.config(**sshd.inputs())
    MYSQL.validate(config)
    assert [found.name for found in MYSQL.discover(config)] == ["long_one"]
    found = source.read("long_one", config=config).table
    assert found.sort_by("id").equals(source.read("long_one").table.sort_by("id"))
    assert found.num_rows == 100_000


def test_a_cancel_goes_through_as_well(source: Source, sshd: Sshd) -> None:
    source.execute(*SLEEPY)
    config = source.config(**sshd.inputs())
    with ThreadPoolExecutor() as pool:
        read = pool.submit(source.read, "sleepy", config=config)
        await_statement(source, "%AS c1%")
        MYSQL.cancel(config, "test-read")
        with pytest.raises(ReadCancelledError):
            read.result(timeout=5)


def test_a_tunnel_that_breaks_in_the_middle(source: Source) -> None:
    source.execute(*LONG)
    with run_sshd() as sshd:
        config = source.config(**sshd.inputs())
        with MYSQL.read(config, ReadRequest("long_one", "r", batch_bytes=2**20)) as read:
            batches = read.batches()
            next(batches)
            sshd.kill()
            with pytest.raises(UnreachableError):
                list(batches)


def test_a_server_that_the_bastion_does_not_reach(source: Source, sshd: Sshd) -> None:
    with pytest.raises(UnreachableError) as caught:
        MYSQL.validate(source.config(**sshd.inputs(), port=1))
    assert caught.value.message.endswith(".")
