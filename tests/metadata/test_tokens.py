"""Logins whose refresh token is good once: who asks for the next one, and that none is lost."""

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import update

from connectors.deadline import patience
from connectors.errors import BusyError, CredentialsError, SourceError, UnreachableError
from connectors.outbound import OPEN
from connectors.rest import asking
from connectors.rest import tokens as shared
from connectors.surroundings import Surroundings
from connectors.tokens import OWN, Kept, Tokens
from metadata.database import Database, database_of_process
from metadata.models import LoginTokens
from metadata.tokens import SharedTokens, delete_unused_tokens
from metadata.vault import generate_key
from tests.connectors.rest.library import REST
from tests.metadata.token_readers import Order, books
from tests.providers.rotating import CLIENT, Rotating
from tests.providers.server import Asked, Reply, running

BOOKS = [{"id": "1", "title": "A"}, {"id": "2", "title": "B"}]


@pytest.fixture
def login() -> Iterator[Rotating]:
    with running() as provider:
        yield Rotating(provider)


@pytest.fixture
def tokens(metadata_url: str) -> Iterator[SharedTokens]:
    yield SharedTokens(metadata_url, (generate_key(),))
    database_of_process(metadata_url).dispose()


@pytest.fixture(params=["own", "sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Iterator[Tokens]:
    if request.param == "own":
        yield OWN
    elif request.param == "sqlite":
        yield request.getfixturevalue("sqlite_tokens")
    else:
        templates, server = request.getfixturevalue("metadata_templates"), request.getfixturevalue("postgres18")
        with templates.postgres_copy(server) as url:
            yield SharedTokens(url, (generate_key(),))
            database_of_process(url).dispose()


@pytest.fixture
def sqlite_tokens(sqlite_metadata_url: str) -> SharedTokens:
    return SharedTokens(sqlite_metadata_url, (generate_key(),))


def read(login: Rotating, tokens: Tokens, given: dict[str, Any] | None = None) -> None:
    """As a reader of its own, which knows of no token yet."""
    found = books(given or login.given(), tokens)
    assert [{name: str(value) for name, value in each.items()} for each in found] == BOOKS


def start(order: Order) -> subprocess.Popen[bytes]:
    """A program whose processes are a group."""
    command = [sys.executable, "-m", "tests.metadata.token_readers"]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert program.stdin is not None
    program.stdin.write(pickle.dumps(order))
    program.stdin.close()
    return program


def test_processes_and_threads_that_need_a_token_at_once_ask_for_one(login: Rotating, tokens: SharedTokens) -> None:
    order = Order(login.given(), tokens, f"{login.provider.url}/expire")
    assert start(order).wait(60) == 0
    assert (len(login.asked), login.refused) == (order.rounds, 0)
    assert len(login.used) == order.rounds * order.processes * order.threads
    assert [each["refresh_token"] for each in login.asked] == [f"refresh-{n}" for n in range(order.rounds)]


def test_one_at_a_time_asks_for_what_follows(either: Tokens, request: pytest.FixtureRequest) -> None:
    account = request.node.name
    assert (either.kept(account).version, dict(either.kept(account).values)) == (0, {})
    claim = either.claim(account, 0, 60)
    assert claim is not None
    assert either.claim(account, 0, 60) is None
    either.release(account, "another")
    assert 50 < either.kept(account).claimed_seconds <= 60
    either.release(account, claim)
    assert either.kept(account).claimed_seconds == 0
    assert either.claim(account, 0, 0.2) is not None
    time.sleep(0.25)
    assert either.claim(account, 0, 60) is not None, "a claim ends by itself"
    assert either.keep(account, 0, {"access_token": "a"}, 100)
    kept = either.kept(account)
    assert (kept.version, dict(kept.values), kept.claimed_seconds) == (1, {"access_token": "a"}, 0)
    assert kept.good_seconds == pytest.approx(100, abs=5)
    assert not either.keep(account, 0, {"access_token": "late"}, None)
    assert either.claim(account, 0, 60) is None, "there is a newer one already"
    assert either.keep(account, 1, {"access_token": "b"}, None)
    assert (dict(either.kept(account).values), either.kept(account).good_seconds) == ({"access_token": "b"}, None)
    assert either.kept("another").version == 0


@pytest.mark.parametrize("rotates", [True, False])
def test_a_token_is_taken_by_all_until_it_is_refused(login: Rotating, either: Tokens, rotates: bool) -> None:
    login.rotates, login.lifetime = rotates, None
    read(login, either)
    read(login, either)
    login.expire()
    read(login, either)
    read(login, either)
    assert (len(login.asked), login.used) == (2, ["access-1"] * 2 + ["access-2"] * 2)


def test_a_token_is_replaced_before_it_ends(login: Rotating, either: Tokens) -> None:
    """When a quarter of its time is left, which may be up to a minute."""
    login.lifetime = 3
    read(login, either)
    read(login, either)
    assert len(login.asked) == 1
    time.sleep(2.3)
    read(login, either)
    assert (len(login.asked), login.used) == (2, ["access-1"] * 2 + ["access-2"])


def test_a_process_that_is_killed_over_it_holds_others_up_for_a_while(login: Rotating, tokens: SharedTokens) -> None:
    asking = threading.Event()

    def hang(number: int, asked: Asked) -> Reply | None:
        if asked.path != "/token" or asking.is_set():
            return None
        asking.set()
        return Reply({}, 500, delay=5)

    login.provider.plan = hang
    order = Order(login.given(), tokens, f"{login.provider.url}/expire", 1, 1, 1, claim_seconds=2)
    program = start(order)
    assert asking.wait(60)
    os.killpg(program.pid, signal.SIGKILL)
    assert program.wait(60) == -signal.SIGKILL
    read(login, tokens)
    assert (len(login.asked), login.refused) == (1, 0)


def test_an_answer_that_is_lost_needs_a_token_that_the_user_types(login: Rotating, sqlite_tokens: Tokens) -> None:
    login.provider.faults.append(lambda reply: replace(reply, ends="answer"))
    with pytest.raises(UnreachableError, match="gives tokens does not answer"):
        read(login, sqlite_tokens)
    with pytest.raises(CredentialsError, match="The refresh token has ended or was withdrawn: connect the account"):
        read(login, sqlite_tokens)
    login.refresh_token = login.typed = "typed"
    read(login, sqlite_tokens)
    read(login, sqlite_tokens)
    assert [each["refresh_token"] for each in login.asked] == ["refresh-0", "refresh-0", "typed"]


def test_without_the_database_only_what_cannot_be_lost_is_asked_for(login: Rotating, tmp_path: Path) -> None:
    away = SharedTokens(f"sqlite:///{tmp_path}/gone/metadata.db", (generate_key(),))
    with pytest.raises(BusyError, match="database that keeps the newest tokens") as caught:
        read(login, away)
    assert (caught.value.retryable, login.asked) == (True, [])
    login.rotates = False
    read(login, away)
    read(login, away)
    assert len(login.asked) == 1


@dataclass(frozen=True)
class Failing:
    """Tokens whose database is away just when there is something to keep, so often."""

    tokens: Tokens
    left: list[None]

    def kept(self, account: str) -> Kept:
        return self.tokens.kept(account)

    def claim(self, account: str, version: int, seconds: float) -> str | None:
        return self.tokens.claim(account, version, seconds)

    def release(self, account: str, claim: str) -> None:
        self.tokens.release(account, claim)

    def keep(self, account: str, version: int, values: Mapping[str, str], good_seconds: float | None) -> bool:
        if self.left:
            self.left.pop()
            raise OSError("away")
        return self.tokens.keep(account, version, values, good_seconds)

    def __hash__(self) -> int:
        return id(self)


def test_a_new_refresh_token_waits_for_the_database(
    login: Rotating, sqlite_tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "PAUSE_SECONDS", 0.01)
    failing = Failing(sqlite_tokens, [None] * 3)
    read(login, failing)
    read(login, sqlite_tokens)
    assert (len(login.asked), login.refused, failing.left) == (1, 0, [])
    monkeypatch.setattr(shared, "KEEP_SECONDS", 0.0)
    login.expire()
    failing.left.extend([None] * 3)
    with pytest.raises(BusyError):
        read(login, failing)
    assert login.used == ["access-1"] * 2, "a token is kept before it is used"


def test_a_token_without_a_successor_need_not_be_kept(login: Rotating, sqlite_tokens: Tokens) -> None:
    login.rotates = False
    failing = Failing(sqlite_tokens, [None])
    read(login, failing)
    assert failing.left == []


def test_somebody_without_patience_loses_no_token(login: Rotating, sqlite_tokens: Tokens) -> None:
    """As a live check, of a source that is not there yet."""
    login.provider.faults.append(lambda reply: replace(reply, delay=2.5))
    config = REST.parse_config(login.given(), Surroundings(OPEN, tokens=sqlite_tokens))
    began = time.monotonic()
    with pytest.raises(UnreachableError), patience(0.2):
        REST.validate(config)
    with pytest.raises(UnreachableError), patience(0.2):
        REST.validate(config)
    assert time.monotonic() - began < 2.5
    REST.validate(config)
    assert REST.preview(config, "books").column("title").to_pylist() == ["A", "B"]
    read(login, sqlite_tokens)
    assert (len(login.asked), login.refused) == (1, 0)


@pytest.mark.parametrize("rotates", [True, False])
def test_whoever_has_the_wrong_client_secret_gets_no_token_of_others(
    login: Rotating, sqlite_tokens: Tokens, rotates: bool
) -> None:
    login.rotates = rotates
    read(login, sqlite_tokens)
    with pytest.raises(CredentialsError, match="does not take the client id and the client secret"):
        read(login, sqlite_tokens, {**login.given(), "client_secret": "guessed"})
    read(login, sqlite_tokens)
    assert (len(login.asked), login.refused) == (2, 1)


def test_a_client_secret_that_was_replaced_goes_on_with_the_newest_refresh_token(
    login: Rotating, sqlite_tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(login, sqlite_tokens)
    monkeypatch.setitem(CLIENT, "client_secret", "another")
    read(login, sqlite_tokens)
    assert [each["refresh_token"] for each in login.asked] == ["refresh-0", "refresh-1"]


def test_who_is_refused_looks_whether_others_were_given_one(sqlite_tokens: Tokens) -> None:
    """As when its claim had ended before it asked."""
    login = shared.Login("account", "terms", "refresh-0")

    def exchange(refresh_token: str | None) -> shared.Grant:
        values = {"access_token": "of another", "terms": "terms", "refresh_token": "refresh-1"}
        assert sqlite_tokens.keep("account", 0, values, None)
        raise CredentialsError("The refresh token has ended.")

    assert shared.granted(sqlite_tokens, login, exchange).access_token == "of another"


@pytest.mark.parametrize(
    ("reply", "error", "wait"),
    [(Reply({}, 429, {"Retry-After": "7"}), BusyError, 7.0), (Reply({"message": "oh"}, 503), UnreachableError, None)],
)
def test_an_address_of_tokens_that_has_a_bad_moment(
    login: Rotating, sqlite_tokens: Tokens, reply: Reply, error: type[SourceError], wait: float | None
) -> None:
    login.provider.faults.append(reply)
    with pytest.raises(error) as caught:
        read(login, sqlite_tokens)
    assert (caught.value.retryable, getattr(caught.value, "retry_after_seconds", None)) == (True, wait)
    read(login, sqlite_tokens)


@pytest.mark.parametrize(
    "said", [{"expires_in": "3600.5"}, {"expires_in": "an hour"}, {"expires_in": [1]}, {"error": None}]
)
def test_a_token_is_taken_whatever_is_said_of_it(login: Rotating, sqlite_tokens: Tokens, said: dict[str, Any]) -> None:
    login.provider.faults.append(lambda reply: replace(reply, body={**reply.body, **said}))
    read(login, sqlite_tokens)
    login.expire()
    read(login, sqlite_tokens)
    assert [each["refresh_token"] for each in login.asked] == ["refresh-0", "refresh-1"]


def test_an_answer_without_end(login: Rotating, sqlite_tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    login.provider.faults.append(lambda reply: replace(reply, body={**reply.body, "more": "x" * 2**20}))
    with pytest.raises(SourceError, match="answers with far more than one: check token_url"):
        read(login, sqlite_tokens)
    monkeypatch.setattr(asking, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.3)
    # Without a length its end is no fault of HTTP's.
    login.provider.faults.append(Reply({"access_token": "a"}, drip=0.1, length=-1))
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="does not come to the end of its answer"):
        read(login, sqlite_tokens)
    assert time.monotonic() - began < 2


def test_no_token_shows(
    login: Rotating, sqlite_tokens: SharedTokens, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = REST.parse_config(login.given(), Surroundings(OPEN, tokens=sqlite_tokens))
    read(login, sqlite_tokens)
    login.provider.plan = lambda number, asked: (
        None if asked.path == "/token" else Reply({"message": _told(asked)}, 401)
    )
    with pytest.raises(CredentialsError, match=r'take the credentials: "\*\*\* has ended"') as refused:
        read(login, sqlite_tokens)
    login.refresh_token = "withdrawn"
    login.expire()
    with pytest.raises(CredentialsError) as ended:
        read(login, sqlite_tokens)
    errors = [f"{each.value!r} {each.value.__cause__!r}" for each in (refused, ended)]
    texts = "".join([*errors, repr(config), repr(sqlite_tokens), *capfd.readouterr()])
    with closing(sqlite3.connect(tmp_path / "metadata.db")) as metadata:
        texts += str(metadata.execute("SELECT * FROM login_tokens").fetchall())
    assert "gAAAA" in texts, "what is encrypted"
    for secret in ("refresh-", "access-", *sqlite_tokens.encryption_keys, CLIENT["client_secret"]):
        assert secret not in texts


def _told(asked: Asked) -> str:
    return f"{asked.headers['authorization'].removeprefix('Bearer ')} has ended"


def test_tokens_that_nobody_uses_go(login: Rotating, tokens: SharedTokens, metadata_url: str) -> None:
    database = database_of_process(metadata_url)
    read(login, tokens)
    _age(database)
    read(login, tokens)
    assert delete_unused_tokens(database) == 0
    _age(database)
    assert delete_unused_tokens(database) == 1
    with pytest.raises(CredentialsError):
        read(login, tokens)
    _age(database, days=0.9)
    assert delete_unused_tokens(database) == 0
    _age(database, days=1.1)
    assert delete_unused_tokens(database) == 1, "a login that never got any"


def _age(database: Database, days: float = 366) -> None:
    with database.transaction() as session:
        session.connection().execute(update(LoginTokens).values(used_at=time.time() - days * 86_400))
