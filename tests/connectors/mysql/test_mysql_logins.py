"""Every way in which a login fails has its own sentence, and none of them tells a secret."""

import socket
import threading
from collections.abc import Iterator

import pytest

from connectors.base import ReadRequest
from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    UnreachableError,
)
from connectors.outbound import CLOSED, ForbiddenHostError
from connectors.surroundings import Surroundings
from tests.connectors.mysql.source import MYSQL, Source
from tests.connectors.refusals import QUOTED_SECRET, SECRET, check_untold, facts, refusal
from tests.connectors.tls import Authority
from tests.kit.mariadb import run_mariadb_with_tls


@pytest.fixture
def user(source: Source) -> Iterator[str]:
    name = f"user_{source.database[3:]}"
    source.execute(
        f"CREATE USER {name} IDENTIFIED BY {QUOTED_SECRET}", f"GRANT SELECT ON {source.database}.* TO {name}"
    )
    yield name
    source.execute(f"DROP USER IF EXISTS {name}")


def test_wrong_credentials(source: Source, user: str) -> None:
    wrong = refusal(source, user=user, password=SECRET + "x")
    assert facts(wrong) == (CredentialsError, "password")
    assert f"turns {user} down" in wrong.message
    assert facts(refusal(source, user=user, password="")) == (CredentialsError, "password")
    assert facts(refusal(source, user="nobody", password="x")) == (CredentialsError, "password")
    for name in (user, source.server.user):
        password = SECRET if name == user else source.server.password
        nowhere = refusal(source, user=name, password=password, database="nowhere")
        assert facts(nowhere) == (CredentialsError, "database")
        assert "no database nowhere" in nowhere.message
    MYSQL.validate(source.config(user=user, password=SECRET))


def test_accounts_that_are_shut(source: Source, user: str) -> None:
    given = {"user": user, "password": SECRET}
    source.execute(f"ALTER USER {user} ACCOUNT LOCK")
    assert facts(refusal(source, **given)) == (CredentialsError, "user")
    source.execute(f"ALTER USER {user} ACCOUNT UNLOCK PASSWORD EXPIRE")
    assert "has expired" in refusal(source, **given).message
    source.execute(
        f"SET PASSWORD FOR {user} = PASSWORD({QUOTED_SECRET})",
        f"ALTER USER {user} WITH MAX_USER_CONNECTIONS 1",
        "CREATE TABLE t (id int)",
    )
    with MYSQL.read(source.config(**given), ReadRequest("t", "r")):
        full = refusal(source, **given)
    assert isinstance(full, BusyError)
    MYSQL.validate(source.config(**given))
    source.execute(f"ALTER USER {user} IDENTIFIED VIA unix_socket")
    assert facts(refusal(source, **given)) == (CredentialsError, "user")


def test_tables_and_columns_that_may_not_be_read(source: Source) -> None:
    name = f"user_{source.database[3:]}"
    source.execute(
        "CREATE TABLE t (id int, hidden int)",
        "CREATE TABLE secret (id int)",
        "INSERT INTO t VALUES (1, 2)",
        "CREATE VIEW v AS SELECT id FROM t",
        f"CREATE USER {name} IDENTIFIED BY 'x'",
        f"GRANT SELECT (id), UPDATE (hidden) ON {source.database}.t TO {name}",
        f"GRANT INSERT ON {source.database}.secret TO {name}",
        f"GRANT SELECT ON {source.database}.v TO {name}",
    )
    mine = {"user": name, "password": "x"}
    try:
        found = source.discover(**mine)
        assert {table: [column.name for column in found[table].columns] for table in found} == {
            "t": ["id"],
            "v": ["id"],
        }
        assert source.read("t", config=source.config(**mine)).table.to_pylist() == [{"id": 1}]
        with pytest.raises(AccessError, match="grant it SELECT"):
            source.read("secret", config=source.config(**mine))
        source.execute("ALTER TABLE t DROP COLUMN id")
        with pytest.raises(AccessError, match="asks for what is gone"):
            source.read("v", config=source.config(**mine))
    finally:
        source.execute(f"DROP USER {name}")


def test_hosts_that_do_not_answer(source: Source) -> None:
    unknown = refusal(source, host="nowhere.invalid")
    assert facts(unknown) == (UnreachableError, "host")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "Nothing answers" in refusal(source, port=port).message


