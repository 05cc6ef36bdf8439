"""What an API's answer means: its JSON, a sentence for what went wrong, or how long to wait."""

import codecs
import json
import re
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from connectors.errors import AccessError, BusyError, CredentialsError, SchemaChangedError, SourceError
from connectors.inference.objects import NoObjectError, parsed_value
from connectors.rest.declaration import Declaration, Limits, Resource
from connectors.rest.paths import found as found_at

MOST_TOLD = 200
_TOO_MANY = 429
_BUSY = (408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
_REMAINING = re.compile(r"((?:x-)?rate-?limit-(?:[\w-]+-)?)remaining")
"""An API may count several things, each with headers of its own."""
_RESETS = ("x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset")
_LONGEST_WAIT = 3600.0
_EPOCH = 1_000_000_000
"""From this on a number of seconds is a time."""
_EPOCH_MS = 1_000_000_000_000
"""And from this on it is milliseconds."""


class LimitError(BusyError):
    """The API takes no more requests for a while, and has done nothing about this one."""


class NoAnswerError(SourceError):
    """What came is no answer: cut off, or of something in front of the API, or the address is not the API's."""


class TokenEndedError(SourceError):
    """The API no longer knows the token that says what has changed: a pass over all objects is right."""


def is_passing(answer: httpx2.Response) -> bool:
    """Whether it is a server that has a bad moment."""
    return answer.status_code in _BUSY


def is_limited(answer: httpx2.Response, content: bytes, limits: Limits) -> bool:
    """Whether too many requests came: by the status, by the headers, or as ``limits`` have it."""
    if answer.status_code == _TOO_MANY or (answer.status_code == 403 and _is_spent(answer)):
        return True
    return limits.answer is not None and _says(limits.answer, _json(content))


def wait_of(answer: httpx2.Response, limits: Limits, *, limited: bool) -> float | None:
    """Seconds that the API asks to wait; None where it does not say."""
    told = answer.headers.get("retry-after", "").strip()
    if told:
        return _bounded(_seconds(told))
    if not limited:
        return None
    resets = _resets(name[1] for name in _spent(answer)) or _RESETS
    found = [_seconds(answer.headers[name].strip()) for name in resets if name in answer.headers]
    known = [each for each in found if each is not None]
    return _bounded(max(known)) if known else limits.wait


def parsed(content: bytes, resource: Resource) -> Any:
    """``NoAnswerError`` for what is no JSON, or has no list of objects where there is one in every answer."""
    try:
        body = parsed_value(content.removeprefix(codecs.BOM_UTF8))
    except NoObjectError as error:
        raise NoAnswerError(
            f"The API answers with {error} for {resource.name}: check the base URL and the resource's path."
        ) from error
    if not resource.records_optional and _lacks_objects(body, resource):
        raise NoAnswerError(
            f"The API answers without a list of {resource.name}: check the base URL and the option records, or say "
            "records_optional where it leaves an empty list out."
        )
    return body


def refusal(
    answer: httpx2.Response,
    content: bytes,
    resource: Resource,
    declaration: Declaration,
    secrets: tuple[str, ...],
) -> SourceError:
    """What to raise for a status that is no success, and will not pass by itself."""
    status, name = answer.status_code, resource.name
    told, body = _told(content, (*secrets, *_sent(answer))), _json(content)
    if _is_token_ended(body, resource):
        return TokenEndedError(f"The API no longer knows the token that {name} was read by{told}")
    match status:
        case _ if declaration.login_refused is not None and _says(declaration.login_refused, body):
            return CredentialsError(f"The API does not take the credentials{told}")
        case 403 if declaration.access_refused is not None and not _says(declaration.access_refused, body):
            return CredentialsError(f"The API does not take the credentials{told}")
        case 401:
            return CredentialsError(f"The API does not take the credentials{told}")
        case 403:
            return _no_access(resource, told)
        case 404 | 410:
            return SchemaChangedError(f"The API has nothing at the path of {name} (status {status}){told}")
        case _ if 300 <= status < 400:
            return SourceError(f"The API sends {name} elsewhere (status {status}): check the base URL.")
        case _:
            return SourceError(f"The API refuses the request for {name} (status {status}){told}")


def failure(body: Any, resource: Resource, declaration: Declaration) -> SourceError | None:
    """What to raise for an answer of status 200 that says itself that it is none."""
    found = None if resource.failed is None else found_at(resource.failed, body)
    if not _holds(found):
        return None
    told = f': "{found[:MOST_TOLD]}"' if isinstance(found, str) else "."
    if declaration.access_refused is not None and _says(declaration.access_refused, body):
        return _no_access(resource, told)
    kind = TokenEndedError if _is_token_ended(body, resource) else SourceError
    return kind(f"The API says that the request for {resource.name} failed{told}")


def _lacks_objects(body: Any, resource: Resource) -> bool:
    """What says that the request failed needs none."""
    found = body if resource.records is None else found_at(resource.records, body)
    is_named = resource.records is not None and isinstance(found, dict)
    return not (isinstance(found, list) or is_named) and not (
        resource.failed is not None and _says(resource.failed, body)
    )


def _no_access(resource: Resource, told: str) -> AccessError:
    need = f": they need {resource.scope}" if resource.scope else ""
    return AccessError(f"The credentials may not read {resource.name}{need}{told}")


def _is_token_ended(body: Any, resource: Resource) -> bool:
    return resource.expired is not None and _says(resource.expired, body)


def _says(condition: str, body: Any) -> bool:
    """Whether an answer that failed has it; one may be of any shape."""
    try:
        return _holds(found_at(condition, body))
    except SourceError:
        return False


def _holds(found: Any) -> bool:
    return found not in (None, False, "", [])


def busy(answer: httpx2.Response, resource: Resource, wait: float | None, *, limited: bool) -> BusyError:
    if limited:
        return LimitError(
            f"The API's limit of requests is used up; {resource.name} is read on later.", retry_after_seconds=wait
        )
    return BusyError(
        f"The API has a bad moment (status {answer.status_code}); {resource.name} is read on later.",
        retry_after_seconds=wait,
    )


def _is_spent(answer: httpx2.Response) -> bool:
    return "retry-after" in answer.headers or bool(_spent(answer))


def _spent(answer: httpx2.Response) -> list[re.Match[str]]:
    """The headers that say that nothing remains."""
    found = [_REMAINING.fullmatch(name.lower()) for name, value in answer.headers.items() if value.strip() == "0"]
    return [each for each in found if each is not None]


def _resets(prefixes: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}reset" for prefix in prefixes)


def _seconds(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        try:
            return parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    if number > _EPOCH_MS:
        number /= 1000
    return number - time.time() if number > _EPOCH else number


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_WAIT)


def _told(content: bytes, secrets: tuple[str, ...]) -> str:
    """What the API itself says of it, in short, and as the end of a sentence."""
    text = _message(_json(content))
    if not text:
        return "."
    for secret in secrets:
        text = text.replace(secret, "***")
    plain = "".join(each if each.isprintable() else " " for each in text).strip()
    return f': "{plain[:MOST_TOLD]}".'


def _sent(answer: httpx2.Response) -> tuple[str, ...]:
    """The token that the request had, which may be none of the inputs."""
    return tuple(answer.request.headers.get("authorization", "").split()[1:])


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _message(body: Any) -> str | None:
    """Where most APIs have it."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return _message(body[0]) if body else None
    if isinstance(body, dict):
        for name in ("message", "error_description", "detail", "description", "error", "errors", "title"):
            if found := _message(body.get(name)):
                return found
    return None
