"""Reads by cursor, with filters and of unusual shape, over both drivers."""

import json
import random
from typing import Any

import pytest

from connectors.base import CursorRange, ReadRequest, RowFilter
from connectors.cursor import encode
from connectors.errors import ConfigurationError, SchemaChangedError, SourceError
from connectors.postgres import reader
from connectors.postgres.fast import FastSession
from connectors.postgres.narrow import NarrowSession
from tests.connectors.reading import check_parts, read_in_parts
from tests.connectors.source import POSTGRES, Source

DRIVERS = pytest.mark.parametrize("narrow", [False, True], ids=["fast", "narrow"])


@DRIVERS
@pytest.mark.parametrize("indexed", [True, False])
def test_ties_and_nulls_of_a_cursor(source: Source, narrow: bool, indexed: bool) -> None:
    source.execute("""
        CREATE TABLE events (id int, at timestamptz);
        INSERT INTO events SELECT n, CASE WHEN n % 10 > 0 THEN '2024-01-01'::timestamptz + (n / 30) * interval '1s' END
        FROM generate_series(0, 999) AS n""")
    if indexed:
        source.execute("CREATE INDEX ON events (at)")

    parts = read_in_parts(lambda cursor: source.read("events", cursor=cursor, narrow=narrow), "at", 100)

    assert len(parts) > 5
    assert max(check_parts(parts, "at", range(1000))) <= 27
    left_out = {("at", "no cursor value: read by the first load only"): 100}
    assert parts[0].report.warnings == []
    assert parts[1].warnings() == (left_out if indexed else {})


@pytest.mark.parametrize(
    ("type_name", "values"),
    [
        ("int2", ["-5", "0", "7"]),
        ("int4", ["-2147483648", "2147483647"]),
        ("int8", ["-9223372036854775808", "1", "9223372036854775807"]),
        ("numeric(20,3)", ["-1.5", "1.499", "1.5", "1.501"]),
        ("numeric", ["0.000000000000000001", "1", "99999999999999999999"]),
        ("date", ["0001-01-01", "2024-02-29", "9999-12-31"]),
        ("timestamp", ["0001-01-01", "2024-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"]),
        ("timestamptz", ["0001-01-01 00:00+00", "2024-01-01 00:00:00.000001+02", "9999-12-31 23:59:59.999999+00"]),
    ],
)
def test_a_cursor_of_each_type_begins_where_it_stood(source: Source, type_name: str, values: list[str]) -> None:
    rows = ", ".join(f"('{value}')" for value in values)
    source.execute(f"CREATE TABLE events (v {type_name}); INSERT INTO events VALUES {rows}")
    stored = source.read("events", cursor=CursorRange("v")).column("v")
    assert len(stored) == len(values)
    for place, value in enumerate(stored):
        rest = source.read("events", cursor=CursorRange("v", lower=encode(value)))
        assert rest.column("v") == stored[place:]


@DRIVERS
def test_cursor_values_that_are_none_to_the_lake_count_as_nulls(source: Source, narrow: bool) -> None:
    source.execute("""
        CREATE TABLE events (id int, at timestamp, n numeric(5,2));
        INSERT INTO events VALUES (1, 'infinity', 1), (2, '-infinity', 2), (3, '0044-03-15 BC', 3), (4, NULL, 'NaN'),
            (5, '2024-01-01', NULL), (6, '99999-01-01', 6)""")
    by_time = source.read("events", cursor=CursorRange("at", include_nulls=True, max_rows=1), narrow=narrow)
    assert sorted(by_time.column("id")[:-1]) == [1, 2, 3, 4, 6]
    assert by_time.column("id")[-1] == 5
    assert not by_time.report.more
    assert source.read("events", cursor=CursorRange("at"), narrow=narrow).column("id") == [5]
    by_number = source.read("events", cursor=CursorRange("n", include_nulls=True, max_rows=2), narrow=narrow)
    assert sorted(by_number.column("id")[:2]) == [4, 5]
    assert by_number.column("id")[2:] == [1, 2]
    assert by_number.report.more
    assert by_number.warnings()["n", "NaN"] == 1


