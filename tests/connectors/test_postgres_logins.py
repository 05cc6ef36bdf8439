"""Every way in which a login fails has its own sentence, and none of them tells a secret."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.base import ReadRequest
from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    SourceError,
    UnreachableError,
)
from tests.connectors.refusals import QUOTED_SECRET, SECRET, check_untold, facts, refusal
from tests.connectors.source import POSTGRES, Source
from tests.connectors.tls import tls_front


@contextmanager
def own_role(source: Source) -> Iterator[str]:
    name = f"role_{source.database}"
    source.execute(f"CREATE ROLE {name} LOGIN PASSWORD {QUOTED_SECRET}")
    yield name
    source.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def role(source: Source) -> Iterator[str]:
    with own_role(source) as name:
        yield name


@pytest.fixture
def role18(source18: Source) -> Iterator[str]:
    with own_role(source18) as name:
        yield name


def test_wrong_credentials(source: Source, role: str) -> None:
    wrong = refusal(source, user=role, password=SECRET + "x")
    assert isinstance(wrong, CredentialsError)
    assert (wrong.attr, wrong.message) == ("password", f"The password of user {role} is wrong.")
    missing = refusal(source, user=role, password="")
    assert facts(missing) == (CredentialsError, "password")
    database = refusal(source, database="nowhere")
    assert facts(database) == (CredentialsError, "database")
    assert "no database nowhere" in database.message
    POSTGRES.validate(source.config(user=role, password=SECRET))


def test_a_role_without_rights(source: Source, role: str) -> None:
    source.execute(f"ALTER ROLE {role} NOLOGIN")
    assert "may not log in" in refusal(source, user=role, password=SECRET).message
    source.execute(f"ALTER ROLE {role} LOGIN; REVOKE CONNECT ON DATABASE {source.database} FROM PUBLIC")
    assert "no CONNECT privilege" in refusal(source, user=role, password=SECRET).message
    source.execute(f"GRANT CONNECT ON DATABASE {source.database} TO {role}; ALTER ROLE {role} CONNECTION LIMIT 0")
    full = refusal(source, user=role, password=SECRET)
    assert isinstance(full, BusyError)
    assert full.retryable


def test_a_table_that_may_not_be_read(source: Source, role: str) -> None:
    source.execute(f"CREATE TABLE t (id int); CREATE VIEW v AS SELECT 1 AS id; GRANT SELECT ON v TO {role}")
    config = source.config(user=role, password=SECRET)
    with pytest.raises(SourceError, match="may no longer read it"):
        source.read("t", config=config)
    source.execute("CREATE OR REPLACE VIEW v AS SELECT id FROM t; ALTER VIEW v OWNER TO " + role)
    for narrow in (False, True):
        with pytest.raises(AccessError, match="grant it USAGE and SELECT"):
            source.read("v", config=config, narrow=narrow)


def test_hosts_that_do_not_answer(source18: Source) -> None:
    unknown = refusal(source18, host="nowhere.invalid")
    assert facts(unknown) == (UnreachableError, "host")
    assert "nowhere.invalid is unknown" in unknown.message
    impossible = refusal(source18, host="a" * 100)
    assert facts(impossible) == (UnreachableError, "host")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "Nothing answers" in refusal(source18, port=port).message


def test_a_host_that_accepts_and_keeps_silent(source18: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.postgres.session.CONNECT_TIMEOUT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "did not answer in time" in refusal(source18, port=silent.getsockname()[1]).message


def test_no_postgres_behind_the_port(source18: Source) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        import threading

        def hang_up() -> None:
            client, _ = other.accept()
            client.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        error = refusal(source18, port=other.getsockname()[1], sslmode="disable")
        thread.join()
    assert isinstance(error, UnreachableError)


def test_tls_that_is_not_offered(source18: Source) -> None:
    error = refusal(source18, sslmode="require")
    assert facts(error) == (ConfigurationError, "sslmode")
    assert "does not offer TLS" in error.message
    POSTGRES.validate(source18.config(sslmode="prefer"))


def test_tls_and_its_certificates(source18: Source, tmp_path: Path) -> None:
    source18.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (7)")
    with tls_front(tmp_path, (source18.server.host, source18.server.port)) as front:
        POSTGRES.validate(source18.config(port=front.port, sslmode="require"))
        trusted = source18.config(port=front.port, sslmode="verify-full", ssl_ca=front.certificate)
        for narrow in (False, True):
            assert source18.read("t", config=trusted, narrow=narrow).column("id") == [7]
        untrusted = refusal(source18, port=front.port, sslmode="verify-full")
        assert facts(untrusted) == (ConfigurationError, "ssl_ca")


def test_a_certificate_made_out_to_another_host(source18: Source, tmp_path: Path) -> None:
    with tls_front(tmp_path, (source18.server.host, source18.server.port), address="10.1.2.3") as front:
        authority = {"port": front.port, "ssl_ca": front.certificate}
        POSTGRES.validate(source18.config(sslmode="verify-ca", **authority))
        error = refusal(source18, sslmode="verify-full", **authority)
        assert facts(error) == (ConfigurationError, "host")
        assert "not made out to 127.0.0.1" in error.message


def test_the_workers_own_environment_is_not_sent_anywhere(
    source18: Source, role18: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    assert refusal(source18, user=role18, password="").attr == "password"


def test_a_failed_read_tells_no_secret(source18: Source, role18: str) -> None:
    source18.execute(f"CREATE TABLE t (id int); GRANT SELECT ON t TO {role18}")
    config = source18.config(user=role18, password=SECRET)
    with POSTGRES.read(config, ReadRequest("t", "r")) as read:
        source18.execute(f"ALTER ROLE {role18} PASSWORD 'other'")
        source18.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role18}'")
        with pytest.raises(SourceError) as caught:
            list(read.batches())
    check_untold(caught.value)
