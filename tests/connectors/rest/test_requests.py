"""Logins, and what goes wrong on the way: who is told what, and what is simply tried again."""

import base64
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from connectors.deadline import patience
from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    SourceError,
    UnreachableError,
)
from connectors.outbound import CLOSED, OPEN
from connectors.rest import client
from connectors.surroundings import Surroundings
from tests.connectors.rest.library import REST, SIZE, Library, books, read
from tests.providers.server import Asked, Reply

SECRET = "s3cr3t-key"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.01)


@pytest.mark.parametrize(
    ("auth", "header", "sent"),
    [
        ({"type": "bearer", "token": "{api_key}"}, "authorization", f"Bearer {SECRET}"),
        ({"type": "api_key", "name": "X-Key", "key": "k={api_key}"}, "x-key", f"k={SECRET}"),
        (
            {"type": "basic", "username": "{api_key}", "password": ""},
            "authorization",
            f"Basic {base64.b64encode(f'{SECRET}:'.encode()).decode()}",
        ),
    ],
)
def test_logins_by_a_key(library: Library, auth: dict[str, Any], header: str, sent: str) -> None:
    REST.validate(library.config([library.resource("single")], auth=auth, inputs={"api_key": SECRET}))
    assert [asked.headers[header] for asked in library.provider.asked] == [sent]


def test_a_key_in_the_query_stands_with_every_page(library: Library) -> None:
    library.books = books(2 * SIZE)
    auth = {"type": "api_key", "name": "key", "key": "{api_key}", "in": "query"}
    config = library.config([library.resource("next_url")], auth=auth, inputs={"api_key": SECRET})
    assert len(read(config, "books").column("id")) == 2 * SIZE
    assert [asked.query["key"] for asked in library.provider.asked] == [SECRET, SECRET]


class Tokens:
    """An address that gives tokens, each good for so many requests."""

    def __init__(self, library: Library, good_for: int = 3) -> None:
        self.given: list[Asked] = []
        self.left = 0
        self._good_for = good_for
        library.provider.routes["/token"] = self._give
        library.provider.before = self._check
        self._library = library

    def _give(self, asked: Asked) -> Reply:
        self.given.append(asked)
        self.left = self._good_for
        return Reply({"access_token": f"t{len(self.given)}", "token_type": "Bearer", "expires_in": 3600})

    def _check(self, asked: Asked) -> None:
        if asked.path == "/token":
            return
        self.left -= 1
        if asked.headers.get("authorization") != f"Bearer t{len(self.given)}" or self.left < 0:
            self._library.provider.faults.append(Reply({"error": "invalid_token"}, 401))


@pytest.mark.parametrize("refresh", [False, True])
@pytest.mark.parametrize("client_auth", ["body", "basic"])
def test_tokens_are_asked_for_again_when_they_end(library: Library, refresh: bool, client_auth: str) -> None:
    library.books = books(5 * SIZE)
    tokens = Tokens(library)
    auth = {"type": "oauth2", "token_url": "{token_url}", "client_id": "{client_id}", "client_auth": client_auth}
    auth |= {"client_secret": "{client_secret}", "scope": "read"}
    auth |= {"refresh_token": "{refresh_token}"} if refresh else {}
    inputs = {"token_url": f"{library.provider.url}/token", "client_id": "me", "client_secret": SECRET}
    config = library.config([library.resource("token")], auth=auth, inputs={**inputs, "refresh_token": "r1"})
    assert len(read(config, "books").column("id")) == 5 * SIZE
    asked = dict(pair.split("=") for pair in tokens.given[0].body.split("&"))
    assert asked["grant_type"] == ("refresh_token" if refresh else "client_credentials")
    assert (asked["scope"], asked.get("refresh_token")) == ("read", "r1" if refresh else None)
    if client_auth == "basic":
        assert tokens.given[0].headers["authorization"].startswith("Basic ")
    else:
        assert (asked["client_id"], asked["client_secret"]) == ("me", SECRET)
    assert len(tokens.given) == 2


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply({"error": "invalid_client"}, 401), "does not take the client id"),
        (Reply({"error": "invalid_grant"}, 400), "The refresh token has ended"),
        (Reply(b"<html>", 200), "does not answer with one"),
        (Reply({"error": "other"}, 400), "gives no token"),
    ],
)
def test_no_token(library: Library, reply: Reply, said: str) -> None:
    library.provider.routes["/token"] = lambda asked: reply
    auth = {"type": "oauth2", "token_url": "{token_url}", "client_id": "me"}
    inputs = {"token_url": f"{library.provider.url}/token"}
    with pytest.raises(CredentialsError, match=said):
        REST.validate(library.config([library.resource("single")], auth=auth, inputs=inputs))


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply({"message": f"bad key {SECRET}"}, 401), CredentialsError, 'credentials: "bad key ***".'),
        (
            Reply({"error": {"message": "no"}}, 403),
            AccessError,
            'read books: they need books:read: "no".',
        ),
        (Reply({}, 404), SourceError, "has nothing at the path of books (status 404)."),
        (Reply({"errors": [{"detail": "limit\nis odd"}]}, 422), SourceError, '(status 422): "limit is odd".'),
        (Reply("", 302), SourceError, "sends books elsewhere"),
    ],
)
def test_refusals(library: Library, reply: Reply, error: type[SourceError], said: str) -> None:
    library.provider.faults.append(reply)
    config = library.config([library.resource("single", scope="books:read")], inputs={"api_key": SECRET})
    with pytest.raises(error) as caught:
        REST.validate(config)
    assert said in caught.value.message
    assert len(library.provider.asked) == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply({"code": "no_login"}, 400), CredentialsError),
        (Reply({"code": "no_right"}, 403), AccessError),
        (Reply({"code": "no_right"}), AccessError),
        (Reply(b"Forbidden", 403), CredentialsError),
        (Reply({"code": "other"}, 400), SourceError),
    ],
)
def test_refusals_of_an_api_that_says_them_in_its_own_way(
    library: Library, reply: Reply, error: type[SourceError]
) -> None:
    library.provider.faults.append(reply)
    says = {"login_refused": "code == 'no_login'", "access_refused": "code == 'no_right'"}
    with pytest.raises(SourceError) as caught:
        REST.validate(library.config([library.resource("single", failed="code")], **says))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "fault",
    [
        Reply({}, 500),
        Reply({}, 503, {"Retry-After": "0"}),
        Reply({}, 429, {"Retry-After": "0"}),
        Reply({}, 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
        Reply({"data": []}, cut=3),
        Reply({}, 429, {"Retry-After": format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)}),
    ],
)
def test_what_passes_is_tried_again(library: Library, fault: Reply) -> None:
    library.books = books(3 * SIZE)
    library.provider.faults.extend([fault] * 3)
    assert len(library.read(library.resource("token")).column("id")) == 3 * SIZE
    assert len(library.provider.asked) == 6