def test_parts_that_are_exactly_full_end_the_read(source: Source) -> None:
    source.execute("CREATE TABLE events (id int PRIMARY KEY); INSERT INTO events SELECT generate_series(1, 10)")
    assert source.read("events", cursor=CursorRange("id", max_rows=10)).report.more is False
    assert source.read("events", cursor=CursorRange("id", max_rows=9)).report.more is True
    nothing = source.read("events", cursor=CursorRange("id", lower="11", max_rows=9))
    assert (nothing.column("id"), nothing.report.more) == ([], False)


def test_unbounded_numbers_are_judged_by_the_rows_of_the_part(source: Source) -> None:
    source.execute(
        "CREATE TABLE events (id int PRIMARY KEY, n numeric); INSERT INTO events VALUES (1,1),(2,2),(3,1e30)"
    )
    assert str(source.read("events", cursor=CursorRange("id", max_rows=1)).table.schema.field("n").type) == "string"
    part = source.read("events", cursor=CursorRange("id", lower="1", max_rows=2))
    assert str(part.table.schema.field("n").type) == "decimal128(38, 18)"
    assert part.column("id") == [1, 2]


@DRIVERS
def test_views_and_partitioned_tables_by_cursor(source: Source, narrow: bool) -> None:
    source.execute("""
        CREATE TABLE parts (id int, n numeric(5,1)) PARTITION BY RANGE (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (50);
        CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (50) TO (100);
        INSERT INTO parts SELECT n, n FROM generate_series(0, 99) AS n;
        CREATE VIEW seen AS SELECT id * 2 AS id, n FROM parts;
        CREATE MATERIALIZED VIEW stored AS SELECT * FROM seen;
        ANALYZE""")
    assert source.read("parts", cursor=CursorRange("id", "45"), narrow=narrow).column("id") == list(range(45, 100))
    for view in ("seen", "stored"):
        assert source.read(view, cursor=CursorRange("id", "180"), narrow=narrow).column("id") == list(
            range(180, 200, 2)
        )


HOSTILE = [
    "it's",
    "'; DROP TABLE things; --",
    "\\",
    "\\'",
    "$1",
    "%s",
    "$$x$$",
    'q"q',
    "ünï🐘",
    "a\nb",
    "",
    "100%",
    "?",
]


@DRIVERS
def test_filters_take_any_string(source: Source, narrow: bool) -> None:
    source.execute("CREATE TABLE things (id int, v text)")
    with source.server.connect(source.database) as connection:
        connection.cursor().executemany("INSERT INTO things VALUES (%s, %s)", list(enumerate(HOSTILE)))
    for number, value in enumerate(HOSTILE):
        assert source.read("things", filters=(RowFilter("v", "=", value),), narrow=narrow).column("id") == [number]
    everything = RowFilter("v", "in", HOSTILE)
    assert len(source.read("things", filters=(everything,), narrow=narrow).column("id")) == len(HOSTILE)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([RowFilter("n", "=", 2)], [2]),
        ([RowFilter("n", "!=", 2)], [1, 3]),
        ([RowFilter("n", "<", "2")], [1]),
        ([RowFilter("n", "<=", 2.0)], [1, 2]),
        ([RowFilter("n", ">", 1.5)], [2, 3]),
        ([RowFilter("p", ">", 1.005)], [2, 3]),
        ([RowFilter("p", ">=", "1.01")], [2, 3]),
        ([RowFilter("n", "in", [1, "3", 9])], [1, 3]),
        ([RowFilter("n", "in", [])], []),
        ([RowFilter("n", "is_null")], [4]),
        ([RowFilter("n", "is_not_null")], [1, 2, 3]),
        ([RowFilter("v", "like", "ab%")], [1, 2]),
        ([RowFilter("v", "=", "abcd")], []),
        ([RowFilter("u", "like", "a0ee%")], [1]),
        ([RowFilter("b", "=", True)], [1]),
        ([RowFilter("at", ">=", "2024-01-02T00:00:00+00:00"), RowFilter("n", "<", 3)], [2]),
        ([RowFilter("c", "=", "x")], [1]),
    ],
)
def test_filters(source18: Source, filters: list[RowFilter], ids: list[int]) -> None:
    source18.execute("""
        CREATE TABLE things (id int, n int, p numeric(5,2), v varchar(3), u uuid, b boolean, at timestamptz, c char(2));
        INSERT INTO things VALUES
            (1, 1, 1.00, 'abc', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, '2024-01-01Z', 'x'),
            (2, 2, 1.01, 'abd', NULL, false, '2024-01-02Z', 'y'),
            (3, 3, 9.99, NULL, NULL, NULL, '2024-01-03Z', 'y '), (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""")
    assert sorted(source18.read("things", filters=tuple(filters)).column("id")) == ids


