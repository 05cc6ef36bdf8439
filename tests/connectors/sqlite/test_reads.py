"""Reads by cursor, with filters and of unusual shape."""

import random
from datetime import datetime
from typing import Any

import pytest

from connectors.base import CursorRange, ReadRequest, RowFilter
from connectors.cursor import encode
from connectors.errors import ConfigurationError, SchemaChangedError
from tests.connectors.source import ReadResult
from tests.connectors.sqlite.files import SQLITE, SqliteFile

LEFT_OUT = "no cursor value: read by the first load only"


def read_in_parts(file: SqliteFile, field: str, max_rows: int, **request: Any) -> list[ReadResult]:
    """As a first load does it: each part begins at the last one's edge."""
    parts: list[ReadResult] = []
    lower = None
    while not parts or parts[-1].report.more:
        cursor = CursorRange(field, lower, include_nulls=lower is None, max_rows=max_rows)
        parts.append(file.read("events", cursor=cursor, **request))
        lower = encode(next(value for value in reversed(parts[-1].column(field)) if value is not None))
    return parts


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("field", ["n", "day", "at"])
def test_ties_and_nulls_of_a_cursor(file: SqliteFile, field: str, indexed: bool) -> None:
    file.execute("CREATE TABLE events (id INT, n INT, day DATE, at DATETIME)")
    forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.000"]
    rows: list[tuple[Any, ...]] = []
    for number in range(1000):
        time = datetime(2024, 1, 1 + number // 300, 23, 59 if number % 300 > 150 else 58, number // 30 % 60)  # noqa: DTZ001
        values = (number // 30, time.date().isoformat(), time.strftime(random.Random(number).choice(forms)))  # noqa: S311
        rows.append((number, *(values if number % 10 else (None, None, None))))
    random.Random(1).shuffle(rows)  # noqa: S311
    file.insert("events", rows)
    if indexed:
        file.execute(f"CREATE INDEX by_cursor ON events ({field})")

    parts = read_in_parts(file, field, 100)

    assert len(parts) > 2
    seen: set[int] = set()
    for number, part in enumerate(parts):
        values = part.column(field)
        assert [value is None for value in values] == sorted((value is None for value in values), reverse=True)
        present = [value for value in values if value is not None]
        assert present == sorted(present)
        ids = set(part.column("id"))
        assert len(ids) == len(values)
        again = {row["id"] for row in part.table.to_pylist() if row[field] == present[0]} if number else set()
        assert ids & seen == again, "only rows at the edge come twice"
        seen |= ids
    assert seen == set(range(1000))
    assert parts[0].report.warnings == []
    assert parts[1].warnings() == ({(field, LEFT_OUT): 100} if indexed else {})


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("INTEGER", [-(2**63), -5, 0, 7, 2**63 - 1]),
        ("INTEGER PRIMARY KEY", [-(2**63), 7, 2**63 - 1]),
        ("DATE", ["0001-01-01", "2024-02-29", "9999-12-31"]),
        (
            "TIMESTAMP",
            ["0001-01-01", "2024-01-01T10:00", "2024-01-01 10:00:00.000001", "2024-01-01T10:00:00.5",
             "2024-01-01 10:01", "9999-12-31T23:59:59.999999"],
        ),
    ],
)  # fmt: skip
def test_a_cursor_of_each_type_begins_where_it_stood(file: SqliteFile, declared: str, values: list[Any]) -> None:
    file.execute(f"CREATE TABLE events (v {declared})")
    file.insert("events", [(value,) for value in values])
    stored = file.read("events", cursor=CursorRange("v")).column("v")
    assert len(stored) == len(values)
    for place, value in enumerate(stored):
        rest = file.read("events", cursor=CursorRange("v", lower=encode(value)))
        assert rest.column("v") == stored[place:]