@pytest.mark.parametrize("how", ["seconds", "date", "reset"])
def test_the_delay_that_the_api_asks_for_is_kept(library: Library, how: str) -> None:
    later = datetime.now(UTC) + timedelta(seconds=2)
    headers = {
        "seconds": {"Retry-After": "1.2"},
        "date": {"Retry-After": format_datetime(later + timedelta(seconds=0.5), usegmt=True)},
        "reset": {"RateLimit-Reset": "1.2"},
    }[how]
    library.provider.faults.append(Reply({}, 429, headers))
    began = time.monotonic()
    library.read(library.resource("single"))
    assert time.monotonic() - began >= 1


def test_a_limit_that_lasts_ends_the_batch_with_what_there_is(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of it costs nothing that was read; and the next read is told how long to wait."""
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.5)
    library.books = books(3 * SIZE)
    limit = Reply({}, 429, {"Retry-After": "3600"})
    config = library.config([library.resource("token", columns={"id": "long"})])

    def limited(asked: Asked) -> None:
        if len(library.provider.asked) in (3, 4):
            library.provider.faults.append(limit)

    library.provider.before = limited
    first = read(config, "books")
    assert (len(first.column("id")), first.report.more) == (2 * SIZE, True)
    with pytest.raises(BusyError, match="limit of requests is used up") as caught:
        read(config, "books", state=first.report.state)
    assert caught.value.retry_after_seconds == pytest.approx(3600, abs=5)
    rest = read(config, "books", state=first.report.state)
    assert first.column("id") + rest.column("id") == list(range(1, 31))


def test_requests_come_at_the_declared_pace(library: Library) -> None:
    library.books = books(5 * SIZE)
    began = time.monotonic()
    config = library.config([library.resource("token")], limits={"requests_per_second": 10})
    assert len(read(config, "books").column("id")) == 5 * SIZE
    assert time.monotonic() - began >= 0.4


def test_a_server_that_is_not_there(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.2)
    given = {"base_url": "http://127.0.0.1:1", "declaration": {"resources": [{"name": "a", "path": "a"}]}}
    with pytest.raises(UnreachableError, match=r"The API at 127\.0\.0\.1 does not answer"):
        REST.validate(REST.parse_config(given, Surroundings(OPEN)))


def test_somebody_who_waits_is_not_kept_waiting(library: Library) -> None:
    library.provider.faults.append(Reply({}, 429, {"Retry-After": "60"}))
    began = time.monotonic()
    with pytest.raises(BusyError), patience(1.0):
        REST.validate(library.config([library.resource("single")]))
    assert time.monotonic() - began < 2


def test_private_addresses_are_for_those_who_allow_them(library: Library) -> None:
    given = {"base_url": "https://127.0.0.1:1", "declaration": {"resources": [{"name": "a", "path": "a"}]}}
    with pytest.raises(SourceError, match="leads to a loopback address"):
        REST.validate(REST.parse_config(given, Surroundings(CLOSED)))
    with pytest.raises(SourceError, match="connects by https only"):
        REST.parse_config({**given, "base_url": "http://example.com"}, Surroundings(CLOSED))
    auth = {"type": "oauth2", "token_url": "{token_url}", "client_id": "a", "client_secret": "b"}
    given |= {"token_url": "http://example.com/token", "declaration": {**given["declaration"], "auth": auth}}
    with pytest.raises(ConfigurationError, match="connects by https only") as refused:
        REST.parse_config(given, Surroundings(CLOSED))
    assert refused.value.attr == "token_url"


def test_an_answer_that_does_not_end(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_ANSWER_BYTES", 1000)
    library.books = books(100)
    with pytest.raises(SourceError, match="ask for smaller pages"):
        library.read(library.resource("single"))


def test_a_redirect_is_followed_on_the_same_server_alone(library: Library) -> None:
    library.books = books(2)
    library.provider.routes["/v1/old"] = lambda asked: Reply("", 307, {"Location": "/v1/single"})
    library.provider.routes["/v1/away"] = lambda asked: Reply("", 302, {"Location": "https://example.org/"})
    assert library.read({**library.resource("single"), "path": "old"}).column("id") == [1, 2]
    with pytest.raises(SourceError, match=r"another server, example\.org"):
        library.read({**library.resource("single"), "path": "away"})
