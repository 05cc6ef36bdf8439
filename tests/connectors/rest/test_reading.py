"""What of an API's objects comes out: values, types, keys, cursors, parents, and reads that are gone on with."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import CursorRange, RowFilter
from connectors.errors import ConfigurationError, SchemaChangedError, SourceError
from connectors.inference.kinds import LONG, NUMBER, TEXT, ZONED
from connectors.rest import reader
from tests.connectors.rest.library import SIZE, Library, books, read, read_all
from tests.providers.server import Asked, Reply


def test_values_come_as_they_are_written(library: Library) -> None:
    library.provider.routes["/v1/single"] = lambda asked: Reply(
        b'{"data": [{"id": 1, "price": 1.10, "big": 123456789012345678901234567890, "at": "2026-01-31T10:00:00Z",'
        b'"flag": true, "tags": ["a", 1.50], "owner": {"n": 1e2}, "code": "007", "mixed": 1},'
        b'{"id": 2, "price": 3, "big": 1, "at": null, "flag": false, "mixed": "x", "late": "\\u00e9"}]}'
    )
    found = library.read(library.resource("single"))
    assert found.rows() == [
        {
            "id": 1,
            "price": Decimal("1.10"),
            "big": "123456789012345678901234567890",
            "at": datetime(2026, 1, 31, 10, tzinfo=UTC),
            "flag": True,
            "tags": '["a",1.50]',
            "owner": '{"n":1e2}',
            "code": "007",
            "mixed": "1",
            "late": None,
        },
        {
            "id": 2,
            "price": Decimal(3),
            "big": "1",
            "at": None,
            "flag": False,
            "tags": None,
            "owner": None,
            "code": None,
            "mixed": "x",
            "late": "é",
        },
    ]
    assert [found.kind(name) for name in ("id", "price", "at")] == [LONG, NUMBER, ZONED]


def test_a_value_of_the_last_page_decides_for_all(library: Library) -> None:
    library.books = [*books(3 * SIZE), {"id": "x31"}]
    found = library.read(library.resource("token"))
    assert (found.kind("id"), found.column("id")) == (TEXT, [*map(str, range(1, 31)), "x31"])


def test_declared_columns_are_of_their_types(library: Library) -> None:
    columns = {"id": "long", "made": "unix", "seen": "unix_ms", "price": "decimal(10,2)", "zip": "string", "no": "date"}
    library.books = [
        {"id": 1, "made": 0, "seen": 1500, "price": 2, "zip": 123},
        {"id": "2", "made": 1.5, "seen": "x", "price": 0.001, "zip": "9"},
        {"id": None, "made": None, "seen": None},
    ]
    found = library.read(library.resource("single", columns=columns))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert found.column("id") == [1, 2, None]
    assert found.column("made") == [epoch, epoch.replace(second=1, microsecond=500_000), None]
    assert found.column("seen") == [epoch.replace(second=1, microsecond=500_000), None, None]
    assert found.column("price") == [Decimal(2), None, None]
    assert found.column("zip") == ["123", "9", None]
    assert (found.kind("no"), found.column("no")) == (pa.date32(), [None] * 3)
    assert {(each.column, each.reason, each.count) for each in found.report.warnings} == {
        ("seen", "does not fit timestamp", 1),
        ("price", "does not fit decimal(10,2)", 1),
    }


def test_of_an_object_that_moved_between_pages_the_last_state_stays(library: Library) -> None:
    library.books = books(3 * SIZE)

    def moved(asked: Asked) -> None:
        if len(library.provider.asked) == 3:
            library.books.append({"id": 2, "title": "moved to the end"})

    library.provider.before = moved
    found = library.read(library.resource("token", primary_key=["id"], columns={"id": "long"}))
    assert sorted(found.column("id")) == list(range(1, 31))
    assert dict(zip(found.column("id"), found.column("title"), strict=True))[2] == "moved to the end"


def test_columns_that_were_chosen_and_rows_that_were(library: Library) -> None:
    library.books = books(5)
    resource = library.resource("single", columns={"id": "long"})
    assert library.read(resource, columns=("title",)).table.schema.names == ["title"]
    found = library.read(resource, row_filters=(RowFilter("id", ">", 3),), type_overrides={"id": "double"})
    assert (found.kind("id"), found.column("id")) == (pa.float64(), [4, 5])
    assert library.read(resource, text_columns=("title", "id")).kind("id") == LONG


class TestCursors:
    """Time passes at 10 books a second, of which the newest may come first."""

    def books(self) -> list[dict[str, Any]]:
        return [{"id": number, "made": 1_000_000 + number // 10} for number in range(35)]

    def cursor(self, lower: int | None = None) -> CursorRange:
        text = None if lower is None else datetime.fromtimestamp(1_000_000 + lower, UTC).isoformat()
        return CursorRange("made", lower=text, include_nulls=lower is None)

    def resource(self, library: Library, paging: str, **incremental: Any) -> dict[str, Any]:
        return library.resource(
            paging,
            primary_key=["id"],
            columns={"id": "long", "made": "unix"},
            incremental={"field": "made", **incremental},
        )

    @pytest.mark.parametrize(
        ("how", "sent"),
        [
            ({}, "1000001"),
            ({"format": "iso8601"}, "1970-01-12T13:46:41Z"),
            ({"template": "ge:{value}"}, "ge:1000001"),
            ({"margin_seconds": 172_800}, "827202"),
        ],
    )
    def test_the_api_filters_from_a_little_before(self, library: Library, how: dict[str, Any], sent: str) -> None:
        library.books = self.books()
        resource = self.resource(library, "token", param="since", **{"format": "unix", **how})
        library.read(resource, cursor=self.cursor())
        assert all("since" not in asked.query for asked in library.provider.asked)
        library.provider.asked.clear()
        library.read(resource, cursor=self.cursor(2))
        assert {asked.query["since"] for asked in library.provider.asked} == {sent}

    def test_the_newest_first_ends_with_the_first_page_of_old_ones(self, library: Library) -> None:
        library.books = list(reversed(self.books()))
        resource = self.resource(library, "token", newest_first=True)
        found = library.read(resource, cursor=self.cursor(3))
        assert (found.column("id"), len(library.provider.asked)) == ([34, 33, 32, 31, 30], 2)
        assert len(library.read(resource, cursor=self.cursor()).column("id")) == 35

    def test_a_pass_that_was_cut_off_is_ended_from_where_it_began(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever the greatest cursor was by then, and also where the declaration changes meanwhile."""
        monkeypatch.setattr(reader, "BATCH_ROWS", 1)
        library.books = list(reversed(self.books()))
        resource = self.resource(library, "token", newest_first=True)
        first = library.read(resource, cursor=self.cursor())
        assert first.column("id") == list(range(34, 24, -1))
        second = library.read(resource, cursor=self.cursor(3), state=first.report.state)
        assert second.column("id") == list(range(24, 14, -1))
        changed = {**resource, "params": {"deep": True}}
        reads = read_all(library.config([changed]), "books")
        anew = library.read(changed, cursor=self.cursor(3), state=second.report.state)
        assert anew.column("id") == reads[0].column("id")
        assert anew.report.more

    @pytest.mark.parametrize("most", [1, 50_000])
    def test_what_changes_behind_the_pass_is_found_by_the_next_one(
        self, library: Library, monkeypatch: pytest.MonkeyPatch, most: int
    ) -> None:
        """Another object changes later, ahead of the pass, and so the greatest cursor is past the first one."""
        monkeypatch.setattr(reader, "BATCH_ROWS", most)
        library.books = self.books()
        now = int(datetime.now(UTC).timestamp())

        def change(asked: Asked) -> None:
            if len(library.provider.asked) == 3:
                library.books[2]["made"], library.books[31]["made"] = now + 100, now + 200

        library.provider.before = change
        config = library.config([self.resource(library, "token")])
        reads = read_all(config, "books", self.cursor())
        assert max(made for each in reads for made in each.column("made")).timestamp() == now + 200
        later = self.cursor(now + 200 - 1_000_000)
        found = read_all(config, "books", later, reads[-1].report.state)
        assert sorted(number for each in found for number in each.column("id")) == [2, 31]

    def test_a_quiet_table_leaves_nothing_to_look_back_for(self, library: Library) -> None:
        library.books = self.books()
        assert library.read(self.resource(library, "token"), cursor=self.cursor()).report.state is None

    def test_a_cursor_of_the_api_that_has_ended_begins_the_pass_anew(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "BATCH_ROWS", 1)
        library.books = self.books()
        config = library.config([self.resource(library, "token")])
        first = read(config, "books", self.cursor())
        library.provider.faults.append(Reply({"message": "no such cursor"}, 400))
        again = read(config, "books", self.cursor(0), state=first.report.state)
        assert again.column("id") == first.column("id")
        library.provider.faults.append(Reply({"message": "no such cursor"}, 400))
        with pytest.raises(SourceError, match=r'refuses the request for books.*"no such cursor"'):
            read(config, "books", self.cursor())

    def test_another_field_is_no_cursor(self, library: Library) -> None:
        with pytest.raises(ConfigurationError, match="is not read by the incremental field id"):
            library.read(self.resource(library, "token"), cursor=CursorRange("id"))


