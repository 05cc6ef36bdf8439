"""From one page to the next. A position is a small JSON object that says which page is meant; it outlives a crash."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urljoin

from connectors.errors import SourceError
from connectors.inference.texts import Literal
from connectors.rest.declaration import (
    CursorPaging,
    LinkHeaderPaging,
    NextUrlPaging,
    OffsetPaging,
    PageNumberPaging,
    Paging,
    SinglePage,
)
from connectors.rest.paths import found as found_at
from connectors.rest.requests import Answer, Request

Position = Mapping[str, Any]
FIRST: Position = {}


class Pager(Protocol):
    def request(self, first: Request, at: Position) -> Request:
        """The request for that page; ``first`` is the one for the first."""

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position | None:
        """Where the next page is; None behind the last."""


def pager_of(paging: Paging) -> Pager:
    match paging:
        case SinglePage():
            return _Single()
        case PageNumberPaging():
            return _PageNumbers(paging)
        case OffsetPaging():
            return _Offsets(paging)
        case CursorPaging():
            return _Cursors(paging)
        case NextUrlPaging():
            return _NextUrls(paging)
        case LinkHeaderPaging():
            return _NextUrls(None)


class _Single:
    def request(self, first: Request, at: Position) -> Request:
        return first

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position | None:
        return None


class _PageNumbers:
    def __init__(self, paging: PageNumberPaging) -> None:
        self._paging = paging

    def request(self, first: Request, at: Position) -> Request:
        paging = self._paging
        request = first.with_value(paging.into, paging.param, at.get("page", paging.first))
        return request.with_value(paging.into, paging.size_param, paging.size) if paging.size_param else request

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position | None:
        """A page that is shorter than asked for may be all that the API gives at once."""
        if not records or _says_last(self._paging.more, answer):
            return None
        return {"page": at.get("page", self._paging.first) + 1}


class _Offsets:
    def __init__(self, paging: OffsetPaging) -> None:
        self._paging = paging

    def request(self, first: Request, at: Position) -> Request:
        paging = self._paging
        request = first.with_value(paging.into, paging.param, at.get("offset", 0))
        return request.with_value(paging.into, paging.size_param, paging.size)

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position | None:
        if not records or _says_last(self._paging.more, answer):
            return None
        return {"offset": at.get("offset", 0) + len(records)}


class _Cursors:
    def __init__(self, paging: CursorPaging) -> None:
        self._paging = paging

    def request(self, first: Request, at: Position) -> Request:
        token = at.get("token")
        if token is None:
            return first
        return replace(first.with_value(self._paging.into, self._paging.param, token), moves=self._paging.scroll)

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position | None:
        if _says_last(self._paging.more, answer):
            return None
        token = self._token(answer, records)
        if token in (None, "", False):
            return None
        if isinstance(token, list | dict):
            raise SourceError("The next page's cursor is no text: check the paging of the resource.")
        if str(token) == at.get("token") and not self._paging.scroll:
            raise SourceError("The API gives the same page again and again: check the paging of the resource.")
        return {"token": str(token)}

    def _token(self, answer: Answer, records: Sequence[Any]) -> Any:
        if self._paging.header is not None:
            return answer.headers.get(self._paging.header)
        if self._paging.last_record is not None:
            return found_at(self._paging.last_record, records[-1]) if records else None
        return found_at(self._paging.token or "", answer.body)


class _NextUrls:
    """In the body, or in the header ``Link`` where there is no ``paging``."""

    def __init__(self, paging: NextUrlPaging | None) -> None:
        self._paging = paging

    def request(self, first: Request, at: Position) -> Request:
        """The address has all parameters in it."""
        if "url" not in at:
            return first
        return Request(first.resource, first.method, at["url"], first.headers, {}, first.body)

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position | None:
        url = answer.next_link if self._paging is None else found_at(self._paging.url, answer.body)
        if not url:
            return None
        if not isinstance(url, str):
            raise SourceError("The next page's address is no text: check the paging of the resource.")
        url = urljoin(answer.url, url)
        if url == at.get("url"):
            raise SourceError("The API gives the same page again and again: check the paging of the resource.")
        return {"url": url}


def _says_last(more: str | None, answer: Answer) -> bool:
    """Whether the answer says that no page follows."""
    if more is None:
        return False
    found = found_at(more, answer.body)
    return not found or (isinstance(found, Literal) and found == "0") or found == "false"
