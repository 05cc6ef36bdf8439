"""Asking an API: one login, one pace, and patience with what passes by itself."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import httpx2

from connectors.deadline import remaining
from connectors.errors import ConfigurationError, SourceError, UnreachableError
from connectors.outbound.http import (
    CONNECT_SECONDS,
    READ_SECONDS,
    authorities,
    guarded_transport,
    is_about_certificates,
)
from connectors.rest.ahead import AHEAD_BYTES, NOW, Turn
from connectors.rest.answers import LimitError, NoAnswerError, busy, is_limited, is_passing, parsed, refusal, wait_of
from connectors.rest.config import RestConfig
from connectors.rest.declaration import Resource
from connectors.rest.logins import login_of
from connectors.rest.pace import Pace
from connectors.rest.requests import Answer, Request
from connectors.rest.templates import filled
from connectors.rest.wires import Wires

MOST_ANSWER_BYTES = 2**26
MOST_ANSWER_SECONDS = 600.0
"""From the first byte of a body to its last: one that comes by drops would hold up a read for days."""
PATIENCE_SECONDS = 120.0
"""How long a request is tried again before the read gives up, to go on later from where it is."""
MOST_STRANGE = 3
"""So often a request is tried whose answers are no JSON: they may be of a proxy, or the address may be wrong."""
APART_SECONDS = 600.0
"""How far the clock of an API that does not tell its time may be behind ours."""
FIRST_DELAY = 1.0
MOST_DELAY = 30.0
MOST_REDIRECTS = 3
_MOVED = (301, 302, 303, 307, 308)
_NO_CONTENT = 204


class _TooEarlyError(Exception):
    """The answer is too large to be kept until its turn comes."""


class Api:
    """For one read. Closed at its end. Thread-safe. Raises ``SourceError`` only."""

    def __init__(self, config: RestConfig, patience_seconds: float | None = None) -> None:
        """``patience_seconds``: how long a request is tried again; None as long as a read has it."""
        declaration = config.declaration
        self._patience_seconds = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
        self._config = config
        self.base_url = base_url(config)
        trusted = authorities()
        self._client = httpx2.Client(
            transport=guarded_transport(config.outbound, trusted),
            auth=login_of(
                declaration.auth,
                config.inputs,
                lambda: guarded_transport(config.outbound, trusted),
                config.tokens,
            ),
            headers={"Accept": "application/json", "User-Agent": "syncline", **self._texts(declaration.headers)},
            trust_env=False,
            follow_redirects=False,
        )
        self._wires = Wires()
        self._pace = Pace(config.budget, config.account, declaration.limits.requests_per_second)
        self.began: datetime | None = None
        """When the first answer came, by the API's clock."""

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def interrupt(self) -> None:
        """Break what goes on in other threads; they are told that the API does not answer."""
        self._wires.cut()

    def url(self, path: str) -> str:
        """A path below the base URL, or a whole address, which must be of the same server."""
        url = urljoin(f"{self.base_url}/", path.lstrip("/") if "://" not in path else path)
        if _origin(url) != _origin(self.base_url):
            raise SourceError(
                f"The API gives an address of another server, {urlsplit(url).hostname}, to which the credentials do "
                "not go."
            )
        return url

    def ask(self, resource: Resource, request: Request, turn: Turn = NOW) -> Answer:
        """``BusyError`` where the API asks for more patience than a request has; waiting for its pace needs none."""
        spent, delay, strange = 0.0, FIRST_DELAY, 0
        while True:
            self._pace.wait(self._patience(), turn)
            began = time.monotonic()
            try:
                failure, wait = self._tried(resource, request, turn)
            except _TooEarlyError:
                turn.await_it()
                continue
            if isinstance(failure, Answer):
                return failure
            spent += time.monotonic() - began
            strange += isinstance(failure, NoAnswerError)
            passes = strange < MOST_STRANGE if isinstance(failure, NoAnswerError) else failure.retryable
            pause = min(delay, MOST_DELAY) * random.uniform(0.5, 1.0) if wait is None else wait  # noqa: S311
            is_final = not passes or (request.moves and not isinstance(failure, LimitError))
            if is_final or spent + pause > self._patience():
                raise failure
            turn.sleep(pause)
            spent += pause
            delay *= 2

    def _tried(self, resource: Resource, request: Request, turn: Turn) -> tuple[Answer | SourceError, float | None]:
        """The answer, or what is wrong, with the seconds that the API asks to wait."""
        sent = time.monotonic()
        try:
            answer, content = self._sent(request, turn)
        except UnreachableError as error:
            return error, None
        answered = _time_of(answer)
        asked_at = answered.timestamp() - (time.monotonic() - sent)
        # By our own clock, which may be ahead of the API's.
        asked_at -= 0 if "date" in answer.headers else APART_SECONDS
        if answer.is_success:
            try:
                body = None if answer.status_code == _NO_CONTENT else parsed(content, resource)
            except NoAnswerError as error:
                return error, None
            self.began = self.began or answered
            link = answer.links.get("next", {}).get("url")
            return Answer(str(answer.url), body, answer.headers, link, asked_at, len(content)), None
        if resource.parent is not None and answer.status_code in resource.parent.none:
            return Answer(str(answer.url), None, answer.headers, asked_at=asked_at), None
        limits = self._config.declaration.limits
        if (limited := is_limited(answer, content, limits)) or is_passing(answer):
            wait = wait_of(answer, limits, limited=limited)
            self._pace.hold(wait)
            return busy(answer, resource, wait, limited=limited), wait
        return refusal(answer, content, resource, self._config.declaration, self._config.secrets), None

    def _sent(self, request: Request, turn: Turn) -> tuple[httpx2.Response, bytes]:
        url = request.url
        for _ in range(MOST_REDIRECTS + 1):
            with self._answer(request, url) as answer:
                if answer.status_code not in _MOVED or "location" not in answer.headers:
                    return answer, _content(answer, request.resource, turn)
                url = self.url(urljoin(url, answer.headers["location"]))
        raise SourceError(f"The API sends {request.resource} on and on.")

    @contextmanager
    def _answer(self, request: Request, url: str) -> Iterator[httpx2.Response]:
        left = remaining()
        timeout = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS) if left is None else httpx2.Timeout(left)
        try:
            with self._client.stream(
                request.method,
                httpx2.URL(url).copy_merge_params(dict(request.params)),
                headers=dict(request.headers),
                json=request.body,
                data=request.form,
                timeout=timeout,
                extensions={"trace": self._wires.noted},
            ) as answer:
                yield answer
        except httpx2.ConnectError as error:
            if is_about_certificates(error):
                raise ConfigurationError(
                    f"The certificate of {urlsplit(url).hostname} is not to be trusted."
                ) from error
            raise UnreachableError(f"The API at {urlsplit(url).hostname} does not answer.") from error
        except httpx2.HTTPError as error:
            raise UnreachableError(f"The API at {urlsplit(url).hostname} does not answer.") from error
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise ConfigurationError(f"The address of {request.resource} is malformed.") from error

    def _texts(self, texts: Mapping[str, str]) -> dict[str, str]:
        return {name: filled(text, self._config.inputs) for name, text in texts.items()}

    def _patience(self) -> float:
        left = remaining()
        return self._patience_seconds if left is None else min(self._patience_seconds, left)


def base_url(config: RestConfig) -> str:
    """``ConfigurationError`` where it is none that may be connected to."""
    url = filled(config.declaration.base_url, config.inputs).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None or parts.query:
        raise ConfigurationError("The base URL must be an address such as https://api.example.com/v1.", attr="base_url")
    if parts.scheme == "http" and config.outbound.guarded:
        raise ConfigurationError("This installation connects by https only.", attr="base_url")
    return url


def _time_of(answer: httpx2.Response) -> datetime:
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _content(answer: httpx2.Response, resource: str, turn: Turn) -> bytes:
    parts, size, began = [], 0, time.monotonic()
    for chunk in answer.iter_bytes():
        parts.append(chunk)
        size += len(chunk)
        if time.monotonic() - began > MOST_ANSWER_SECONDS:
            raise UnreachableError(f"An answer for {resource} does not come to its end.")
        if size > AHEAD_BYTES and not turn.has_come():
            raise _TooEarlyError
        if size > MOST_ANSWER_BYTES:
            raise SourceError(
                f"An answer for {resource} has more than {MOST_ANSWER_BYTES >> 20} MB: ask for smaller pages."
            )
    return b"".join(parts)