def test_one_time_in_several_spellings_is_one_edge(file: SqliteFile) -> None:
    same = [
        "2024-01-01",
        "2024-01-01T00:00",
        "2024-01-01 00:00:00",
        "2024-01-01T00:00:00.0",
        "2024-01-01 00:00:00.000000",
    ]
    file.execute("CREATE TABLE events (at DATETIME, id INT)")
    file.insert("events", [(text, number) for number, text in enumerate([*same, "2023-12-31T23:59:59.999999"])])
    for lower in ("2024-01-01T00:00:00.000000", "2023-12-31T23:59:59.999999"):
        ids = file.read("events", cursor=CursorRange("at", lower)).column("id")
        assert sorted(ids) == ([0, 1, 2, 3, 4] if lower.startswith("2024") else [0, 1, 2, 3, 4, 5])
    part = file.read("events", cursor=CursorRange("at", max_rows=2))
    assert (part.column("id")[0], len(part.column("id")), part.report.more) == (5, 6, False)


@pytest.mark.parametrize("lower", [None, "resumed"])
@pytest.mark.parametrize(
    ("declared", "stray"),
    [
        ("INT", "n/a"), ("INT", 2.5), ("INT", 1e300), ("INT", b"\x00"),
        ("DATETIME", 1709164800), ("DATETIME", 2460369.5), ("DATETIME", "soon"), ("DATETIME", b"\x00"),
        ("DATETIME", ""), ("DATETIME", "2024-06-01 10:00:00Z"), ("DATE", "2024-06-01 10:00"), ("DATE", 5),
    ],
)  # fmt: skip
def test_values_that_have_no_place_in_the_order(file: SqliteFile, declared: str, stray: Any, lower: str | None) -> None:
    file.execute(f"CREATE TABLE events (id INTEGER PRIMARY KEY, v {declared})")
    first = {"INT": "1", "DATE": "2024-01-01", "DATETIME": "2024-01-01T00:00:00.000000"}[declared]
    file.insert("events", [(1, first.replace("T", " ")), (2, stray)])
    with pytest.raises(SchemaChangedError, match="choose another field"):
        file.read("events", cursor=CursorRange("v", lower and first, include_nulls=lower is None))


def test_parts_that_are_exactly_full_end_the_read(file: SqliteFile) -> None:
    file.execute("CREATE TABLE events (id INTEGER PRIMARY KEY)")
    file.insert("events", [(number,) for number in range(1, 11)])
    assert file.read("events", cursor=CursorRange("id", max_rows=10)).report.more is False
    assert file.read("events", cursor=CursorRange("id", max_rows=9)).report.more is True
    nothing = file.read("events", cursor=CursorRange("id", lower="11", max_rows=9))
    assert (nothing.column("id"), nothing.report.more) == ([], False)


def test_views_by_cursor(file: SqliteFile) -> None:
    file.execute("""
        CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME);
        CREATE VIEW seen AS SELECT id, at FROM t WHERE id > 2""")
    file.insert("t", [(number, f"2024-01-0{number} 00:00") for number in range(1, 6)])
    assert file.read("seen", cursor=CursorRange("at", "2024-01-04T00:00:00")).column("id") == [4, 5]


def test_a_cursor_that_changed_its_type(file: SqliteFile) -> None:
    file.execute("CREATE TABLE events (id INT, at DATETIME, body TEXT, x)")
    for field, lower in (("at", "17"), ("at", "2024-01-01T00:00:00+00:00"), ("id", "2024-01-01")):
        with pytest.raises(SchemaChangedError, match="resync"):
            file.read("events", cursor=CursorRange(field, lower=lower))
    for field in ("body", "x"):
        with pytest.raises(SchemaChangedError, match="choose another field"):
            file.read("events", cursor=CursorRange(field))
    with pytest.raises(SchemaChangedError, match="field gone"):
        file.read("events", cursor=CursorRange("gone"))
    with pytest.raises(ConfigurationError, match="must be among the columns"):
        file.read("events", cursor=CursorRange("id"), columns=("at",))


HOSTILE = [
    "it's",
    "'; DROP TABLE things; --",
    "\\",
    "?",
    "$1",
    "%s",
    'q"q',
    "ünï🐘",
    "a\nb",
    "",
    "100%",
    "a\0b",
    "[x]*",
]


