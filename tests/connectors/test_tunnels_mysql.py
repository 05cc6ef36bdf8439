"""MariaDB behind an SSH server."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connectors.base import ReadRequest
from connectors.errors import ConfigurationError, CredentialsError, ReadCancelledError, SourceError, UnreachableError
from local.mariadb import MariaDbServer
from tests.connectors.mysql.source import MYSQL, Source
from tests.connectors.mysql.test_mysql_breaks import LONG, SLEEPY, await_no_session, await_statement
from tests.connectors.test_tunnels import tunnels
from tests.connectors.tls import Authority
from tests.kit.mariadb import run_mariadb_with_tls
from tests.kit.sshd import Sshd, run_sshd


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with run_sshd() as server:
        yield server


@pytest.fixture
def source(mariadb: MariaDbServer) -> Iterator[Source]:
    database = mariadb.create_database()
    yield Source(mariadb, database)
    mariadb.drop_database(database)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert tunnels() == 0


def refusal(source: Source, **changes: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        MYSQL.validate(source.config(**changes))
    return caught.value


def test_each_row_comes_through(source: Source, sshd: Sshd) -> None:
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(200), n decimal(10, 4), b varbinary(16))",
        "INSERT INTO t SELECT seq, REPEAT(MD5(seq), 3), seq / 7, UNHEX(MD5(seq)) FROM seq_1_to_20000",
    )
    config = source.config(**sshd.inputs())
    MYSQL.validate(config)
    assert [found.name for found in MYSQL.discover(config)] == ["t"]
    found = source.read("t", config=config).table.sort_by("id")
    assert [tuple(row.values()) for row in found.to_pylist()] == source.rows("SELECT id, v, n, b FROM t ORDER BY id")


def test_cancel_goes_through_a_tunnel_of_its_own(source: Source, sshd: Sshd) -> None:
    source.execute(*SLEEPY)
    config = source.config(**sshd.inputs())
    with ThreadPoolExecutor() as pool:
        read = pool.submit(source.read, "sleepy", config=config)
        await_statement(source, "%AS c1%")
        begun = time.monotonic()
        MYSQL.cancel(config, "test-read")
        with pytest.raises(ReadCancelledError):
            read.result(timeout=5)
        assert time.monotonic() - begun < 4


def test_the_ssh_server_is_killed_in_the_middle(source: Source) -> None:
    source.execute(*LONG)
    with run_sshd() as own:
        config = source.config(**own.inputs())
        with MYSQL.read(config, ReadRequest("long_one", "r", batch_bytes=2**18)) as read:
            batches = read.batches()
            next(batches)
            own.kill()
            with pytest.raises(UnreachableError):
                list(batches)
        await_no_session(source)
        own.restart()
        assert sorted(source.read("long_one", config=config).column("id")) == list(range(1, 100_001))


def test_what_does_not_open(source: Source, sshd: Sshd) -> None:
    missing = refusal(source, **sshd.inputs(ssh_host_key=""))
    assert (type(missing), missing.attr) == (ConfigurationError, "ssh_host_key")
    refused = refusal(source, **sshd.inputs(port=1))
    assert (type(refused), refused.attr) == (UnreachableError, "host")
    assert "as seen from the SSH server" in refused.message
    password = refusal(source, **sshd.inputs(password="wrong"))
    assert (type(password), password.attr) == (CredentialsError, "password")
    with run_sshd(AllowTcpForwarding="no") as closed:
        assert refusal(source, **closed.inputs()).attr == "ssh_host"


def test_certificates_are_the_databases_own(sshd: Sshd) -> None:
    with run_mariadb_with_tls("localhost") as (server, authority):
        source = Source(server, server.create_database())
        source.execute("CREATE TABLE t (id int)", "INSERT INTO t VALUES (7)")
        given = {**sshd.inputs(host="localhost"), "sslmode": "verify-full", "ssl_ca": authority.certificate}
        assert source.read("t", config=source.config(**given)).column("id") == [7]
        named = refusal(source, **given | {"host": "127.0.0.1"})
        assert (type(named), named.attr) == (ConfigurationError, "host")
        assert "not made out to 127.0.0.1" in named.message
        other = refusal(source, **given | {"ssl_ca": Authority("another").certificate})
        assert (type(other), other.attr) == (ConfigurationError, "ssl_ca")
