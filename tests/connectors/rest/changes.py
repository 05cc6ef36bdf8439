"""An API that tells by a token what has changed, and the lake that its rows go to."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from activities.jobs import publish_plan
from activities.messages import ExtractInput, Plan, Run
from activities.planning import Intent, decide
from activities.reading import Reading, extract
from connectors.rest.config import RestConfig
from lake.position import Position
from lake.publish import publish
from lake.storage import LakeStore
from lake.table import open_table
from tests.connectors.rest.library import SIZE
from tests.providers.server import Asked, Provider, Reply

RESOURCE: dict[str, Any] = {
    "name": "books",
    "path": "changes",
    "method": "POST",
    "body": {"limit": SIZE},
    "records": "data",
    "paging": {"type": "cursor", "param": "cursor", "token": "next", "into": "body"},
    "primary_key": ["id"],
    "columns": {"id": "long", "made": "unix"},
    "incremental": {"field": "made", "token": "sync", "param": "sync", "into": "body"},
    "failed": "error",
    "expired": "contains(['old', 'unknown', 'too much'], error)",
}
TABLE = "1/rest/books"


@dataclass
class Changes:
    """Books in the order of their last change, though ``made`` says when they were made. A token is a place in it."""

    provider: Provider
    books: dict[int, dict[str, Any]] = field(default_factory=dict)
    oldest: int = 0
    """Tokens from before have ended."""
    gives_tokens: bool = True
    status: int = 200
    """Of an answer that says that a token has ended."""
    _changes: int = 0
    _changed: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.provider.routes["/v1/changes"] = self._page

    def put(self, *numbers: int, **values: Any) -> None:
        for number in numbers:
            self._changes += 1
            self._changed[number] = self._changes
            self.books[number] = {**self.books.get(number, {"id": number, "made": 1_000_000 + number}), **values}

    @property
    def token(self) -> str:
        return str(self._changes)

    def pass_by(self) -> None:
        """Something changes that is no book: the next token is another one."""
        self._changes += 1

    def end_tokens(self) -> None:
        self.oldest = self._changes + 1

    def asked(self) -> list[tuple[Any, Any]]:
        """Token and page of each request since the last look."""
        found = [(each.body.get("sync"), each.body.get("cursor")) for each in self.provider.asked]
        self.provider.asked.clear()
        return found

    def _page(self, asked: Asked) -> Reply:
        assert asked.body["limit"] == SIZE
        since = int(asked.body.get("sync", 0))
        if "sync" in asked.body and since < self.oldest:
            return Reply({"error": "old"}, self.status)
        first = int(asked.body.get("cursor", 0))
        listed = sorted(
            (number for number in self.books if self._changed[number] > since), key=self._changed.__getitem__
        )
        page = [self.books[number] for number in listed[first : first + SIZE]]
        if first + SIZE < len(listed):
            return Reply({"data": page, "next": str(first + SIZE)})
        return Reply({"data": page, "next": None, "sync": self.token if self.gives_tokens else None})


@dataclass
class Copy:
    """Runs of a table, by the steps that the platform's have."""

    store: LakeStore
    mode: str
    fence: int = 0

    def run(self, config: RestConfig) -> None:
        self.fence += 1
        key = ["id"] if self.mode == "incremental" else []
        run = Run(
            1, "s", "t", "RestApi", "books", "books", TABLE, f"j{self.fence}", self.fence, 1, self.mode, key,
            cursor_field="made", cursor_type="timestamp",
        )  # fmt: skip
        batch, more = 0, True
        while more:
            more = self._batch(run, config, batch)
            batch += 1

    def _batch(self, run: Run, config: RestConfig, batch: int) -> bool:
        base = decide(Intent(run.mode, 1, tuple(run.primary_key), "made"), self.position()).base
        plan = Plan(1, rebuild=False, base=base.as_dict())
        reading = Reading(ExtractInput(run, plan, batch), plan, config, "test-read", 2**30)
        read = extract(lambda rows, size_bytes, estimate: None, self.store, reading)
        if read.published is None:
            publish(self.store, read.extracted.manifest, publish_plan(run, plan, batch, last=not read.extracted.more))
        return read.extracted.more

    def position(self) -> Position:
        return open_table(self.store, TABLE).position

    def rows(self) -> list[tuple[Any, ...]]:
        """Numbers and titles."""
        return sorted(pl.read_delta(self.store.uri(TABLE)).select("id", "title").rows())


def changed(resource: dict[str, Any], **incremental: Any) -> dict[str, Any]:
    found = {name: value for name, value in {**resource["incremental"], **incremental}.items() if value is not None}
    return {**resource, "incremental": found}
