"""Limits of requests that an API tells in its own way: in the answer, or of several things that it counts."""

import time

import pytest

from connectors.errors import BusyError, CredentialsError, SourceError
from connectors.rest import client
from tests.connectors.rest.library import REST, SIZE, Library, books, read
from tests.providers.server import Reply

SPENT = Reply({"errors": [{"message": "slow down", "code": "LIMIT"}]}, 400)
ANSWER = "errors[?code == 'LIMIT']"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.01)


def test_an_answer_that_says_it_is_for_the_limit_is_tried_again(library: Library) -> None:
    library.books = books(3 * SIZE)
    library.provider.faults.extend([SPENT] * 3)
    config = library.config([library.resource("token")], limits={"answer": ANSWER})
    assert len(read(config, "books").column("id")) == 3 * SIZE
    assert len(library.provider.asked) == 6


@pytest.mark.parametrize("reply", [Reply({"errors": "odd"}, 400), Reply(b"<html>", 400), Reply([], 422)])
def test_other_answers_are_refusals(library: Library, reply: Reply) -> None:
    library.provider.faults.append(reply)
    config = library.config([library.resource("single")], limits={"answer": ANSWER})
    with pytest.raises(SourceError, match="refuses the request for books"):
        read(config, "books")
    assert len(library.provider.asked) == 1


def test_what_to_wait_where_the_answer_does_not_say(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.5)
    library.provider.faults.append(SPENT)
    config = library.config([library.resource("single")], limits={"answer": ANSWER, "wait": 60})
    with pytest.raises(BusyError, match="limit of requests is used up") as caught:
        read(config, "books")
    assert caught.value.retry_after_seconds == 60


def test_of_several_limits_the_one_that_is_used_up_is_waited_for(library: Library) -> None:
    """In milliseconds since 1970 as well."""
    headers = {
        "X-RateLimit-Requests-Remaining": "0",
        "X-RateLimit-Requests-Reset": str(int((time.time() + 1.2) * 1000)),
        "X-RateLimit-Complexity-Remaining": "7",
        "X-RateLimit-Complexity-Reset": "4000000000000",
    }
    library.provider.faults.append(Reply({}, 429, headers))
    began = time.monotonic()
    library.read(library.resource("single"))
    assert 1 <= time.monotonic() - began < 5


@pytest.mark.parametrize("status", [400, 403])
def test_a_login_that_is_refused_by_another_status(library: Library, status: int) -> None:
    library.provider.faults.append(Reply({"errors": [{"message": "who?", "code": "LOGIN"}]}, status))
    config = library.config([library.resource("single")], login_refused="errors[?code == 'LOGIN']")
    with pytest.raises(CredentialsError, match=r'credentials: "who\?"'):
        REST.validate(config)
