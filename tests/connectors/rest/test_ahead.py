"""Several requests at once: what comes of them is what comes of one after the other."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from connectors.deadline import patience
from connectors.errors import AccessError, BusyError, UnreachableError
from connectors.rest import ahead, client, reader
from connectors.rest.client import Api
from connectors.rest.config import RestConfig
from connectors.rest.paging import FIRST
from connectors.rest.spool import Spool
from connectors.rest.walking import Page, pages
from tests.connectors.rest.library import REST, SIZE, Library, books, read, read_all
from tests.providers.server import Asked, Reply

BOOKS = 23
"""On three pages."""
AT_ONCE = 4
PROMPTLY = 5.0


@dataclass
class Shelf:
    """Pages of books: book n has n % 4 answers of two pages each, and each answer takes its time."""

    library: Library
    seconds: Callable[[], float] = lambda: random.uniform(0, 0.01)  # noqa: S311
    answers: dict[tuple[int, int], Reply] = field(default_factory=dict)
    """In place of those of a book, by the first page."""
    open: threading.Event = field(default_factory=threading.Event)
    """Answers of ``hung`` books wait for it."""
    hung: frozenset[int] = frozenset()
    size: int = 1
    going: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.library.books = books(BOOKS)
        self.library.provider.routes["/v1/books/*"] = self._answer

    def config(self, **limits: Any) -> RestConfig:
        children = {
            "name": "pages",
            "path": "books/{book}/pages",
            "records": "data",
            "paging": {"type": "cursor", "param": "after", "token": "next"},
            "parent": {"resource": "books", "include": {"book": "id"}},
            "primary_key": ["book", "n"],
            "columns": {"n": "long", "book": "long"},
        }
        return self.library.config([self.library.resource("token"), children], limits=limits)

    def expected(self) -> list[tuple[int, int]]:
        return [(book, n) for book in range(1, BOOKS + 1) for n in range(book % 4 * 2)]

    def _answer(self, asked: Asked) -> Reply:
        book, first = int(asked.path.split("/")[3]), int(asked.query.get("after", 0))
        with self.lock:
            self.going += 1
            self.most = max(self.most, self.going)
        time.sleep(self.seconds())
        if book in self.hung:
            self.open.wait(60)
        with self.lock:
            self.going -= 1
        if found := self.answers.get((book, first)):
            return found
        listed = [{"n": n, "text": "x" * self.size} for n in range(book % 4 * 2)]
        return Reply({"data": listed[first : first + 2], "next": first + 2 if first + 2 < len(listed) else None})


@pytest.fixture
def shelf(library: Library) -> Iterator[Shelf]:
    found = Shelf(library)
    yield found
    found.open.set()


def rows(found: list[Any]) -> list[tuple[int, int]]:
    return [(row["book"], row["n"]) for each in found for row in each.rows()]


def no_threads() -> bool:
    return not [each for each in threading.enumerate() if each.name.startswith("pages")]


def walk(config: RestConfig, is_enough: Callable[[Page], bool] | None) -> list[tuple[Any, Any]]:
    resource = config.declaration.resource("pages")
    assert resource
    with Api(config) as api:
        return [(page.records, page.after) for page in pages(api, config, resource, FIRST, None, is_enough)]


def test_objects_of_several_parents_come_at_once_in_their_order(shelf: Shelf) -> None:
    config = shelf.config(concurrency=AT_ONCE)
    one_by_one = walk(config, None)
    assert shelf.most == 1
    assert walk(config, lambda page: False) == one_by_one
    assert shelf.most == AT_ONCE
    shelf.most = 0
    assert rows([read(shelf.config(concurrency=1), "pages")]) == shelf.expected()
    assert (shelf.most, no_threads()) == (1, True)


@pytest.mark.parametrize("batch", [1, 7])
def test_a_batch_may_end_behind_any_page(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(reader, "BATCH_ROWS", batch)
    found = read_all(shelf.config(), "pages")
    assert len(found) > 10 // batch
    assert rows(found) == shelf.expected()


def test_what_goes_wrong_is_told_in_its_order(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what goes on behind it ends at once."""
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.1)
    shelf.answers[6, 2], shelf.hung = Reply({}, 503), frozenset({7, 8})
    began = time.monotonic()
    first = read(shelf.config(), "pages")
    assert (first.report.more, no_threads(), time.monotonic() - began < PROMPTLY) == (True, True, True)
    assert rows([first]) == [(book, n) for book, n in shelf.expected() if (book, n) < (6, 2)]
    with pytest.raises(BusyError, match="bad moment"):
        read(shelf.config(), "pages", state=first.report.state)
    shelf.open.set()
    shelf.answers[6, 2] = Reply({}, 403)
    with pytest.raises(AccessError):
        read(shelf.config(), "pages", state=first.report.state)
    shelf.answers.clear()
    assert rows([first, *read_all(shelf.config(), "pages", state=first.report.state)]) == shelf.expected()
    assert no_threads()


