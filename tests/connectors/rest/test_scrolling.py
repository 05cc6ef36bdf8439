"""A place that the API moves itself, and soon forgets: what is read there is one batch, or begins anew."""

from typing import Any

import pytest

from connectors.errors import BusyError, ConfigurationError, SourceError
from connectors.rest import client, reader
from tests.connectors.rest.library import REST, SIZE, Library, books, read
from tests.providers.server import Asked, Reply

PAGING = {"type": "cursor", "param": "scroll", "token": "scroll", "scroll": True, "more": "data"}
RESOURCE: dict[str, Any] = {"name": "books", "path": "scroll", "records": "data", "columns": {"id": "long"}}


@pytest.fixture(autouse=True)
def scrolled(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place has the same name all the time."""
    place = 0

    def answer(asked: Asked) -> Reply:
        nonlocal place
        place = place + SIZE if "scroll" in asked.query else 0
        return Reply({"data": library.books[place : place + SIZE], "scroll": "s1"})

    library.books = books(3 * SIZE + 5)
    library.provider.routes["/v1/scroll"] = answer
    monkeypatch.setattr(client, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.2)


def resource(**options: Any) -> dict[str, Any]:
    return {**RESOURCE, "paging": PAGING, **options}


def test_all_pages_are_one_batch(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)
    found = library.read(resource())
    assert found.column("id") == list(range(1, 3 * SIZE + 6))
    assert (found.report.more, found.report.state) == (False, None)


@pytest.mark.parametrize("fault", [Reply({}, 429, {"Retry-After": "90"}), Reply({}, 404)], ids=["limit", "forgotten"])
def test_where_it_fails_it_begins_anew(library: Library, fault: Reply) -> None:
    config = library.config([resource()])

    def fails(asked: Asked) -> None:
        if len(library.provider.asked) == 3:
            library.provider.faults.append(fault)

    library.provider.before = fails
    with pytest.raises(BusyError):
        read(config, "books")
    assert read(config, "books").column("id") == list(range(1, 3 * SIZE + 6))


def test_a_first_page_that_is_refused_is_no_place_that_was_lost(library: Library) -> None:
    library.provider.faults.append(Reply({"message": "another scroll is open"}, 400))
    with pytest.raises(SourceError, match="another scroll is open"):
        library.read(resource())


def test_a_preview_is_one_page(library: Library) -> None:
    assert REST.preview(library.config([resource()]), "books").num_rows == SIZE
    assert len(library.provider.asked) == 1


def test_what_cannot_be_gone_on_with_has_an_end_and_no_children(library: Library) -> None:
    with pytest.raises(ConfigurationError, match=r"resources\.0\.paging: a scroll needs more"):
        library.config([resource(paging={**PAGING, "more": None})])
    child = {"name": "pages", "path": "{id}/pages", "parent": {"resource": "books", "include": {"id": "id"}}}
    with pytest.raises(ConfigurationError, match=r"resources\.1\.parent: a scroll goes with neither"):
        library.config([resource(), child])