class TestParents:
    def resources(self, library: Library) -> list[dict[str, Any]]:
        for number in range(25):
            library.provider.routes[f"/v1/books/{number}/pages"] = self._pages
        library.books = [{"id": number, "title": f"book {number}"} for number in range(25)]
        child = {
            "name": "pages",
            "path": "books/{book_id}/pages",
            "records": "data",
            "paging": {"type": "cursor", "param": "after", "token": "next"},
            "parent": {"resource": "books", "include": {"book_id": "id", "book": "title"}},
            "primary_key": ["book_id", "n"],
            "columns": {"n": "long", "book_id": "long"},
        }
        return [library.resource("token"), child]

    def _pages(self, asked: Asked) -> Reply:
        """Of book 7 seven pages, two an answer."""
        count, first = int(asked.path.split("/")[3]) % 8, int(asked.query.get("after", 0))
        numbers = list(range(first, min(first + 2, count)))
        return Reply({"data": [{"n": n} for n in numbers], "next": first + 2 if first + 2 < count else None})

    def expected(self) -> list[tuple[int, int, str]]:
        return [(book, page, f"book {book}") for book in range(25) for page in range(book % 8)]

    def rows(self, reads: list[Any]) -> list[tuple[int, int, str]]:
        return [(row["book_id"], row["n"], row["book"]) for each in reads for row in each.rows()]

    def test_each_object_of_each_parent_comes_once(self, library: Library) -> None:
        config = library.config(self.resources(library))
        assert self.rows(read_all(config, "pages")) == self.expected()

    def test_a_pass_goes_on_within_a_parent(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reader, "BATCH_ROWS", 1)
        config = library.config(self.resources(library))
        reads = read_all(config, "pages")
        assert len(reads) > 30
        assert self.rows(reads) == self.expected()

    def test_parents_that_come_and_go_meanwhile_cost_no_object(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "BATCH_ROWS", 1)
        config = library.config(self.resources(library))
        reads = [read(config, "pages")]
        while reads[-1].report.more:
            if len(reads) == 4:
                library.books.pop(3)
            if len(reads) == 9:
                library.books.insert(0, {"id": 24, "title": "book 24"})
            reads.append(read(config, "pages", state=reads[-1].report.state))
        expected = {row for row in self.expected() if row[0] != 3}
        assert expected <= set(self.rows(reads))

    def test_a_value_stays_in_its_place_of_the_path(self, library: Library) -> None:
        resources = self.resources(library)
        library.books = [{"id": "../7?x=", "title": "t"}]
        with pytest.raises(SchemaChangedError, match="nothing at the path of pages"):
            read(library.config(resources), "pages")
        assert library.provider.asked[-1].path == "/v1/books/..%2F7%3Fx%3D/pages"

    def test_a_parent_without_the_value_is_named(self, library: Library) -> None:
        resources = self.resources(library)
        library.books = [{"title": "t"}]
        with pytest.raises(SourceError, match="An object of books has no id"):
            read(library.config(resources), "pages")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "The API answers with what is no JSON for books"),
        (b'{"data": 3}', "answers without a list of books"),
        (b'{"data": null}', "say records_optional where it leaves an empty list out"),
        (b'{"message": "no such thing"}', "check the base URL and the option records"),
        (b'{"data": [1]}', "has no list of objects"),
        (b'{"data": [], "error": "quota"}', 'says that the request for books failed: "quota"'),
    ],
)
def test_answers_that_are_none(library: Library, body: bytes, said: str) -> None:
    library.provider.routes["/v1/single"] = lambda asked: Reply(body)
    with pytest.raises(SourceError, match=said):
        library.read(library.resource("single", failed="error"))


@pytest.mark.parametrize(("body", "rows"), [({"data": None}, 0), ({}, 0), ({"data": {"id": 1}}, 1)])
def test_an_answer_without_a_list_is_an_empty_one_where_that_is_said(library: Library, body: Any, rows: int) -> None:
    library.provider.routes["/v1/single"] = lambda asked: Reply(body)
    assert library.read(library.resource("single", records_optional=True)).table.num_rows == rows


def test_a_resource_that_is_declared_no_longer(library: Library) -> None:
    with pytest.raises(SchemaChangedError, match="declares no resource gone any more"):
        read(library.config([library.resource("single")]), "gone")
