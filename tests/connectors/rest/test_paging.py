"""Every way of paging gives every object once, from the first page or from where an earlier read stopped."""

import pytest

from connectors.errors import SourceError
from connectors.rest import reader
from tests.connectors.rest.library import PAGINGS, SIZE, Library, books, read_all
from tests.providers.server import Reply

COUNTS = (0, 1, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE, 4 * SIZE + 3)


@pytest.mark.parametrize("paging", PAGINGS)
@pytest.mark.parametrize("count", COUNTS)
def test_all_objects_come_once(library: Library, paging: str, count: int) -> None:
    library.books = books(count)
    found = library.read(library.resource(paging, columns={"id": "long"}))
    assert found.column("id") == list(range(1, count + 1))
    assert (found.report.more, found.report.state) == (False, None)


@pytest.mark.parametrize("paging", [name for name in PAGINGS if name != "single"])
@pytest.mark.parametrize("size", [1, SIZE + 1])
def test_a_pass_goes_on_behind_any_page(
    library: Library, monkeypatch: pytest.MonkeyPatch, paging: str, size: int
) -> None:
    monkeypatch.setattr(reader, "BATCH_ROWS", size)
    library.books = books(4 * SIZE + 3)
    config = library.config([library.resource(paging, columns={"id": "long"})])
    reads = read_all(config, "books")
    assert len(reads) > 2
    assert [number for each in reads for number in each.column("id")] == list(range(1, 4 * SIZE + 4))


@pytest.mark.parametrize("paging", ["token", "header", "next_url"])
def test_an_api_that_turns_in_circles_is_found_out(library: Library, paging: str) -> None:
    library.books = books(3 * SIZE)
    library.provider.routes[f"/v1/{paging}"] = lambda asked: library._page(
        type(asked)(asked.method, asked.path, {}, asked.headers, asked.body)
    )
    with pytest.raises(SourceError, match="the same page again and again"):
        library.read(library.resource(paging))


def test_the_next_page_of_another_server_is_not_asked_for(library: Library) -> None:
    library.provider.routes["/v1/next_url"] = lambda asked: Reply({"data": [], "next": "https://example.org/2"})
    with pytest.raises(SourceError, match=r"another server, example\.org"):
        library.read(library.resource("next_url"))


def test_a_relative_address_is_one_beside_the_page(library: Library) -> None:
    library.provider.routes["/v1/next_url"] = lambda asked: (
        Reply({"data": [{"id": 2}]}) if asked.query else Reply({"data": [{"id": 1}], "next": "?page=2"})
    )
    assert library.read(library.resource("next_url")).column("id") == [1, 2]


def test_parameters_are_sent_with_each_page(library: Library) -> None:
    library.books = books(2 * SIZE)
    library.read(library.resource("offset", params={"sort": "id", "deep": True, "limit": 3}))
    assert [dict(asked.query) for asked in library.provider.asked] == [
        {"sort": "id", "deep": "true", "limit": "10", "offset": str(offset)} for offset in (0, SIZE, 2 * SIZE)
    ]


def test_numbers_are_numbers_where_something_is_computed(library: Library) -> None:
    """Of texts 9 would be more than 10."""
    library.provider.routes["/v1/page_number"] = lambda asked: Reply(
        {"data": [{"id": int(asked.query["page"])}], "page": int(asked.query["page"]), "pages": 11}
    )
    paging = {**PAGINGS["page_number"], "more": "page < pages"}
    assert library.read({**library.resource("page_number"), "paging": paging}).column("id") == list(range(1, 12))
    paging["more"] = "join(',', page)"
    with pytest.raises(SourceError, match=r"The expression join\(',', page\) does not fit"):
        library.read({**library.resource("page_number"), "paging": paging})
