"""Objects of parents, read by a cursor: each parent's list has an order and an end of its own."""

from typing import Any

import pytest

from connectors.base import CursorRange
from connectors.errors import SchemaChangedError
from connectors.rest import reader
from connectors.rest.config import RestConfig
from tests.connectors.rest.library import Library, read, read_all
from tests.providers.server import Asked, Reply

BOOKS = 4
PAGES = 10
SINCE = CursorRange("at", "2026-01-01T00:00:07.000000+00:00")


def pages_of(book: int) -> list[dict[str, Any]]:
    """The oldest first, one a second."""
    return [{"n": n, "at": f"2026-01-01T00:00:0{n}Z"} for n in range(0 if book == 1 else PAGES)]


def answer(asked: Asked) -> Reply:
    """Two pages an answer. Book 1 has none, and says so by a status."""
    book, first = int(asked.path.split("/")[3]), int(asked.query.get("after", 0))
    if book == 1:
        return Reply({"message": "no pages"}, 409)
    listed = pages_of(book)[:: -1 if asked.query.get("order") == "newest" else 1]
    return Reply({"data": listed[first : first + 2], "next": first + 2 if first + 2 < PAGES else None})


def config_of(library: Library, none: list[int] | None = None) -> RestConfig:
    library.provider.routes["/v1/books/*"] = answer
    library.books = [{"id": number} for number in range(BOOKS)]
    pages = {
        "name": "pages",
        "path": "books/{book}/pages",
        "records": "data",
        "paging": {"type": "cursor", "param": "after", "token": "next"},
        "parent": {"resource": "books", "include": {"book": "id"}, "none": [409] if none is None else none},
        "primary_key": ["book", "n"],
        "columns": {"n": "long", "book": "long", "at": "timestamp"},
        "incremental": {"field": "at", "newest_first": True, "params": {"order": "newest"}},
    }
    return library.config([library.resource("single"), pages])


def rows(reads: list[Any]) -> list[tuple[int, int]]:
    return sorted((row["book"], row["n"]) for each in reads for row in each.rows())


def expected(first: int = 0) -> list[tuple[int, int]]:
    return [(book, page["n"]) for book in range(BOOKS) for page in pages_of(book)[first:]]


def test_a_parent_whose_objects_are_old_does_not_end_the_others(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(library)
    assert rows([read(config, "pages", SINCE)]) == expected(7)
    asked = [each.path for each in library.provider.asked if each.path.endswith("/2/pages")]
    assert len(asked) == 3
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)
    reads = read_all(config, "pages", SINCE)
    assert len(reads) > 5
    assert rows(reads) == expected(7)


def test_a_parent_without_objects_may_say_so_by_a_status(library: Library) -> None:
    assert rows([read(config_of(library), "pages")]) == expected()
    config = config_of(library, [404])
    library.provider.faults.append(Reply({}, 404))
    with pytest.raises(SchemaChangedError, match="nothing at the path of books"):
        read(config, "books")


def test_parameters_of_reads_by_the_cursor_alone(library: Library) -> None:
    config = config_of(library)
    for cursor, order in ((None, None), (CursorRange("at", include_nulls=True), "newest"), (SINCE, "newest")):
        library.provider.asked.clear()
        read(config, "pages", cursor)
        orders = {each.query.get("order") for each in library.provider.asked if each.path.endswith("/pages")}
        assert orders == {order}
        assert all("order" not in each.query for each in library.provider.asked if each.path == "/v1/single")


def test_a_pass_whose_last_page_of_parents_is_empty_has_ended_all_the_same(library: Library) -> None:
    """What changes behind it is found by the next one."""
    pages = config_of(library).declaration.resources[1].model_dump(exclude_defaults=True, by_alias=True)
    pages["columns"], pages["paging"]["type"] = dict(pages["columns"]), "cursor"
    config = library.config([library.resource("page_number"), pages])
    later = "2099-01-01T00:00:00Z"
    library.provider.routes["/v1/books/*"] = lambda asked: Reply({"data": [{"n": 1, "at": later}]})
    (found,) = read_all(config, "pages", CursorRange("at", include_nulls=True))
    assert len(rows([found])) == BOOKS
    assert (found.report.more, "ended" in (found.report.state or "")) == (False, True)