def test_a_host_that_accepts_and_keeps_silent(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.mysql.login.CONNECT_TIMEOUT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "did not answer in time" in refusal(source, port=silent.getsockname()[1]).message


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\0\0\0hello", b"\x01\0\0\0\xff"])
def test_no_mysql_behind_the_port(source: Source, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            client, _ = other.accept()
            client.sendall(greeting)
            client.close()

        thread = threading.Thread(target=answer)
        thread.start()
        error = refusal(source, port=other.getsockname()[1])
        thread.join()
    assert facts(error) == (UnreachableError, "host")


def test_hosts_that_the_installation_does_not_let_through(source: Source) -> None:
    config = MYSQL.parse_config(source.inputs(), Surroundings(CLOSED))
    for asked in (MYSQL.validate, MYSQL.discover):
        with pytest.raises(ForbiddenHostError):
            asked(config)
    with pytest.raises(ForbiddenHostError), MYSQL.read(config, ReadRequest("t", "r")):
        pass


def test_tls_that_is_not_offered(source: Source) -> None:
    for mode in ("require", "verify-ca", "verify-full"):
        error = refusal(source, sslmode=mode)
        assert facts(error) == (ConfigurationError, "sslmode")
        assert "does not offer TLS" in error.message
    MYSQL.validate(source.config(sslmode="prefer"))
    MYSQL.validate(source.config(sslmode="disable"))


@pytest.fixture(scope="module")
def secure() -> Iterator[tuple[Source, Authority]]:
    """A server that offers TLS, and its authority."""
    with run_mariadb_with_tls("127.0.0.1") as (server, authority):
        yield Source(server, server.create_database()), authority


def test_tls_and_its_certificates(secure: tuple[Source, Authority]) -> None:
    source, authority = secure
    source.execute("CREATE OR REPLACE TABLE t (id int)", "INSERT INTO t VALUES (7)")
    source.execute(
        "CREATE OR REPLACE VIEW used AS SELECT VARIABLE_VALUE AS v FROM information_schema.SESSION_STATUS "
        "WHERE VARIABLE_NAME = 'Ssl_cipher'"
    )
    trusted = {"sslmode": "verify-full", "ssl_ca": authority.certificate}
    for changes in ({"sslmode": "prefer"}, {"sslmode": "require"}, {**trusted, "sslmode": "verify-ca"}, trusted):
        config = source.config(**changes)
        assert source.read("t", config=config).column("id") == [7]
        assert source.read("used", config=config).column("v") != [""], "not encrypted"
    assert source.read("used", config=source.config(sslmode="disable")).column("v") == [""]
    assert facts(refusal(source, sslmode="verify-full")) == (ConfigurationError, "ssl_ca")
    assert facts(refusal(source, sslmode="verify-ca")) == (ConfigurationError, "ssl_ca")


def test_accounts_that_need_a_certificate(secure: tuple[Source, Authority]) -> None:
    source, authority = secure
    source.execute("CREATE OR REPLACE USER certified REQUIRE X509", f"GRANT SELECT ON {source.database}.* TO certified")
    issued = authority.issue("certified")
    mine = {"user": "certified", "password": "", "ssl_cert": issued.certificate, "ssl_key": issued.key}
    for mode in ("prefer", "require"):
        MYSQL.validate(source.config(**mine, sslmode=mode))
        assert facts(refusal(source, user="certified", password="", sslmode=mode)) == (CredentialsError, "password")


def test_many_rows_over_tls(secure: tuple[Source, Authority]) -> None:
    source, _ = secure
    source.execute(
        "CREATE OR REPLACE TABLE m (id int PRIMARY KEY, t varchar(100))",
        "INSERT INTO m SELECT seq, REPEAT('x', seq % 100) FROM seq_1_to_50000",
    )
    read = source.read("m", config=source.config(sslmode="require"))
    assert list(zip(read.column("id"), read.column("t"), strict=True)) == [
        (n, "x" * (n % 100)) for n in range(1, 50001)
    ]


def test_a_certificate_made_out_to_another_host() -> None:
    with run_mariadb_with_tls("10.1.2.3") as (server, authority):
        source = Source(server, server.create_database())
        MYSQL.validate(source.config(sslmode="verify-ca", ssl_ca=authority.certificate))
        error = refusal(source, sslmode="verify-full", ssl_ca=authority.certificate)
        assert facts(error) == (ConfigurationError, "host")
        assert "not made out to 127.0.0.1" in error.message


def test_a_server_that_takes_no_plain_login(secure: tuple[Source, Authority]) -> None:
    source, _ = secure
    with source.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL require_secure_transport = ON")
        try:
            error = refusal(source, sslmode="disable")
        finally:
            cursor.execute("SET GLOBAL require_secure_transport = OFF")
    assert isinstance(error, CredentialsError)
    assert "in this TLS mode" in error.message, "MariaDB does not tell it from a wrong password"


def test_a_failed_read_tells_no_secret(source: Source, user: str) -> None:
    source.execute("CREATE TABLE t (id int)")
    with MYSQL.read(source.config(user=user, password=SECRET), ReadRequest("t", "r")) as read:
        (thread,) = [
            found for (found,) in source.rows(f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{user}'")
        ]
        source.execute(f"KILL CONNECTION {thread}")
        with pytest.raises(UnreachableError) as caught:
            list(read.batches())
    check_untold(caught.value)
