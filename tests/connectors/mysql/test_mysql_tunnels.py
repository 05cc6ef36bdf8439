"""MariaDB behind an SSH server."""

import pytest

from connectors.base import ReadRequest
from connectors.errors import ConfigurationError, CredentialsError, UnreachableError
from tests.connectors.cancelling import check_cancel_of_a_statement
from tests.connectors.mysql.source import MYSQL, Source
from tests.connectors.mysql.test_mysql_breaks import LONG, SLEEPY, await_no_session, await_statement
from tests.connectors.refusals import facts, refusal
from tests.connectors.tls import Authority
from tests.kit.mariadb import run_mariadb_with_tls
from tests.kit.sshd import Sshd, run_sshd

pytestmark = pytest.mark.usefixtures("no_tunnel_is_left")


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
    check_cancel_of_a_statement(source, "sleepy", lambda: await_statement(source, "%AS c1%"), config=config, seconds=4)


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
        found = source.read("long_one", config=config).table.sort_by("id")
        assert found.column("id").to_pylist() == list(range(1, 100_001))
        assert found.equals(source.read("long_one").table.sort_by("id"))


def test_what_does_not_open(source: Source, sshd: Sshd) -> None:
    missing = refusal(source, **sshd.inputs(ssh_host_key=""))
    assert facts(missing) == (ConfigurationError, "ssh_host_key")
    refused = refusal(source, **sshd.inputs(port=1))
    assert facts(refused) == (UnreachableError, "host")
    assert "as seen from the SSH server" in refused.message
    password = refusal(source, **sshd.inputs(password="wrong"))
    assert facts(password) == (CredentialsError, "password")
    with run_sshd(AllowTcpForwarding="no") as closed:
        assert refusal(source, **closed.inputs()).attr == "ssh_host"


def test_certificates_are_the_databases_own(sshd: Sshd) -> None:
    with run_mariadb_with_tls("localhost") as (server, authority):
        source = Source(server, server.create_database())
        source.execute("CREATE TABLE t (id int)", "INSERT INTO t VALUES (7)")
        given = {**sshd.inputs(host="localhost"), "sslmode": "verify-full", "ssl_ca": authority.certificate}
        assert source.read("t", config=source.config(**given)).column("id") == [7]
        named = refusal(source, **given | {"host": "127.0.0.1"})
        assert facts(named) == (ConfigurationError, "host")
        assert "not made out to 127.0.0.1" in named.message
        other = refusal(source, **given | {"ssl_ca": Authority("another").certificate})
        assert facts(other) == (ConfigurationError, "ssl_ca")
