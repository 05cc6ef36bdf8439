"""``syncline migrate``, ``keys`` and ``projects``, on each kind of metadata database; and what missing settings say."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import app
from local.postgres import PostgresServer
from local.state import save_ports
from metadata.database import Database
from metadata.keys import find_login, has_scope
from metadata.vault import generate_key

PRODUCTION = ("SYNCLINE_ENCRYPTION_KEYS", "SYNCLINE_DATABASE_URL", "SYNCLINE_TEMPORAL_ADDRESS", "SYNCLINE_LAKE_URL")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None but an empty home."""
    for name in (*PRODUCTION, "SYNCLINE_BOOTSTRAP_API_KEY", "SYNCLINE_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SYNCLINE_HOME", str(tmp_path / "home"))


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=answer)


def secret_in(result: Result) -> str:
    found = re.search(r"slk_\S+", result.stdout)
    assert found, result.output
    return found.group()


def test_a_key_lets_in_until_it_is_revoked(metadata_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_DATABASE_URL", metadata_url)
    assert run("migrate").exit_code == 0
    made = run("keys", "create", "reporting", "--scope", "external_data_source:read", "--role", "viewer")
    assert made.exit_code == 0, made.output
    with Database(metadata_url).read() as session:
        key = find_login(session, secret_in(made))
    assert key is not None
    assert (key.label, key.role, key.project_id) == ("reporting", "viewer", 1)
    assert not has_scope(key, "external_data_source:write")
    assert secret_in(made) not in run("keys", "list").stdout
    assert run("keys", "revoke", str(key.key_id)).exit_code == 0
    with Database(metadata_url).read() as session:
        assert find_login(session, secret_in(made)) is None
    again = run("keys", "revoke", str(key.key_id))
    assert (again.exit_code, again.stderr) == (1, f"Project 1 has no valid key {key.key_id}.\n")


def test_a_deleted_project_takes_its_keys_along(metadata_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_DATABASE_URL", metadata_url)
    run("migrate")
    assert "Project 2 is made." in run("projects", "create", "second").stdout
    secret = secret_in(run("keys", "create", "its own", "--project", "2"))
    assert "second" in run("projects", "list").stdout
    assert run("projects", "delete", "2", answer="n\n").exit_code == 1
    assert "second" in run("projects", "list").stdout
    assert run("projects", "delete", "2", "--yes").exit_code == 0
    assert "second" not in run("projects", "list").stdout
    with Database(metadata_url).read() as session:
        assert find_login(session, secret) is None


def test_migrate_prints_the_first_key_once(postgres18: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgres18.sqlalchemy_url(postgres18.create_database())
    monkeypatch.setenv("SYNCLINE_DATABASE_URL", url)
    secret = secret_in(run("migrate"))
    with Database(url).read() as session:
        assert find_login(session, secret) is not None
    assert "slk_" not in run("migrate").stdout


def test_a_configured_first_key_is_never_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    monkeypatch.setenv("SYNCLINE_DATABASE_URL", url)
    monkeypatch.setenv("SYNCLINE_BOOTSTRAP_API_KEY", "chosen-by-the-operator-and-long")
    assert "chosen" not in run("migrate").output
    with Database(url).read() as session:
        assert find_login(session, "chosen-by-the-operator-and-long") is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("keys", "create", "x", "--project", "7"), "There is no project 7."),
        (("keys", "create", "x", "--scope", "everything"), "There is no such scope: everything."),
        (("keys", "create", "x", "--role", "king"), "There is no such role: king."),
        (("projects", "delete", "7", "--yes"), "There is no project 7."),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: tuple[str, ...], sentence: str, sqlite_metadata_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCLINE_DATABASE_URL", sqlite_metadata_url)
    run("migrate")
    result = run(*arguments)
    assert (result.exit_code, result.stderr.strip()) == (1, sentence)


@pytest.mark.parametrize("command", ["api", "worker"])
@pytest.mark.parametrize("missing", PRODUCTION)
def test_a_part_alone_names_the_setting_that_it_misses(
    command: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(
        PRODUCTION, (generate_key(), "sqlite:////tmp/x.db", "127.0.0.1:1", "file:///tmp/x"), strict=True
    ):
        monkeypatch.setenv(name, "" if name == missing else value)
    result = run(command)
    assert result.exit_code == 2
    assert result.stderr == f"{missing} must be set. On one machine, `syncline up` needs no settings.\n"


def test_a_query_asks_the_platform_of_this_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at these ports: the error says where the API was looked for."""

    def asked() -> str:
        return run("query", "select 1", "--api-key", "slk_x").stderr

    save_ports(tmp_path / "home", {"api": 1})
    assert "http://127.0.0.1:1 does not answer" in asked()
    monkeypatch.setenv("SYNCLINE_API_PORT", "2")
    assert "http://127.0.0.1:2 does not answer" in asked()
    monkeypatch.setenv("SYNCLINE_API_URL", "http://127.0.0.1:3")
    assert "http://127.0.0.1:3 does not answer" in asked()


def test_an_unusable_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_API_PORT", "eighty")
    result = run("api")
    assert result.exit_code == 2
    assert result.stderr.startswith("The setting SYNCLINE_API_PORT is not usable: ")


def test_an_empty_setting_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_API_PORT", "")
    assert run("api").stderr.startswith("SYNCLINE_ENCRYPTION_KEYS and SYNCLINE_DATABASE_URL and ")


def test_administration_without_a_database_says_where_it_looked(tmp_path: Path) -> None:
    result = run("keys", "list")
    assert result.exit_code == 2
    assert str(tmp_path / "home" / "metadata.db") in result.stderr