@DRIVERS
@pytest.mark.parametrize(
    "row_filter",
    [
        RowFilter("n", "=", "many"),
        RowFilter("n", "=", 10**30),
        RowFilter("n", "=", [1]),
        RowFilter("n", "in", 1),
        RowFilter("n", "matches", 1),
        RowFilter("n", "=", "1\0"),
        RowFilter("body", "=", "{}"),
    ],
)
def test_filters_that_make_no_sense(source18: Source, row_filter: RowFilter, narrow: bool) -> None:
    source18.execute("CREATE TABLE things (n int, body json)")
    with pytest.raises(ConfigurationError):
        source18.read("things", filters=(row_filter,), narrow=narrow)


@DRIVERS
def test_an_empty_table_has_its_schema(source: Source, narrow: bool) -> None:
    source.execute("CREATE TABLE things (id int, n numeric, at date)")
    for cursor in (None, CursorRange("at", include_nulls=True, max_rows=5)):
        result = source.read("things", cursor=cursor, narrow=narrow)
        assert result.batches == []
        assert result.table.schema.names == ["id", "n", "at"]
        assert result.report.more is False


@DRIVERS
def test_three_hundred_columns(source: Source, narrow: bool) -> None:
    kinds = ["int", "text", "numeric(9,2)", "timestamptz", "boolean", "float8"]
    values = ["7", "'x'", "1.25", "'2024-01-01Z'", "true", "0.5"]
    columns = ", ".join(f"column_{number} {kinds[number % 6]}" for number in range(300))
    row = ", ".join(values[number % 6] for number in range(300))
    source.execute(f"CREATE TABLE wide ({columns}); INSERT INTO wide SELECT {row} FROM generate_series(1, 3000)")
    result = source.read("wide", narrow=narrow)
    assert result.table.num_rows == 3000
    expected = source.rows("SELECT * FROM wide LIMIT 1")[0]
    assert {tuple(row.values()) for row in result.table.to_pylist()} == {expected}


@DRIVERS
def test_values_of_ten_megabytes(source: Source, narrow: bool) -> None:
    source.execute("""
        CREATE TABLE big (id int, t text, b bytea);
        INSERT INTO big SELECT n, repeat(chr(96 + n), 10000000), convert_to(repeat(n::text, 10000000), 'utf8')
        FROM generate_series(1, 6) AS n""")
    result = source.read("big", batch_bytes=32 * 2**20, narrow=narrow)
    assert max(batch.nbytes for batch in result.batches) <= 32 * 2**20
    assert dict(zip(result.column("id"), result.column("t"), strict=True)) == {
        n: chr(96 + n) * 10_000_000 for n in range(1, 7)
    }
    assert set(result.column("b")) == {str(n).encode() * 10_000_000 for n in range(1, 7)}