def test_a_full_batch_does_not_wait_for_what_was_asked_ahead(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH_ROWS", 2)
    shelf.hung = frozenset(range(2, BOOKS + 1))
    began = time.monotonic()
    found = read(shelf.config(), "pages")
    assert (rows([found]), found.report.more) == ([(1, 0), (1, 1)], True)
    assert (no_threads(), time.monotonic() - began < PROMPTLY) == (True, True)


def test_the_next_page_comes_while_the_last_one_is_put_away(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.books = books(3 * SIZE)
    coming = threading.Semaphore(0)
    library.provider.before = lambda asked: coming.release()
    add, seen = Spool.add, []

    def waits(spool: Spool, records: Any, size_bytes: int) -> None:
        assert coming.acquire(timeout=PROMPTLY), "this one"
        seen.append(coming.acquire(timeout=PROMPTLY if len(seen) < 2 else 0.1))
        if seen[-1]:
            coming.release()
        add(spool, records, size_bytes)

    monkeypatch.setattr(Spool, "add", waits)
    assert len(library.read(library.resource("token")).column("id")) == 3 * SIZE
    assert (seen, len(library.provider.asked)) == ([True, True, False], 3)


def test_a_look_asks_for_no_more_than_it_shows(shelf: Shelf, library: Library) -> None:
    config = shelf.config()
    assert REST.preview(config, "pages").num_rows == 2
    assert [asked.path for asked in library.provider.asked] == ["/v1/token", "/v1/books/1/pages"]
    REST.validate(config)
    assert len(library.provider.asked) == 3


@pytest.mark.parametrize("size", [1, 2000])
def test_what_is_too_large_to_be_held_is_asked_for_in_its_turn(
    shelf: Shelf, library: Library, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Again where it turned out so when it came."""
    most_bytes = 1 if size == 1 else 1500
    monkeypatch.setattr(ahead, "AHEAD_BYTES", most_bytes)
    monkeypatch.setattr(client, "AHEAD_BYTES", most_bytes)
    shelf.size = size
    assert rows(read_all(shelf.config(), "pages")) == shelf.expected()
    answers = 3 + sum(max(book % 4, 1) for book in range(1, BOOKS + 1))
    if size == 1:
        # Of how large they are nothing is known before the first one came.
        assert (shelf.most, len(library.provider.asked) in (answers, answers + 1)) == (1, True)
    else:
        assert answers < len(library.provider.asked) < 2 * answers


def test_all_wait_when_one_is_asked_to(shelf: Shelf, library: Library) -> None:
    times: list[float] = []

    def refused(asked: Asked) -> None:
        times.append(time.monotonic())
        if len(times) == 20:
            library.provider.faults.append(Reply({}, 429, {"Retry-After": "1"}))

    library.provider.before = refused
    assert rows([read(shelf.config(), "pages")]) == shelf.expected()
    assert max(later - earlier for earlier, later in pairwise(times)) > 0.8, "nobody asked meanwhile"


def test_somebody_who_waits_is_not_kept_waiting_by_threads(shelf: Shelf) -> None:
    shelf.hung = frozenset({2})
    began = time.monotonic()
    with patience(0.5), pytest.raises(UnreachableError):
        read_all(shelf.config(), "pages")
    assert (no_threads(), time.monotonic() - began < PROMPTLY) == (True, True)
