"""The guide's own example, word for word: it is short, and it works."""

import re
from pathlib import Path
from typing import Any

import pytest

from connectors.base import CursorRange
from connectors.outbound import OPEN
from connectors.rest import reader
from connectors.rest.connector import DeclaredConnector
from connectors.rest.providers import connector_of
from connectors.surroundings import Surroundings
from tests.connectors.rest.library import Library, read_all
from tests.providers.server import Asked, Reply

GUIDE = Path(__file__).parents[3] / "docs/connectors/declaring-one.md"


def example() -> str:
    (found,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    return str(found)


@pytest.fixture
def bookshop() -> DeclaredConnector:
    return connector_of(example())


def test_it_is_as_short_as_the_guide_says() -> None:
    count = int(re.findall(r"of (\d+) lines", GUIDE.read_text("utf-8"))[0])
    assert len(example().splitlines()) == count
    assert count < 60


def test_it_works(bookshop: DeclaredConnector, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)

    def page(asked: Asked, objects: list[dict[str, Any]]) -> Reply:
        if asked.headers.get("authorization") != "Bearer t0ken":
            return Reply({"message": "no such token"}, 401)
        since = asked.query.get("changed_since", "")
        listed = [each for each in objects if each.get("changed_at", "~") >= since]
        first = int(asked.query.get("after", 0))
        return Reply(
            {"data": listed[first : first + 2], "meta": {"next": first + 2 if first + 2 < len(listed) else None}}
        )

    books = [{"id": n, "changed_at": f"2026-01-0{n}T00:00:00Z"} for n in range(1, 6)]
    library.provider.routes["/v1/books"] = lambda asked: page(asked, books)
    for n in range(1, 6):
        editions = [{"id": number, "pages": n * number} for number in range(n)]
        library.provider.routes[f"/v1/books/{n}/editions"] = lambda asked, mine=editions: page(asked, mine)
    given = {"api_key": "t0ken", "base_url": f"{library.provider.url}/v1"}
    config = bookshop.parse_config(given, Surroundings(OPEN))
    bookshop.validate(config)
    assert [table.name for table in bookshop.discover(config)] == ["books", "editions"]
    assert [n for each in read_all(config, "books") for n in each.column("id")] == [1, 2, 3, 4, 5]
    later = CursorRange("changed_at", "2026-01-04T00:00:00.000000+00:00")
    assert [n for each in read_all(config, "books", later) for n in each.column("id")] == [4, 5]
    rows = [(row["book_id"], row["id"], row["pages"]) for each in read_all(config, "editions") for row in each.rows()]
    assert rows == [(n, number, n * number) for n in range(1, 6) for number in range(n)]
