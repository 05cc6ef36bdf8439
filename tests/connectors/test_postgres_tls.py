"""A real server with TLS: what each mode demands of it, what it demands of us, and a sentence for whatever is wrong."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import ConfigurationError, CredentialsError, SourceError, UnreachableError
from tests.connectors.following import Followed
from tests.connectors.refusals import refusal
from tests.connectors.source import POSTGRES, Source
from tests.connectors.test_postgres_breaks import DRIVERS
from tests.connectors.tls import Authority, TlsPostgres, tls_postgres
from tests.kit.sshd import run_sshd


@pytest.fixture(scope="module")
def secure() -> Iterator[TlsPostgres]:
    with tls_postgres() as server:
        yield server


@pytest.fixture
def source(secure: TlsPostgres) -> Iterator[Source]:
    database = secure.server.create_database()
    source = Source(secure.server, database)
    source.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (7); GRANT SELECT ON t TO certified")
    yield source
    secure.server.drop_database(database)


@pytest.fixture
def usual(secure: TlsPostgres) -> Iterator[None]:
    """Its own certificate again, after a test that has given it another one."""
    yield
    secure.show(secure.authority.issue("the server", "127.0.0.1", "localhost"))


def certified(authority: Authority, user: str = "certified", **valid: Any) -> dict[str, str]:
    issued = authority.issue(user, **valid)
    return {"user": "certified", "password": "", "ssl_cert": issued.certificate, "ssl_key": issued.key}


def is_encrypted(source: Source, **inputs: Any) -> bool:
    source.execute("CREATE OR REPLACE VIEW own AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    (found,) = source.read("own", config=source.config(**inputs)).column("ssl")
    assert isinstance(found, bool)
    return found


@DRIVERS
@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_each_mode_reads(secure: TlsPostgres, source: Source, mode: str, narrow: bool) -> None:
    config = source.config(sslmode=mode, ssl_ca=secure.authority.certificate)
    assert source.read("t", config=config, narrow=narrow).column("id") == [7]
    assert is_encrypted(source, sslmode=mode, ssl_ca=secure.authority.certificate)


def test_a_login_without_encryption_is_turned_down(source: Source) -> None:
    error = refusal(source, sslmode="disable")
    assert (type(error), error.attr) == (CredentialsError, "sslmode")
    assert "turns down unencrypted logins" in error.message


def test_another_authority(source: Source) -> None:
    for mode in ("verify-ca", "verify-full"):
        for authority in (Authority("another").certificate, Authority().certificate, ""):
            error = refusal(source, sslmode=mode, ssl_ca=authority)
            assert (type(error), error.attr) == (ConfigurationError, "ssl_ca")
            assert "not signed by a trusted authority" in error.message
    POSTGRES.validate(source.config(sslmode="require", ssl_ca=""))


def test_several_authorities(secure: TlsPostgres, source: Source) -> None:
    both = Authority("another").certificate + secure.authority.certificate
    POSTGRES.validate(source.config(sslmode="verify-full", ssl_ca=both))


@pytest.mark.usefixtures("usual")
def test_a_certificate_made_out_to_another_host(secure: TlsPostgres, source: Source) -> None:
    secure.show(secure.authority.issue("127.0.0.1", "db.example.com", "10.0.0.1"))
    authority = {"ssl_ca": secure.authority.certificate}
    POSTGRES.validate(source.config(sslmode="verify-ca", **authority))
    error = refusal(source, sslmode="verify-full", **authority)
    assert (type(error), error.attr) == (ConfigurationError, "host")
    assert "not made out to 127.0.0.1" in error.message


@pytest.mark.usefixtures("usual")
def test_a_certificate_out_of_its_time(secure: TlsPostgres, source: Source) -> None:
    for valid, sentence in (((-2, -1), "has expired"), ((1, 2), "is not valid yet")):
        secure.show(secure.authority.issue("the server", "127.0.0.1", valid=valid))
        for mode in ("verify-ca", "verify-full"):
            error = refusal(source, sslmode=mode, ssl_ca=secure.authority.certificate)
            assert (type(error), error.attr) == (ConfigurationError, "host")
            assert f"certificate of 127.0.0.1 {sentence}" in error.message
    POSTGRES.validate(source.config(sslmode="require"))


@DRIVERS
def test_a_client_certificate_lets_in(secure: TlsPostgres, source: Source, narrow: bool) -> None:
    own = certified(secure.authority)
    for mode in ("prefer", "require", "verify-full"):
        config = source.config(sslmode=mode, ssl_ca=secure.authority.certificate, **own)
        before = set(os.listdir("/proc/self/fd"))
        assert source.read("t", config=config, narrow=narrow).column("id") == [7]
        assert set(os.listdir("/proc/self/fd")) <= before, "no file with a key stays open"
        assert own["ssl_key"] not in repr(config)


def test_client_certificates_that_do_not(secure: TlsPostgres, source: Source) -> None:
    def refused(sentence: str, **own: str) -> SourceError:
        error = refusal(source, sslmode="require", **own)
        assert sentence in error.message
        return error

    missing = refused("without a client certificate", user="certified", password="")
    assert (type(missing), missing.attr) == (ConfigurationError, "ssl_cert")
    for unfit in (certified(Authority("another")), certified(secure.authority, valid=(-2, -1))):
        other = refused("does not accept the client certificate", **unfit)
        assert (type(other), other.attr) == (ConfigurationError, "ssl_cert")
    misnamed = refused("not made out to the user certified", **certified(secure.authority, "somebody"))
    assert (type(misnamed), misnamed.attr) == (CredentialsError, "ssl_cert")


def test_what_the_workers_own_account_has_is_not_used(
    secure: TlsPostgres, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that would let in, and an authority that would be trusted, where libpq looks by itself."""
    folder = tmp_path / ".postgresql"
    folder.mkdir()
    own = certified(secure.authority)
    files = {"postgresql.crt": own["ssl_cert"], "postgresql.key": own["ssl_key"], "root.crt": "no certificate"}
    for name, text in files.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGSSLCERT", str(folder / "postgresql.crt"))
    monkeypatch.setenv("PGSSLKEY", str(folder / "postgresql.key"))
    assert refusal(source, sslmode="require", user="certified", password="").attr == "ssl_cert"
    for narrow in (False, True):
        config = source.config(sslmode="require")
        assert source.read("t", config=config, narrow=narrow).column("id") == [7]
    shutil.rmtree(folder)


