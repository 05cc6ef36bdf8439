"""Reading a request: its headers, and a body that is of the right type, not too large, and not too slow."""

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache

from starlette.types import Receive, Scope

from api.ingress.answers import TOO_LARGE, TOO_SLOW, WRONG_TYPE, AnswerError, GoneError
from api.ingress.room import Place

BODY_SECONDS = 10.0
"""How long a body may take to come."""

_JSON = re.compile(r"application/(?:[\w.\-]+\+)?json\s*(?:;\s*charset\s*=\s*\"?utf-?8\"?\s*)?;?\s*", re.I | re.ASCII)


def headers_of(scope: Scope) -> dict[str, str]:
    """By names in lower case. Of one name that comes twice the values stand beside each other, as the RFC has it."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def check_headers(headers: Mapping[str, str], most_bytes: int) -> None:
    """``AnswerError`` where the body need not be read."""
    if not _is_json(headers.get("content-type", "")[:200]) or headers.get("content-encoding", "identity") != "identity":
        raise AnswerError(WRONG_TYPE)
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > most_bytes:
        raise AnswerError(TOO_LARGE)


async def read_body(receive: Receive, most_bytes: int, place: Place) -> bytes:
    """``AnswerError`` where it does not come whole; ``GoneError`` where its sender went away."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(receive, most_bytes, place)
    except TimeoutError:
        raise AnswerError(TOO_SLOW) from None


async def _read(receive: Receive, most_bytes: int, place: Place) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        part = message.get("body", b"")
        size += len(part)
        if size > most_bytes:
            raise AnswerError(TOO_LARGE)
        place.read(len(part))
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


@lru_cache(maxsize=100)
def _is_json(content_type: str) -> bool:
    return _JSON.fullmatch(content_type.strip()) is not None
