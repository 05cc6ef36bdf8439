"""What a sender of events is answered, and what such an answer is counted as."""

import json
import math
from dataclasses import dataclass

from starlette.types import Send

from connectors.receiving import RefusedError

RETRY_AFTER_SECONDS = 5

Headers = tuple[tuple[bytes, bytes], ...]

_JSON: Headers = ((b"content-type", b"application/json"),)
_LAST: Headers = ((b"connection", b"close"),)
"""Of a body that stopped coming nothing more is awaited."""


@dataclass(frozen=True)
class Answer:
    """``outcome``: one of a few words of our own, for the metrics."""

    outcome: str
    status: int
    body: bytes
    headers: Headers = ()

    async def send(self, send: Send) -> None:
        length = (b"content-length", str(len(self.body)).encode())
        headers = [*_JSON, length, *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class AnswerError(Exception):
    """The request ends here, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.outcome)
        self.answer = answer


class GoneError(Exception):
    """Nobody waits for an answer any more."""


def _error(outcome: str, status: int, type: str, code: str, detail: str, headers: Headers = ()) -> Answer:
    body = {"type": type, "code": code, "detail": detail, "attr": None}
    return Answer(outcome, status, json.dumps(body, separators=(",", ":")).encode(), headers)


def _later(outcome: str, code: str, detail: str) -> Answer:
    return _error(outcome, 503, "upstream_error", code, detail, _retry_after(RETRY_AFTER_SECONDS))


def _retry_after(seconds: float) -> Headers:
    return ((b"retry-after", str(max(1, math.ceil(seconds))).encode()),)


ACCEPTED = Answer("accepted", 200, b'{"success":true}')
IGNORED = Answer("ignored", 200, b'{"success":true}')
"""Nothing is made of such an event."""

UNKNOWN = _error("unknown", 404, "not_found", "not_found", "There is nothing here.")
WRONG_METHOD = _error(
    "wrong_method",
    405,
    "validation_error",
    "method_not_allowed",
    "Events are sent by POST.",
    ((b"allow", b"POST"),),
)
TOO_LARGE = _error("too_large", 413, "validation_error", "body_too_large", "The body is too large.")
TOO_SLOW = _error("too_slow", 408, "validation_error", "too_slow", "The body did not come in time.", _LAST)
WRONG_TYPE = _error(
    "wrong_type", 415, "validation_error", "unsupported_media_type", "Events are JSON in UTF-8, not compressed."
)
BUSY = _later("busy", "busy", "Too many events are waiting: send this one again in a moment.")
UNAVAILABLE = _later("unavailable", "unavailable", "The event may not be safe: send it again in a moment.")


def limited(wait_seconds: float) -> Answer:
    detail = "Too many events at once: send this one again later."
    return _error("limited", 429, "throttled", "throttled", detail, _retry_after(wait_seconds))


def refused(error: RefusedError) -> Answer:
    return _error(error.reason, 400, "validation_error", error.reason, str(error))
