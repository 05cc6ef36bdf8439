"""Which values each kind of column takes, and that Postgres agrees with every one of them."""

from typing import Any

import pytest

from connectors.base import RowFilter
from connectors.errors import ConfigurationError
from connectors.filters import FilterError, check_filter
from tests.connectors.source import Source

TYPES = {
    "i2": "smallint",
    "i4": "int",
    "i8": "bigint",
    "n": "numeric",
    "n2": "numeric(5,2)",
    "f4": "real",
    "f8": "double precision",
    "b": "boolean",
    "t": "text",
    "v": "varchar(3)",
    "c": "char(4)",
    "na": "name",
    "d": "date",
    "ts": "timestamp",
    "tz": "timestamptz",
    "u": "uuid",
    "m": "mood",
    "j": "json",
    "jb": "jsonb",
    "a": "int[]",
    "y": "bytea",
    "dom": "positive",
    "o": "interval",
}
LONG = "x" * 63
ROW = {
    "i2": "7",
    "i4": "7",
    "i8": "9223372036854775807",
    "n": "0.1",
    "n2": "1.01",
    "f4": "0.1",
    "f8": "0.1",
    "b": "true",
    "t": "it's %_",
    "v": "abc",
    "c": "ab",
    "na": LONG,
    "d": "2024-02-29",
    "ts": "2024-02-29 12:00:00.000001",
    "tz": "2024-02-29 12:00:00+00",
    "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "m": "sad",
    "j": '{"a": 1}',
    "jb": '{"a": 1}',
    "a": "{1,2}",
    "y": "abc",
    "dom": "5",
    "o": "1 day",
}


@pytest.fixture(scope="module")
def things(postgres18: Any) -> Source:
    """Row 1 has a value in every column; row 2 has none."""
    source = Source(postgres18, postgres18.create_database())
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    source.execute(f"""
        CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE TABLE things (id int, {columns});
        INSERT INTO things (id) VALUES (2)""")
    with source.server.connect(source.database) as connection:
        values = ", ".join(f"CAST(%({name})s AS {kind})" for name, kind in TYPES.items())
        statement = f"INSERT INTO things (id, {', '.join(TYPES)}) VALUES (1, {values})"
        connection.execute(statement.encode(), ROW)
    return source


def kept(source: Source, column: str, op: str, value: Any) -> list[int]:
    return sorted(source.read("things", filters=(RowFilter(column, op, value),)).column("id"))


EQUAL: dict[str, list[Any]] = {
    "i2": [7, "7", 7.0, "7.0", "+7", "7e0"],
    "i4": [7, "7"],
    "i8": [2**63 - 1, str(2**63 - 1)],
    "n": [0.1, "0.1", "1e-1", ".1"],
    "n2": [1.01, "1.010"],
    "f4": [0.1, "0.1"],
    "f8": [0.1, "0.1"],
    "b": [True, "true"],
    "t": ["it's %_"],
    "v": ["abc"],
    "c": ["ab", "ab  "],
    "na": [LONG],
    "d": ["2024-02-29"],
    "ts": ["2024-02-29T12:00:00.000001", "2024-02-29 12:00:00.000001"],
    "tz": ["2024-02-29T12:00:00Z", "2024-02-29T14:00:00+02:00", "2024-02-29 12:00"],
    "u": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A11"],
    "m": ["sad"],
    "dom": [5],
    "o": ["1 day", "24 hours"],
}
UNEQUAL: dict[str, list[Any]] = {
    "i2": [8, 2**31, -(2**63), 7.5, "0.5"],
    "i4": [2**63 - 1, 7.000001],
    "i8": [0],
    "n": ["0.10000000000000000000000000000000001", 1e300, 10**30],
    "n2": ["1.011", 10**20],
    "f4": [0.2, 1e39, -1e300, 1e-300],
    "f8": [0.2],
    "b": [False, "false"],
    "t": ["'; DROP TABLE things; --", "", "\\", "IT'S %_"],
    "v": ["abcd"],
    "na": [LONG + "x", "a"],
    "d": ["0001-01-01", "9999-12-31"],
    "ts": ["2024-02-29"],
    "tz": ["2024-02-29T12:00:00+15:59", "2024-02-29"],
    "u": ["00000000-0000-0000-0000-000000000000"],
    "m": ["ok"],
    "dom": [-1],
}


def test_equality_of_every_type(things: Source) -> None:
    for column, values in EQUAL.items():
        for value in values:
            assert kept(things, column, "=", value) == [1], (column, value)
        assert kept(things, column, "!=", values[0]) == [], column
        assert kept(things, column, "in", values) == [1], column
        assert kept(things, column, ">=", values[0]) == kept(things, column, "<=", values[0]) == [1], column


def test_other_values_of_every_type(things: Source) -> None:
    for column, values in UNEQUAL.items():
        assert kept(things, column, "in", values) == [], column
        for value in values:
            assert kept(things, column, "!=", value) == [1], (column, value)
        below, above = kept(things, column, "<", values[0]), kept(things, column, ">", values[0])
        assert sorted(below + above) == [1], column


def test_nulls_satisfy_only_is_null(things: Source) -> None:
    for column in TYPES:
        assert kept(things, column, "is_null", None) == [2], column
        assert kept(things, column, "is_not_null", None) == [1], column


