"""An API of books, paged in each of the ways there are, seen through the connector."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from connectors.base import CursorRange, ReadReport, ReadRequest
from connectors.outbound import OPEN
from connectors.rest import RestApiConnector
from connectors.rest.config import RestConfig
from connectors.surroundings import Surroundings
from tests.providers.server import Asked, Provider, Reply

REST = RestApiConnector()
SIZE = 10
PAGINGS: dict[str, dict[str, Any]] = {
    "single": {"type": "single"},
    "page_number": {"type": "page_number", "size": SIZE, "size_param": "per_page"},
    "page_more": {"type": "page_number", "first": 0, "size": SIZE, "size_param": "per_page", "more": "more"},
    "offset": {"type": "offset", "size": SIZE},
    "token": {"type": "cursor", "param": "after", "token": "meta.next"},
    "last_record": {"type": "cursor", "param": "starting_after", "last_record": "id", "more": "more"},
    "header": {"type": "cursor", "param": "after", "header": "X-Next"},
    "next_url": {"type": "next_url", "url": "next"},
    "link_header": {"type": "link_header"},
    "body": {"type": "cursor", "param": "variables.after", "token": "meta.next", "into": "body"},
}


@dataclass
class Read:
    table: pa.Table
    report: ReadReport

    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.table.to_pylist()
        return found

    def column(self, name: str) -> list[Any]:
        found: list[Any] = self.table.column(name).to_pylist()
        return found

    def kind(self, name: str) -> pa.DataType:
        return self.table.schema.field(name).type


@dataclass
class Library:
    """Books by their place in the list; each way of paging has a path of its own."""

    provider: Provider
    books: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in PAGINGS:
            self.provider.routes[f"/v1/{name}"] = self._page

    def config(self, resources: Sequence[Mapping[str, Any]], **declaration: Any) -> RestConfig:
        inputs = declaration.pop("inputs", {})
        declared = {"resources": list(resources), **declaration}
        given = {"base_url": f"{self.provider.url}/v1", "declaration": json.dumps(declared), **inputs}
        return REST.parse_config(given, Surroundings(OPEN))

    def resource(self, paging: str, **options: Any) -> dict[str, Any]:
        is_post = {"method": "POST", "body": {"query": "{ books }"}} if paging == "body" else {}
        return {"name": "books", "path": paging, "records": "data", "paging": PAGINGS[paging], **is_post, **options}

    def read(self, resource: Mapping[str, Any], **request: Any) -> Read:
        return read(self.config([resource]), str(resource["name"]), **request)

    def _page(self, asked: Asked) -> Reply:
        how = asked.path.removeprefix("/v1/")
        if how == "single":
            return Reply({"data": self.books})
        first = self._first(how, asked)
        page = self.books[first : first + SIZE]
        end = first + len(page)
        more = end < len(self.books)
        url = f"{self.provider.url}{asked.path}?after={end}"
        body: dict[str, Any] = {"data": page, "more": more, "meta": {"next": str(end) if more else None}}
        headers = {}
        if how == "next_url":
            body["next"] = url if more else None
        if more and how == "link_header":
            headers["Link"] = f'<{self.provider.url}/v1/other>; rel="prev", <{url}>; rel="next"'
        if more and how == "header":
            headers["X-Next"] = str(end)
        return Reply(body, headers=headers)

    def _first(self, how: str, asked: Asked) -> int:
        query = asked.query
        match how:
            case "page_number":
                return (int(query.get("page", 1)) - 1) * SIZE
            case "page_more":
                return int(query.get("page", 0)) * SIZE
            case "offset":
                return int(query.get("offset", 0))
            case "last_record":
                ids = [str(book["id"]) for book in self.books]
                return ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
            case "body":
                return int(asked.body.get("variables", {}).get("after", 0))
            case _:
                return int(query.get("after", 0))


def books(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [{"id": number, "title": f"book {number}"} for number in range(first, first + count)]


def read(config: RestConfig, table: str, cursor: CursorRange | None = None, **request: Any) -> Read:
    with REST.read(config, ReadRequest(table, "test-read", cursor=cursor, **request)) as opened:
        batches = list(opened.batches())
        return Read(pa.Table.from_batches(batches, opened.schema), opened.report)


def read_all(config: RestConfig, table: str, cursor: CursorRange | None = None, state: str | None = None) -> list[Read]:
    """A whole pass, in as many reads as it takes."""
    reads = [read(config, table, cursor, state=state)]
    while reads[-1].report.more:
        reads.append(read(config, table, cursor, state=reads[-1].report.state))
    return reads