def test_both_drivers_agree_on_many_rows(source: Source) -> None:
    source.execute("""
        CREATE TABLE many AS SELECT n::int8 AS id, random() AS f, (random() * 1e6)::numeric(12,4) AS n,
            md5(n::text) AS t,
            now() + n * interval '1.000001s' AS at, CASE WHEN n % 7 = 0 THEN 'NaN' ELSE n * 0.1 END::numeric(20,5) AS m,
            gen_random_uuid() AS u, NULL::date AS d
        FROM generate_series(1, 40000) AS n""")
    by_id = CursorRange("id", include_nulls=True)
    fast = source.read("many", cursor=by_id)
    narrow = source.read("many", cursor=by_id, narrow=True, batch_bytes=2**20)
    assert fast.table.equals(narrow.table)
    assert fast.report == narrow.report
    assert fast.warnings() == {("m", "NaN"): 40000 // 7}
    assert max(batch.nbytes for batch in narrow.batches) <= 2**20
    sample = random.Random(7).sample(range(1, 40001), 50)  # noqa: S311
    rows = {row["id"]: row for row in fast.table.to_pylist()}
    for row in source.rows(
        f"SELECT id, f, n, t, at, NULLIF(m, 'NaN'), u::text, d FROM many WHERE id IN {tuple(sample)}"
    ):
        assert tuple(rows[row[0]].values()) == row


def test_the_estimate_of_rows(source: Source) -> None:
    source.execute("CREATE TABLE things AS SELECT generate_series(1, 500) AS id; ANALYZE things")
    with POSTGRES.read(source.config(), ReadRequest("things", "r")) as read:
        assert read.row_estimate == 500
    with POSTGRES.read(source.config(), ReadRequest("things", "r", cursor=CursorRange("id", "400"))) as read:
        assert read.row_estimate is None


def test_a_table_that_is_gone(source18: Source) -> None:
    with pytest.raises(SchemaChangedError, match="gone is gone"):
        source18.read("gone")


@DRIVERS
def test_a_view_that_fails_at_its_rows(source18: Source, narrow: bool) -> None:
    source18.execute("CREATE VIEW broken AS SELECT 1 / (n - 3) AS q FROM generate_series(1, 5) AS n")
    with pytest.raises(SourceError) as caught:
        source18.read("broken", narrow=narrow)
    assert "zero" not in caught.value.message
    assert "could not compute the rows of broken (SQLSTATE 22012)" in caught.value.message
    assert not caught.value.retryable


def test_json_stays_readable(source18: Source) -> None:
    source18.execute("""CREATE TABLE docs (d jsonb[]); INSERT INTO docs VALUES (array['{"a": 1}', '[2]']::jsonb[])""")
    (text,) = source18.read("docs").column("d")
    assert json.loads(text) == [{"a": 1}, [2]]


def test_only_what_looks_small_is_read_by_the_narrow_driver(source18: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "FEW_VALUES", 10_000)
    opened: list[str] = []
    for driver in (FastSession, NarrowSession):

        def spied(*arguments: Any, driver: Any = driver, opening: Any = driver.open) -> Any:
            opened.append(driver.__name__)
            return opening(*arguments)

        monkeypatch.setattr(driver, "open", spied)
    source18.execute("""
        CREATE TABLE small (id int PRIMARY KEY, v text);
        INSERT INTO small SELECT n, 'v' FROM generate_series(1, 1000) n;
        CREATE TABLE large (id int PRIMARY KEY, v text);
        INSERT INTO large SELECT n, 'v' FROM generate_series(1, 50000) n;
        ANALYZE""")
    assert (source18.read("small").table.num_rows, source18.read("large").table.num_rows) == (1000, 50_000)
    newest = CursorRange("id", "49990", include_nulls=False)
    assert source18.read("large", cursor=newest).column("id") == list(range(49_990, 50_001))
    # The planner was last told of a small table, but sees how large it has become since.
    source18.execute("INSERT INTO small SELECT n, 'v' FROM generate_series(1001, 40000) n")
    assert source18.read("small").table.num_rows == 40_000
    assert opened == ["NarrowSession", "FastSession", "NarrowSession", "FastSession"]