@pytest.mark.parametrize(
    ("column", "pattern"),
    [("t", "it's \\%\\_"), ("u", "a0ee%"), ("m", "s_d"), ("jb", '%"a"%'), ("j", '%"a"%'), ("d", "2024-%"), ("i4", "7")],
)
def test_patterns(things: Source, column: str, pattern: str) -> None:
    assert kept(things, column, "like", pattern) == [1]
    assert kept(things, column, "like", "no such") == []


REFUSED: dict[str, list[tuple[str, Any, str]]] = {
    "integer": [
        *[("=", value, "value") for value in ("many", "", True, [1], None, 2**63, "1e30", "NaN", "0x10", "1_0", "٣")],
        ("in", 1, "value"),
        ("in", [1, "x"], "value"),
        ("matches", 1, "op"),
        ("like", 1, "value"),
    ],
    "numeric": [("=", value, "value") for value in ("Infinity", "nan", "1e5000", "1e-5000", False, float("inf"))],
    "float": [("=", value, "value") for value in ("1e400", "1e-400", "x")],
    "boolean": [("=", value, "value") for value in (1, 0, "yes", "")],
    "text": [("=", value, "value") for value in (1, 1.5, True, None)] + [("like", "a\\", "value")],
    "date": [("=", value, "value") for value in ("2024-02-30", "infinity", "2024-01-01T00:00", "20240101", 20240101)],
    "timestamp": [
        ("=", value, "value") for value in ("2024-01-01T00:00Z", "now", "2024-13-01", "2024-W01-1", 1700000000)
    ],
    "timestamptz": [("=", value, "value") for value in ("2024-01-01T00:00+16:00", "yesterday", "0000-01-01")],
    "uuid": [("=", value, "value") for value in ("a0ee", "a0eebc99-9c0b4ef8bb6d-6bb9bd380a11", 1)],
    "enum": [("=", "glad", "value"), ("=", 1, "value"), ("in", ["sad", "glad"], "value")],
    "document": [("=", "{}", "op"), ("in", ["{}"], "op")],
    "array": [("=", "{1}", "op"), ("in", ["{1}"], "op"), ("like", "%", "op")],
    "binary": [("=", "abc", "op"), ("like", "%", "op")],
    "other": [("=", 1, "value")],
}


@pytest.mark.parametrize(
    ("kind", "op", "value", "part"),
    [(kind, *case) for kind, cases in REFUSED.items() for case in cases],
)
def test_what_a_column_does_not_take(kind: str, op: str, value: Any, part: str) -> None:
    with pytest.raises(FilterError) as raised:
        check_filter("v", kind, ("sad", "ok") if kind == "enum" else (), op, value)
    assert raised.value.part == part
    assert raised.value.message.endswith(".")


def test_what_only_postgres_can_tell_is_a_matter_of_settings(things: Source) -> None:
    with pytest.raises(ConfigurationError):
        kept(things, "o", "=", "no interval")


def test_the_kinds_that_discovery_gives(things: Source) -> None:
    found = {column.name: column for column in things.discover("things")["things"].columns}
    assert {name: found[name].kind for name in TYPES} == {
        **dict.fromkeys(("i2", "i4", "i8", "dom"), "integer"),
        **dict.fromkeys(("n", "n2"), "numeric"),
        **dict.fromkeys(("f4", "f8"), "float"),
        **dict.fromkeys(("t", "v", "c", "na"), "text"),
        **dict.fromkeys(("j", "jb"), "document"),
        "b": "boolean",
        "d": "date",
        "ts": "timestamp",
        "tz": "timestamptz",
        "u": "uuid",
        "m": "enum",
        "a": "array",
        "y": "binary",
        "o": "other",
    }
    assert found["m"].labels == ("sad", "ok", "happy")


def test_an_index_serves_the_filter(things: Source) -> None:
    """What is read is what the filter leaves: the constants have types that the index compares with."""
    from connectors.postgres.catalogue import tables
    from connectors.postgres.filters import filter_condition

    things.execute("""
        CREATE TABLE many AS SELECT n::int2 AS i2, n AS i4, n::int8 AS i8, n::text AS t, n::numeric AS num,
            timestamptz '2024-01-01' + n * interval '1 day' AS tz, date '2024-01-01' + n AS d, n::float4 AS f4,
            ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid AS u
        FROM generate_series(1, 20000) AS n""")
    wanted = {"i2": 7, "i4": 7, "i8": 7, "t": "7", "num": 7, "tz": "2024-01-08", "d": "2024-01-08", "f4": 7}
    wanted["u"] = "00000000-0000-0000-0000-000000000007"
    things.execute("; ".join(f"CREATE INDEX ON many ({name})" for name in wanted) + "; ANALYZE many")
    with things.server.connect(things.database) as connection:
        connection.execute("SET enable_seqscan = off")
        (table,) = tables(connection, "public", [("public", "many")])
        for name, value in wanted.items():
            condition = filter_condition(table, RowFilter(name, "=", value))
            plan = connection.execute(f"EXPLAIN SELECT * FROM many AS t WHERE {condition}".encode()).fetchall()
            assert any("Index Cond" in line for (line,) in plan), (name, plan)