def test_filters_take_any_string(file: SqliteFile) -> None:
    file.execute("CREATE TABLE things (id INT, v TEXT)")
    file.insert("things", enumerate(HOSTILE))
    for number, value in enumerate(HOSTILE):
        assert file.read("things", filters=(RowFilter("v", "=", value),)).column("id") == [number]
    assert len(file.read("things", filters=(RowFilter("v", "in", HOSTILE),)).column("id")) == len(HOSTILE)
    many = RowFilter("v", "in", [*(str(number) for number in range(5000)), "100%"])
    assert file.read("things", filters=(many,)).column("id") == [10]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([RowFilter("n", "=", 2)], [2]),
        ([RowFilter("n", "!=", 2)], [1, 3]),
        ([RowFilter("n", "<", "2")], [1]),
        ([RowFilter("n", ">", 1.5)], [2, 3]),
        ([RowFilter("n", "=", 2.5)], []),
        ([RowFilter("n", "in", [1, "3", 9, 2.5])], [1, 3]),
        ([RowFilter("n", "in", [])], []),
        ([RowFilter("big", ">", "9007199254740992.5")], [2, 3]),
        ([RowFilter("big", "<", "9007199254740992.5")], [1]),
        ([RowFilter("big", "=", "9007199254740992.5")], []),
        ([RowFilter("big", "!=", "9007199254740992.5")], [1, 2, 3]),
        ([RowFilter("big", "=", 2**53 + 1)], [2]),
        ([RowFilter("p", ">", 1.005)], [2, 3]),
        ([RowFilter("p", "=", "1.01")], [2]),
        ([RowFilter("p", "<", "1e400")], [1, 2, 3]),
        ([RowFilter("v", "like", "ab%")], [1, 2]),
        ([RowFilter("v", "like", "AB%")], []),
        ([RowFilter("v", "like", r"a\%_")], [3]),
        ([RowFilter("v", "like", "*")], []),
        ([RowFilter("d", ">=", "2024-01-02")], [2, 3]),
        ([RowFilter("at", "=", "2024-01-02")], [2]),
        ([RowFilter("at", ">", "2024-01-01T00:00:00")], [2, 3]),
        ([RowFilter("at", "in", ["2024-01-01", "2024-01-03 10:00:00.5"])], [1, 3]),
        ([RowFilter("x", "=", "one")], [1]),
        ([RowFilter("x", "=", "2.0")], [2]),
        ([RowFilter("x", "in", ["two", "2", "3"])], [2, 3]),
        ([RowFilter("x", "!=", "2")], [1, 3]),
        ([RowFilter("x", ">", "1.5")], [1, 2, 3]),
        ([RowFilter("x", "<", "1.5")], []),
        ([RowFilter("b", "is_null")], [2, 3, 4]),
        ([RowFilter("at", ">=", "2024-01-02T00:00:00"), RowFilter("n", "<", 3)], [2]),
    ],
)
def test_filters(file: SqliteFile, filters: list[RowFilter], ids: list[int]) -> None:
    file.execute("CREATE TABLE things (id INT, n INT, big INT, p DECIMAL(5,2), v TEXT, d DATE, at DATETIME, x, b BLOB)")
    file.insert(
        "things",
        [
            (1, 1, 2**53, 1.0, "abc", "2024-01-01", "2024-01-01 00:00", "one", b"\x01"),
            (2, 2, 2**53 + 1, 1.01, "abd", "2024-01-02", "2024-01-02T00:00:00.000", 2, None),
            (3, 3, 2**53 + 2, 9.99, "a%b", "2024-01-03", "2024-01-03 10:00:00.5", "3", None),
            (4, *[None] * 8),
        ],
    )
    assert file.read("things", filters=tuple(filters)).column("id") == ids


@pytest.mark.parametrize(
    "row_filter",
    [
        RowFilter("n", "=", "many"),
        RowFilter("n", "=", 10**30),
        RowFilter("n", "in", 1),
        RowFilter("n", "matches", 1),
        RowFilter("v", "=", "\ud800"),
        RowFilter("b", "=", "x"),
    ],
)
def test_filters_that_make_no_sense(file: SqliteFile, row_filter: RowFilter) -> None:
    file.execute("CREATE TABLE things (n INT, v TEXT, b BLOB)")
    with pytest.raises(ConfigurationError):
        file.read("things", filters=(row_filter,))


def test_a_views_own_like_keeps_its_meaning(file: SqliteFile) -> None:
    file.execute("""
        CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('Abc'), ('abd'), ('x');
        CREATE VIEW seen AS SELECT v FROM t WHERE v LIKE 'a%'""")
    assert file.read("seen").column("v") == ["Abc", "abd"]
    assert file.read("seen", filters=(RowFilter("v", "like", "a%"),)).column("v") == ["abd"]


