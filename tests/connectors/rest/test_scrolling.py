"""A place that the API moves itself, and soon forgets: what is read there is one batch, or begins anew."""

from typing import Any

import pytest

from connectors.errors import BusyError, ConfigurationError, SourceError, UnreachableError
from connectors.rest import client, reader
from tests.connectors.rest.library import REST, SIZE, Library, books, read
from tests.providers.server import Asked, Reply

PAGING = {"type": "cursor", "param": "scroll", "token": "scroll", "scroll": True, "more": "data"}
RESOURCE: dict[str, Any] = {"name": "books", "path": "scroll", "records": "data", "columns": {"id": "long"}}
ALL = list(range(1, 3 * SIZE + 6))


@pytest.fixture(autouse=True)
def lost(library: Library, monkeypatch: pytest.MonkeyPatch) -> dict[int, Reply]:
    """What comes in place of an answer, by the number of the request. The place moves all the same; its name stays."""
    place, replies = 0, dict[int, Reply]()

    def answer(asked: Asked) -> Reply:
        nonlocal place
        place = place + SIZE if "scroll" in asked.query else 0
        page = Reply({"data": library.books[place : place + SIZE], "scroll": "s1"})
        return replies.get(len(library.provider.asked), page)

    library.books = books(len(ALL))
    library.provider.routes["/v1/scroll"] = answer
    monkeypatch.setattr(client, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.2)
    return replies


def resource(**options: Any) -> dict[str, Any]:
    return {**RESOURCE, "paging": PAGING, **options}


def test_all_pages_are_one_batch(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)
    found = library.read(resource())
    assert found.column("id") == ALL
    assert (found.report.more, found.report.state) == (False, None)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply({}, 429, {"Retry-After": "90"}), BusyError),
        (Reply({}, 500), BusyError),
        (Reply({"data": []}, cut=3), UnreachableError),
        (Reply({}, 404), BusyError),
    ],
    ids=["limited", "failed", "broken off", "forgotten"],
)
def test_where_an_answer_is_lost_all_begins_anew(
    library: Library, lost: dict[int, Reply], reply: Reply, error: type[SourceError]
) -> None:
    """Nobody knows whether the page that was asked for would come again."""
    config = library.config([resource()])
    lost[3] = reply
    with pytest.raises(error):
        read(config, "books")
    assert len(library.provider.asked) == 3
    assert read(config, "books").column("id") == ALL


def test_a_limit_moves_nothing(library: Library) -> None:
    def limited(asked: Asked) -> None:
        if len(library.provider.asked) == 3:
            library.provider.faults.append(Reply({}, 429, {"Retry-After": "0"}))

    library.provider.before = limited
    assert library.read(resource()).column("id") == ALL


def test_the_first_page_is_asked_for_again(library: Library) -> None:
    library.provider.faults.append(Reply({}, 500))
    assert library.read(resource()).column("id") == ALL
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