def test_changes_are_followed_with_a_client_certificate(secure: TlsPostgres, source: Source) -> None:
    source.execute("ALTER ROLE certified REPLICATION; CREATE TABLE items (id int PRIMARY KEY)")
    source.execute("GRANT SELECT ON items TO certified")
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("INSERT INTO items VALUES (1)")
        own = certified(secure.authority)
        found = followed.collect(sslmode="verify-full", ssl_ca=secure.authority.certificate, **own)
    assert found.story() == [("INSERT", {"id": 1})]


@pytest.mark.usefixtures("usual")
def test_certificates_are_the_databases_own_through_a_tunnel(secure: TlsPostgres, source: Source) -> None:
    """Held against the name that the bastion knows, and not against the tunnel's end."""
    with run_sshd() as sshd:
        given = {**sshd.inputs(host="localhost"), "ssl_ca": secure.authority.certificate, "sslmode": "verify-full"}
        for narrow in (False, True):
            config = source.config(**given, **certified(secure.authority))
            assert source.read("t", config=config, narrow=narrow).column("id") == [7]
        other = refusal(source, **given | {"ssl_ca": Authority().certificate})
        assert (type(other), other.attr) == (ConfigurationError, "ssl_ca")
        secure.show(secure.authority.issue("the server", "127.0.0.1", valid=(-2, -1)))
        assert "certificate of localhost has expired" in refusal(source, **given).message
        secure.show(secure.authority.issue("the server", "127.0.0.1"))
        error = refusal(source, **given)
        assert (type(error), error.attr) == (ConfigurationError, "host")
        assert "not made out to localhost" in error.message


def test_a_server_that_stops_in_the_handshake(secure: TlsPostgres, source: Source) -> None:
    secure.server.kill()
    try:
        error = refusal(source, sslmode="verify-full", ssl_ca=secure.authority.certificate)
    finally:
        secure.server.restart()
    assert isinstance(error, UnreachableError)
