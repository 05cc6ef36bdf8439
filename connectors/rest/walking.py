"""A pass over all objects of a resource, page by page; it can be left behind any page and gone on with later."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.errors import SourceError
from connectors.inference.texts import value_text
from connectors.rest.ahead import Crew, InTurn, Turn, Work, in_order
from connectors.rest.answers import failure
from connectors.rest.client import Api
from connectors.rest.config import RestConfig
from connectors.rest.declaration import Resource, is_scrolled
from connectors.rest.paging import FIRST, Position, pager_of
from connectors.rest.paths import found as found_at
from connectors.rest.requests import Answer, Request
from connectors.rest.templates import filled, filled_body, filled_path

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    records: Sequence[Record]
    after: Position | None
    """Where the pass goes on; None where it is over."""
    token: str | None = None
    """Behind the last page: by which the API gives what changes from now on."""
    asked_at: float = 0.0
    """As in ``connectors.rest.requests.Answer``: the objects are as they were then, or newer."""
    size_bytes: int = 0
    """Of the answer."""


@dataclass(frozen=True)
class ByCursor:
    """A pass over what is new."""

    since: str | None
    """What the API is to filter by, as it wants it: a time, a number or a token. None for all there is."""
    is_past: Callable[[Sequence[Record]], bool]
    """Whether behind such a page only older objects follow, of the same parent."""


def pages(
    api: Api,
    config: RestConfig,
    resource: Resource,
    at: Position,
    by_cursor: ByCursor | None,
    is_enough: Callable[[Page], bool] | None = None,
) -> Generator[Page]:
    """The pages from there on. ``by_cursor`` is None where all objects are read, in any order.

    ``is_enough``: whether a page that is about to be given may be the last that is wanted. With it, what follows is
    asked for meanwhile, as much at once as the API allows; it ends when the iterator is closed.
    """
    # Of a scroll, an answer that nobody takes is lost.
    if is_enough is None or is_scrolled(resource):
        yield from _walked(InTurn(), api, config, resource, at, by_cursor)
        return
    with Crew(config.declaration.limits.concurrency, is_enough, api.interrupt) as crew:
        yield from _walked(crew, api, config, resource, at, by_cursor)


def _walked(
    crew: Crew[Page] | InTurn,
    api: Api,
    config: RestConfig,
    resource: Resource,
    at: Position,
    by_cursor: ByCursor | None,
) -> Iterator[Page]:
    if resource.parent is None:
        yield from crew.start(_list(api, config, resource, at, by_cursor, {}))
        return
    parent = config.declaration.resource(resource.parent.resource)
    assert parent is not None
    children = (
        (each, _list(api, config, resource, each.begin, by_cursor, each.of_parent))
        for each in _parents(crew, api, config, parent, resource, at)
    )
    for each, found in in_order(crew, children):
        for page in found:
            records = [{**record, **each.of_parent} for record in page.records]
            yield replace(page, records=records, after=each.behind(page.after))


def records_of(answer: Answer, resource: Resource) -> Sequence[Record]:
    """``SourceError`` where the answer has no objects where they are declared to be."""
    found = answer.body if resource.records is None else found_at(resource.records, answer.body)
    if found is None:
        return ()
    if isinstance(found, dict):
        return (found,)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise SourceError(f"The API's answer for {resource.name} has no list of objects: check the option records.")
    return found


def _list(
    api: Api,
    config: RestConfig,
    resource: Resource,
    at: Position,
    by_cursor: ByCursor | None,
    of_parent: Mapping[str, str],
) -> Work[Page]:
    """One list's pages, for whose turn it is."""

    def pages_of(turn: Turn) -> Iterator[Page]:
        pager, first = pager_of(resource.paging), _first_request(api, config, resource, by_cursor, of_parent)
        where: Position | None = at
        while where is not None:
            request = pager.request(first, where)
            answer = api.ask(resource, Request(**{**vars(request), "url": api.url(request.url)}), turn)
            if failed := failure(answer.body, resource, config.declaration):
                raise failed
            records = records_of(answer, resource)
            past = by_cursor is not None and by_cursor.is_past(records)
            where = None if past else pager.after(where, answer, records)
            token = _token(answer, resource) if where is None else None
            yield Page(records, where, token, answer.asked_at, answer.size_bytes)

    return pages_of


@dataclass(frozen=True)
class _Parent:
    of_parent: Mapping[str, str]
    page: Position
    """Of parents, on which it is."""
    begin: Position
    """Where its objects are to be begun."""
    done: Position | None
    """Where the pass goes on behind its last object."""

    def behind(self, inside: Position | None) -> Position | None:
        """A position names the parents' page, and the parent on it that is done, or within which to go on."""
        if inside is None:
            return self.done
        return {"parents": self.page, "within": self.of_parent, "inside": inside}


def _parents(
    crew: Crew[Page] | InTurn, api: Api, config: RestConfig, parent: Resource, resource: Resource, at: Position
) -> Iterator[_Parent]:
    where = at.get("parents", FIRST)
    done, within, inside = at.get("done"), at.get("within"), at.get("inside", FIRST)
    for page in crew.start(_list(api, config, parent, where, None, {})):
        parents = [included(resource, each) for each in page.records]
        end = None if page.after is None else {"parents": page.after}
        for number in range(_begin(parents, done, within), len(parents)):
            of_parent = parents[number]
            behind = {"parents": where, "done": of_parent} if number < len(parents) - 1 else end
            yield _Parent(of_parent, where, inside if of_parent == within else FIRST, behind)
        if page.after is not None:
            where, done, within = page.after, None, None


def _begin(
    parents: Sequence[Mapping[str, str]], done: Mapping[str, str] | None, within: Mapping[str, str] | None
) -> int:
    """The first parent of the page that is still to do: all are where the page is no longer what it was."""
    if within in parents:
        return parents.index(within)
    return parents.index(done) + 1 if done in parents else 0


def included(resource: Resource, parent: Record) -> dict[str, str]:
    """The parent's values that its objects are asked for by, and that their rows have."""
    assert resource.parent is not None
    found = {}
    for name, path in resource.parent.include.items():
        value = found_at(path, parent)
        if value is None:
            raise SourceError(
                f"An object of {resource.parent.resource} has no {path}, by which {resource.name} is read."
            )
        found[name] = value_text(value)
    return found


def _first_request(
    api: Api, config: RestConfig, resource: Resource, by_cursor: ByCursor | None, of_parent: Mapping[str, str]
) -> Request:
    values = {**config.inputs, **of_parent}
    request = Request(
        resource=resource.name,
        method=resource.method,
        url=api.url(filled_path(resource.path, values)),
        headers={name: filled(text, values) for name, text in resource.headers.items()},
        params={name: filled(_param(value), values) for name, value in resource.params.items()},
        body=None if resource.body is None else filled_body(resource.body, values),
    )
    cursor = resource.incremental
    if by_cursor is None or cursor is None:
        return request
    for name, value in cursor.params.items():
        request = request.with_value("query", name, filled(_param(value), values))
    if by_cursor.since is None or cursor.param is None:
        return request
    return request.with_value(cursor.into, cursor.param, filled(cursor.template, {"value": by_cursor.since}))


def _token(answer: Answer, resource: Resource) -> str | None:
    if resource.incremental is None or resource.incremental.token is None:
        return None
    found = found_at(resource.incremental.token, answer.body)
    return None if found in (None, False, "") else value_text(found)


def _param(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