def test_columns(file: SqliteFile) -> None:
    file.execute("CREATE TABLE things (a INT, b INT, c INT); INSERT INTO things VALUES (1, 2, 3), (4, 5, 6)")
    read = file.read("things", columns=("c", "d", "a"))
    assert read.table.to_pylist() == [{"a": 1, "c": 3}, {"a": 4, "c": 6}]
    assert read.warnings() == {("d", "the source no longer has this column"): 2}
    with pytest.raises(SchemaChangedError, match="any of the columns"):
        file.read("things", columns=("d", "e"))
    with pytest.raises(SchemaChangedError, match="row filter"):
        file.read("things", filters=(RowFilter("d", "=", 1),))
    with pytest.raises(SchemaChangedError, match="nothing is gone"):
        file.read("nothing")


def test_two_thousand_columns(file: SqliteFile) -> None:
    kinds = ["INT", "TEXT", "NUMERIC", "DATETIME", ""]
    file.execute(f"CREATE TABLE wide ({', '.join(f'column_{number} {kinds[number % 5]}' for number in range(2000))})")
    row = tuple([7, "x", 0.5, "2024-01-01", "open"][number % 5] for number in range(2000))
    file.insert("wide", [row] * 20)
    found = file.read("wide")
    expected = [7, "x", 0.5, datetime(2024, 1, 1), "open"] * 400  # noqa: DTZ001
    assert [list(each.values()) for each in found.table.to_pylist()] == [expected] * 20


@pytest.mark.parametrize("narrow", [False, True])
def test_batches_hold_no_more_than_they_may(file: SqliteFile, narrow: bool) -> None:
    file.execute("CREATE TABLE big (id INTEGER PRIMARY KEY, t TEXT, b BLOB)")
    sizes = [10, 100_000, 10, 3_000_000, *[1000] * 500]
    file.insert("big", [(number, chr(97 + number % 26) * size, b"\xff" * size) for number, size in enumerate(sizes)])
    found = file.read("big", batch_bytes=2**20, narrow=narrow)
    assert all(batch.nbytes <= 2**20 or batch.num_rows == 1 for batch in found.batches)
    assert [len(text) for text in found.column("t")] == sizes
    assert found.column("b") == [b"\xff" * size for size in sizes]
    assert {text[0] for text in found.column("t")[::26]} == {"a"}


def test_many_rows_are_the_same_by_either_way(file: SqliteFile) -> None:
    file.execute("CREATE TABLE many (id INTEGER PRIMARY KEY, f REAL, n NUMERIC, t TEXT, at DATETIME, x)")
    chance = random.Random(7)  # noqa: S311
    rows = [
        (
            number,
            chance.random(),
            chance.choice([number, number / 7, None]),
            f"{chance.random()}" * chance.randrange(4),
            f"2024-01-{chance.randrange(1, 29):02} 10:00:{chance.randrange(60):02}",
            chance.choice([number, None]),
        )
        for number in range(30_000)
    ]
    file.insert("many", rows)
    wide, narrow = file.read("many"), file.read("many", narrow=True)
    assert wide.table.equals(narrow.table)
    as_read = [(*row[:4], datetime.fromisoformat(row[4]), row[5]) for row in rows]
    assert [tuple(row.values()) for row in wide.table.to_pylist()] == as_read


def test_the_estimate_of_rows(file: SqliteFile) -> None:
    file.execute("CREATE TABLE things (id INTEGER PRIMARY KEY)")
    file.insert("things", [(number,) for number in range(500)])
    file.execute("CREATE INDEX other ON things (id); ANALYZE")
    for cursor, expected in ((None, 500), (CursorRange("id", "400"), None)):
        with SQLITE.read(file.config(), ReadRequest("things", "r", cursor=cursor)) as read:
            assert read.row_estimate == expected


def test_an_empty_table_has_its_schema(file: SqliteFile) -> None:
    file.execute("CREATE TABLE things (id INT, n NUMERIC, at DATETIME, x)")
    for cursor in (None, CursorRange("at", include_nulls=True, max_rows=5)):
        result = file.read("things", cursor=cursor)
        assert result.batches == []
        assert result.table.schema.names == ["id", "n", "at", "x"]
        assert result.report.more is False
