"""The type contract, value by value, over both drivers."""

import math
import struct
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import CursorRange
from connectors.errors import SchemaChangedError
from tests.connectors.source import Source

DIGITS_38 = "9" * 38
FIRST = datetime(1, 1, 1)  # noqa: DTZ001
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001

# Type of the column, its Arrow type, and what each SQL literal must become.
TYPES: list[tuple[str, pa.DataType, dict[str, Any]]] = [
    ("boolean", pa.bool_(), {"true": True, "false": False}),
    ("int2", pa.int16(), {"-32768": -32768, "32767": 32767}),
    ("int4", pa.int32(), {"-2147483648": -(2**31), "2147483647": 2**31 - 1}),
    ("int8", pa.int64(), {"-9223372036854775808": -(2**63), "9223372036854775807": 2**63 - 1}),
    ("oid", pa.int64(), {"4294967295": 2**32 - 1}),
    ("float4", pa.float32(), {"'-Infinity'": -math.inf, "'NaN'": math.nan, "3.4028235e38": 3.4028234663852886e38}),
    ("float8", pa.float64(), {"'Infinity'": math.inf, "'NaN'": math.nan, "0.1": 0.1, "5e-324": 5e-324, "'-0'": -0.0}),
    ("numeric(12,2)", pa.decimal128(12, 2), {"0": Decimal("0.00"), "-1234567890.12": Decimal("-1234567890.12")}),
    ("numeric(4,1)", pa.decimal128(4, 1), {"999.9": Decimal("999.9"), "'NaN'": None}),
    ("numeric(9,3)", pa.decimal128(9, 3), {"-0.001": Decimal("-0.001")}),
    ("numeric(18,0)", pa.decimal128(18, 0), {"9" * 18: Decimal("9" * 18)}),
    ("numeric(19,19)", pa.decimal128(19, 19), {"0.0000000000000000001": Decimal("1E-19")}),
    ("numeric(38,0)", pa.decimal128(38, 0), {DIGITS_38: Decimal(DIGITS_38), "-" + DIGITS_38: Decimal("-" + DIGITS_38)}),
    ("numeric(38,38)", pa.decimal128(38, 38), {"0." + DIGITS_38: Decimal("0." + DIGITS_38)}),
    ("numeric", pa.decimal128(38, 18), {"1.5": Decimal("1.5"), "'NaN'": None, "1e-18": Decimal("1e-18")}),
    ("numeric(60,2)", pa.decimal128(38, 18), {"12345678901234567890.12": Decimal("12345678901234567890.12")}),
    (
        "text",
        pa.string(),
        {"''": "", "'Ünïcode 🐘'": "Ünïcode 🐘", r"e'a\nb\t\\'": "a\nb\t\\", "repeat('x', 9000)": "x" * 9000},
    ),
    ("varchar(5)", pa.string(), {"'ab  '": "ab  "}),
    ("char(5)", pa.string(), {"'ab'": "ab   ", "''": "     ", "'é'": "é    "}),
    ("bpchar", pa.string(), {"'ab  '": "ab  "}),
    ('"char"', pa.string(), {"'x'": "x"}),
    ("name", pa.string(), {"'pg'": "pg"}),
    ("bytea", pa.binary(), {r"'\x00ff'": b"\x00\xff", "''": b""}),
    ("date", pa.date32(), {"'0001-01-01'": FIRST.date(), "'9999-12-31'": date.max, "'10000-01-01'": None}),
    ("timestamp", pa.timestamp("us"), {"'0001-01-01'": FIRST, "'9999-12-31 23:59:59.999999'": LAST}),
    ("timestamp(3)", pa.timestamp("us"), {"'1969-12-31 23:59:59.9994'": datetime(1969, 12, 31, 23, 59, 59, 999000)}),  # noqa: DTZ001
    (
        "timestamptz",
        pa.timestamp("us", "UTC"),
        {"'2024-06-01 12:00:00.000001+05:30'": datetime(2024, 6, 1, 6, 30, 0, 1, tzinfo=UTC)},
    ),
    ("time", pa.string(), {"'04:05:06.789'": "04:05:06.789", "'24:00'": "24:00:00"}),
    ("timetz", pa.string(), {"'04:05:06+02'": "04:05:06+02"}),
    ("interval", pa.string(), {"'1 year 2 days 03:04:05.000006'": "P1Y2DT3H4M5.000006S", "'-1 day'": "P-1D"}),
    ("uuid", pa.string(), {"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
    ("json", pa.string(), {"""'{"b": 1,  "a":[null]}'""": '{"b": 1,  "a":[null]}'}),
    ("jsonb", pa.string(), {"""'{"b": 1,  "a":[1.50]}'""": '{"a": [1.50], "b": 1}'}),
    ("int[]", pa.string(), {"'{1,NULL,3}'": "[1,null,3]", "'{}'": "[]", "'{{1,2},{3,4}}'": "[[1,2],[3,4]]"}),
    ("text[]", pa.string(), {"""array['a"b', 'c,d']""": r'["a\"b","c,d"]'}),
    ("numeric(5,2)[]", pa.string(), {"'{1.50,NaN}'": '[1.50,"NaN"]'}),
    ("timestamptz[]", pa.string(), {"'{2024-01-01 00:00:00+01}'": '["2023-12-31T23:00:00+00:00"]'}),
    ("inet", pa.string(), {"'192.168.0.1'": "192.168.0.1", "'::1/64'": "::1/64"}),
    ("cidr", pa.string(), {"'10.0.0.0/8'": "10.0.0.0/8"}),
    ("macaddr", pa.string(), {"'08:00:2b:01:02:03'": "08:00:2b:01:02:03"}),
    ("money", pa.string(), {"12.5::money": "$12.50"}),
    ("bit(3)", pa.string(), {"b'101'": "101"}),
    ("varbit", pa.string(), {"b'1'": "1"}),
    ("xml", pa.string(), {}),
    ("tsvector", pa.string(), {"'fat cat'": "'cat' 'fat'"}),
    ("int4range", pa.string(), {"'[1,5]'": "[1,6)", "'empty'": "empty"}),
    ("int4multirange", pa.string(), {"'{[1,2),[5,9)}'": "{[1,2),[5,9)}"}),
    ("point", pa.string(), {"'(1,2.5)'": "(1,2.5)"}),
    ("pg_lsn", pa.string(), {"'16/B374D848'": "16/B374D848"}),
    ("mood", pa.string(), {"'so so'": "so so"}),
    ("pair", pa.string(), {"row(1, 'a b')": '(1,"a b")'}),
    ("price", pa.decimal128(10, 2), {"1.25": Decimal("1.25"), "'NaN'": None}),
    ("dear_price", pa.decimal128(10, 2), {"101": Decimal("101.00")}),
    ("tags", pa.string(), {"'{a,b}'": '["a","b"]'}),
    ("code", pa.string(), {"'x'": "x  "}),
]

CUSTOM_TYPES = """
CREATE TYPE mood AS ENUM ('happy', 'so so');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(10,2);
CREATE DOMAIN dear_price AS price CHECK (VALUE > 100);
CREATE DOMAIN tags AS text[];
CREATE DOMAIN code AS char(3);
"""


@pytest.mark.parametrize("narrow", [False, True], ids=["fast", "narrow"])
def test_every_type_arrives_as_the_contract_says(source: Source, narrow: bool) -> None:
    source.execute(CUSTOM_TYPES)
    columns = ", ".join(f"v{number} {type_name}" for number, (type_name, _, _) in enumerate(TYPES))
    source.execute(f"CREATE TABLE all_types (id serial, {columns})")
    inserts = []
    for number, (type_name, _, values) in enumerate(TYPES):
        for sql_value in values:
            constant = sql_value if "::" in sql_value else f"CAST({sql_value} AS {type_name})"
            inserts.append(f"INSERT INTO all_types (v{number}) VALUES ({constant})")
    source.execute(";".join(inserts))

    result = source.read("all_types", narrow=narrow)

    for number, (type_name, arrow, values) in enumerate(TYPES):
        name = f"v{number}"
        assert result.table.schema.field(name).type == arrow, type_name
        nulls = sum(value is None for value in values.values())
        arrived = dict(enumerate(result.column(name)))
        places = [place for place, value in arrived.items() if value is not None]
        expected = [value for value in values.values() if value is not None]
        assert [_bits(arrived[place]) for place in places] == [_bits(value) for value in expected], type_name
        assert sum(count for (column, _), count in result.warnings().items() if column == name) == nulls, type_name


def _bits(value: Any) -> Any:
    return struct.pack("d", value) if isinstance(value, float) else value


@pytest.mark.parametrize("narrow", [False, True], ids=["fast", "narrow"])
def test_what_no_lake_type_holds_becomes_null_and_is_counted(source: Source, narrow: bool) -> None:
    source.execute("""
        CREATE TABLE edges (id int, n numeric(10,2), u numeric, d date, t timestamp, z timestamptz);
        INSERT INTO edges VALUES
            (1, 'NaN', 'Infinity', 'infinity', 'infinity', '-infinity'),
            (2, 0, '-Infinity', '-infinity', '-infinity', 'infinity'),
            (3, NULL, 'NaN', '0044-03-15 BC', '0044-03-15 BC', '294276-12-31 23:59:59.999999+00'),
            (4, 1, NULL, '5874897-12-31', '294276-12-31 23:59:59.999999', '4713-01-01 00:00:00+00 BC'),
            (5, 2.5, 7, '2024-02-29', '2024-02-29 01:02:03.000004', '2024-02-29 01:02:03.000004+00')""")

    result = source.read("edges", narrow=narrow)

    moment = datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC)
    rows = {row["id"]: tuple(row.values())[1:] for row in result.table.to_pylist()}
    assert rows == {
        1: (None, None, None, None, None),
        2: (Decimal(0), None, None, None, None),
        3: (None, None, None, None, None),
        4: (Decimal(1), None, None, None, None),
        5: (Decimal("2.5"), Decimal(7), date(2024, 2, 29), moment.replace(tzinfo=None), moment),
    }
    outside = "outside the years 1 to 9999"
    assert result.warnings() == {
        ("n", "NaN"): 1,
        ("u", "NaN"): 1,
        ("u", "infinite"): 2,
        **{(column, reason): 2 for column in "dtz" for reason in ("infinite", outside)},
    }


@pytest.mark.parametrize("misfit", ["1e20", "1e-19", "123456789012345678901234567890.123"])
@pytest.mark.parametrize("narrow", [False, True], ids=["fast", "narrow"])
def test_numbers_that_fit_no_decimal_turn_their_column_to_text(source18: Source, misfit: str, narrow: bool) -> None:
    source18.execute(f"CREATE TABLE numbers (n numeric); INSERT INTO numbers VALUES (1.50), ({misfit}), ('NaN')")

    result = source18.read("numbers", narrow=narrow)

    assert result.table.schema.field("n").type == pa.string()
    (expected,) = source18.rows(f"SELECT ({misfit}::numeric)::text")
    assert result.column("n") == ["1.5", expected[0], None]
    assert result.warnings() == {("n", "NaN"): 1}


def test_a_column_that_the_lake_holds_as_text_stays_text(source18: Source) -> None:
    source18.execute("CREATE TABLE numbers (n numeric); INSERT INTO numbers VALUES (1.50)")
    assert source18.read("numbers", text_columns=("n",)).column("n") == ["1.5"]


def test_a_cursor_is_never_text(source18: Source) -> None:
    source18.execute("CREATE TABLE numbers (n numeric); INSERT INTO numbers VALUES (1e30)")
    with pytest.raises(SchemaChangedError, match="field n of numbers holds numbers of more than 20 digits"):
        source18.read("numbers", cursor=CursorRange("n"))


def test_numeric_of_negative_or_great_scale(source: Source) -> None:
    source.execute("""
        CREATE TABLE scales (hundreds numeric(3,-2), tiny numeric(3,5));
        INSERT INTO scales VALUES (99900, 0.00999), (-100, 0)""")
    result = source.read("scales")
    assert result.column("hundreds") == [Decimal(99900), Decimal(-100)]
    assert result.column("tiny") == [Decimal("0.00999"), Decimal(0)]
    assert result.table.equals(source.read("scales", narrow=True).table)
