"""The type contract as a table: each type of PostgreSQL, the type it becomes, and what its values become.

Read by both drivers, synced in every mode, and printed into ``docs/types.md``: what is not here is not promised.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

NTZ = pa.timestamp("us")
UTC_TIME = pa.timestamp("us", "UTC")
FIRST = datetime(1, 1, 1)  # noqa: DTZ001
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
DIGITS_38, DIGITS_60 = "9" * 38, "123456789" * 6 + "123456"


@dataclass(frozen=True)
class Nulled:
    """The value becomes null, and is counted under this reason."""

    reason: str


NAN, INFINITE, OUTSIDE = Nulled("NaN"), Nulled("infinite"), Nulled("outside the years 1 to 9999")


@dataclass(frozen=True)
class Case:
    """``values``: SQL of a value and what it becomes. ``chosen``: the type override that the column has."""

    type: str
    arrow: pa.DataType
    values: Mapping[str, Any] = field(default_factory=dict)
    chosen: str | None = None


TIMES = {
    "'infinity'": INFINITE,
    "'-infinity'": INFINITE,
    "'0044-03-15 BC'": OUTSIDE,
}
NUMBERS = [
    Case("boolean", pa.bool_(), {"true": True, "false": False}),
    Case("smallint", pa.int16(), {"-32768": -(2**15), "32767": 2**15 - 1}),
    Case("integer", pa.int32(), {"-2147483648": -(2**31), "2147483647": 2**31 - 1}),
    Case("bigint", pa.int64(), {"-9223372036854775808": -(2**63), "9223372036854775807": 2**63 - 1}),
    Case("oid", pa.int64(), {"4294967295": 2**32 - 1}),
    Case(
        "real",
        pa.float32(),
        {
            "'NaN'": math.nan,
            "'-Infinity'": -math.inf,
            "3.4028235e38": 3.4028234663852886e38,
            "1e-45": 1.401298464324817e-45,
        },
    ),
    Case(
        "double precision",
        pa.float64(),
        {"'NaN'": math.nan, "'Infinity'": math.inf, "'-0'": -0.0, "0.1": 0.1, "5e-324": 5e-324},
    ),
    Case("numeric(12,2)", pa.decimal128(12, 2), {"-1234567890.12": Decimal("-1234567890.12"), "'NaN'": NAN}),
    Case("numeric(4,1)", pa.decimal128(4, 1), {"999.9": Decimal("999.9")}),
    Case("numeric(18,0)", pa.decimal128(18, 0), {"9" * 18: Decimal("9" * 18)}),
    Case("numeric(19,19)", pa.decimal128(19, 19), {"0.0000000000000000001": Decimal("1E-19")}),
    Case("numeric(38,0)", pa.decimal128(38, 0), {f"-{DIGITS_38}": Decimal(f"-{DIGITS_38}")}),
    Case("numeric(38,38)", pa.decimal128(38, 38), {f"0.{DIGITS_38}": Decimal(f"0.{DIGITS_38}")}),
    Case("numeric(3,-2)", pa.decimal128(5, 0), {"99900": Decimal(99900)}),
    Case("numeric(3,5)", pa.decimal128(5, 5), {"0.00999": Decimal("0.00999")}),
    Case(
        "numeric",
        pa.decimal128(38, 18),
        {
            "1.50": Decimal("1.5"),
            "1e-18": Decimal("1e-18"),
            "'-99999999999999999999.999999999999999999'": Decimal("-99999999999999999999.999999999999999999"),
            "'NaN'": NAN,
            "'Infinity'": INFINITE,
        },
    ),
    Case("numeric(60,2)", pa.decimal128(38, 18), {"12345678901234567890.12": Decimal("12345678901234567890.12")}),
    Case("numeric /* 60 digits */", pa.string(), {DIGITS_60: DIGITS_60, "1.50": "1.5", "'NaN'": NAN}),
    Case("numeric /* 19 decimals */", pa.string(), {"-1e-19": "-0.0000000000000000001", "'-Infinity'": INFINITE}),
    Case("numeric(60,20)", pa.string(), {f"'{DIGITS_38}.5'": f"{DIGITS_38}.5"}),
]
TEXTS = [
    Case("text", pa.string(), {"''": "", "'Ünïcode 🐘'": "Ünïcode 🐘", r"e'a\nb\t\\\x01'": "a\nb\t\\\x01"}),
    Case("varchar(5)", pa.string(), {"'ab  '": "ab  "}),
    Case("char(5)", pa.string(), {"'ab'": "ab   ", "''": "     ", "'é'": "é    "}),
    Case("bpchar", pa.string(), {"'ab  '": "ab  "}),
    Case('"char"', pa.string(), {"'x'": "x"}),
    Case("name", pa.string(), {"'pg'": "pg"}),
    Case("bytea", pa.binary(), {r"'\x00ff'": b"\x00\xff", "''": b""}),
    Case("uuid", pa.string(), {"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
]
MOMENTS = [
    Case(
        "date",
        pa.date32(),
        {
            "'0001-01-01'": date.min,
            "'9999-12-31'": date.max,
            **TIMES,
            "'10000-01-01'": OUTSIDE,
            "'5874897-12-31'": OUTSIDE,
        },
    ),
    Case(
        "timestamp",
        NTZ,
        {
            "'0001-01-01'": FIRST,
            "'9999-12-31 23:59:59.999999'": LAST,
            **TIMES,
            "'294276-12-31 23:59:59.999999'": OUTSIDE,
        },
    ),
    Case("timestamp(3)", NTZ, {"'1969-12-31 23:59:59.9994'": datetime(1969, 12, 31, 23, 59, 59, 999000)}),  # noqa: DTZ001
    Case(
        "timestamptz",
        UTC_TIME,
        {
            "'2024-06-01 12:00:00.000001+05:30'": datetime(2024, 6, 1, 6, 30, 0, 1, tzinfo=UTC),
            **TIMES,
            "'0001-01-01 00:00:00+01'": OUTSIDE,
            "'294276-12-31 23:59:59.999999+00'": OUTSIDE,
        },
    ),
    Case("time", pa.string(), {"'04:05:06.789'": "04:05:06.789", "'24:00'": "24:00:00"}),
    Case("timetz", pa.string(), {"'04:05:06+02'": "04:05:06+02"}),
    Case("interval", pa.string(), {"'1 year 2 days 03:04:05.000006'": "P1Y2DT3H4M5.000006S", "'-1 day'": "P-1D"}),
]
DOCUMENTS = [
    Case("json", pa.string(), {"""'{"b": 1,  "a":[null]}'""": '{"b": 1,  "a":[null]}'}),
    Case("jsonb", pa.string(), {"""'{"b": 1,  "a":[1.50]}'""": '{"a": [1.50], "b": 1}', "'null'": "null"}),
    Case(
        "integer[]",
        pa.string(),
        {
            "'{1,NULL,3}'": "[1,null,3]",
            "'{}'": "[]",
            "'{{1,2},{3,4}}'": "[[1,2],[3,4]]",
            "'[2:3]={1,2}'": "[1,2]",
        },
    ),
    Case("text[]", pa.string(), {"""array['a"b', 'c,d', 'ü', null]""": r'["a\"b","c,d","ü",null]'}),
    Case("numeric(5,2)[]", pa.string(), {"'{1.50,NaN}'": '[1.50,"NaN"]'}),
    Case("double precision[]", pa.string(), {"'{0.1,Infinity}'": '[0.1,"Infinity"]'}),
    Case("timestamptz[]", pa.string(), {"'{2024-01-01 00:00:00+01}'": '["2023-12-31T23:00:00+00:00"]'}),
    Case("jsonb[]", pa.string(), {"""array['{"a": 1}', '[2]']::jsonb[]""": '[{"a": 1},[2]]'}),
    Case("bytea[]", pa.string(), {r"array['\x00ff']::bytea[]": r'["\\x00ff"]'}),
    Case("pair[]", pa.string(), {"array[row(1, 'a b')]::pair[]": '[{"a":1,"b":"a b"}]'}),
]
OTHERS = [
    Case("inet", pa.string(), {"'192.168.0.1'": "192.168.0.1", "'::1/64'": "::1/64"}),
    Case("cidr", pa.string(), {"'10.0.0.0/8'": "10.0.0.0/8"}),
    Case("macaddr", pa.string(), {"'08:00:2b:01:02:03'": "08:00:2b:01:02:03"}),
    Case("macaddr8", pa.string(), {"'08:00:2b:01:02:03:04:05'": "08:00:2b:01:02:03:04:05"}),
    Case("money", pa.string(), {"12.5::money": "$12.50"}),
    Case("bit(3)", pa.string(), {"b'101'": "101"}),
    Case("varbit", pa.string(), {"b'1'": "1", "b''": ""}),
    Case("xml", pa.string()),
    Case("tsvector", pa.string(), {"'fat cat'": "'cat' 'fat'"}),
    Case("tsquery", pa.string(), {"'fat & cat'": "'fat' & 'cat'"}),
    Case("jsonpath", pa.string(), {"'$.a[*]'": '$."a"[*]'}),
    Case("int4range", pa.string(), {"'[1,5]'": "[1,6)", "'empty'": "empty"}),
    Case("int8range", pa.string(), {"'(,5]'": "(,6)"}),
    Case("numrange", pa.string(), {"'(1.5,]'": "(1.5,)"}),
    Case("daterange", pa.string(), {"'[2024-01-01,infinity)'": "[2024-01-01,infinity)"}),
    Case("tsrange", pa.string(), {"'[2024-01-01 00:00,)'": '["2024-01-01 00:00:00",)'}),
    Case("tstzrange", pa.string(), {"'[2024-01-01 00:00+01,)'": '["2023-12-31 23:00:00+00",)'}),
    Case("int4multirange", pa.string(), {"'{[1,2),[5,9)}'": "{[1,2),[5,9)}"}),
    Case("int8multirange", pa.string(), {"'{}'": "{}"}),
    Case("nummultirange", pa.string(), {"'{[1.5,2]}'": "{[1.5,2]}"}),
    Case("datemultirange", pa.string(), {"'{[2024-01-01,2024-01-03]}'": "{[2024-01-01,2024-01-04)}"}),
    Case("tsmultirange", pa.string(), {"'{}'": "{}"}),
    Case("tstzmultirange", pa.string(), {"'{}'": "{}"}),
    Case("point", pa.string(), {"'(1,2.5)'": "(1,2.5)"}),
    Case("line", pa.string(), {"'{1,2,3}'": "{1,2,3}"}),
    Case("lseg", pa.string(), {"'[(0,0),(1,1)]'": "[(0,0),(1,1)]"}),
    Case("box", pa.string(), {"'(1,1),(0,0)'": "(1,1),(0,0)"}),
    Case("path", pa.string(), {"'[(0,0),(1,1)]'": "[(0,0),(1,1)]"}),
    Case("polygon", pa.string(), {"'((0,0),(1,1),(1,0))'": "((0,0),(1,1),(1,0))"}),
    Case("circle", pa.string(), {"'<(0,0),2>'": "<(0,0),2>"}),
    Case("pg_lsn", pa.string(), {"'16/B374D848'": "16/B374D848"}),
    Case("pg_snapshot", pa.string(), {"'10:20:10,14'": "10:20:10,14"}),
    Case("txid_snapshot", pa.string(), {"'10:20:10,14'": "10:20:10,14"}),
    Case("xid", pa.string(), {"'4294967295'": "4294967295"}),
    Case("xid8", pa.string(), {"'18446744073709551615'": "18446744073709551615"}),
    Case("cid", pa.string(), {"'7'": "7"}),
    Case("tid", pa.string(), {"'(3,4)'": "(3,4)"}),
    Case("refcursor", pa.string(), {"'c'": "c"}),
    Case("regclass", pa.string(), {"'pg_class'": "pg_class"}),
    Case("regcollation", pa.string(), {"'\"C\"'": '"C"'}),
    Case("regconfig", pa.string(), {"'english'": "english"}),
    Case("regdictionary", pa.string(), {"'simple'": "simple"}),
    Case("regnamespace", pa.string(), {"'pg_catalog'": "pg_catalog"}),
    Case("regoper", pa.string(), {"'|/'": "|/"}),
    Case("regoperator", pa.string(), {"'+(integer,integer)'": "+(integer,integer)"}),
    Case("regproc", pa.string(), {"'now'": "now"}),
    Case("regprocedure", pa.string(), {"'sqrt(numeric)'": "sqrt(numeric)"}),
    Case("regrole", pa.string(), {"0::regrole": "-"}),
    Case("regtype", pa.string(), {"'int4'": "integer"}),
    Case("aclitem", pa.string(), {"'=r/postgres'": "=r/postgres"}),
    Case("int2vector", pa.string(), {"'1 2'": "[1,2]"}),
    Case("oidvector", pa.string(), {"'1 2'": '["1","2"]'}),
    Case("vector(3)", pa.string(), {"'[1,2.5,3]'": "[1,2.5,3]"}),
]
OF_ONES_OWN = [
    Case("mood", pa.string(), {"'so so'": "so so"}),
    Case("pair", pa.string(), {"row(1, 'a b')": '(1,"a b")', "row(null, '')": '(,"")'}),
    Case("price", pa.decimal128(10, 2), {"1.25": Decimal("1.25"), "'NaN'": NAN}),
    Case("dear_price", pa.decimal128(10, 2), {"101": Decimal("101.00")}),
    Case("tags", pa.string(), {"'{a,b}'": '["a","b"]'}),
    Case("price_list", pa.string(), {"'{1.5,2}'": "[1.50,2.00]"}),
    Case("code", pa.string(), {"'x'": "x  "}),
    Case("some_mood", pa.string(), {"'happy'": "happy"}),
    Case("moment", UTC_TIME, {"'2024-01-01 00:00+01'": datetime(2023, 12, 31, 23, tzinfo=UTC), "'infinity'": INFINITE}),
    Case("span", pa.string(), {"'[1,5]'": "[1,6)"}),
]
CUSTOM_TYPES = """
CREATE TYPE mood AS ENUM ('happy', 'so so');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(10,2);
CREATE DOMAIN dear_price AS price CHECK (VALUE > 100);
CREATE DOMAIN tags AS text[];
CREATE DOMAIN price_list AS numeric(10,2)[];
CREATE DOMAIN code AS char(3);
CREATE DOMAIN some_mood AS mood;
CREATE DOMAIN moment AS timestamptz;
CREATE DOMAIN span AS int4range;
CREATE EXTENSION vector;
"""
CONTRACT = [*NUMBERS, *TEXTS, *MOMENTS, *DOCUMENTS, *OTHERS, *OF_ONES_OWN]

CHOSEN = [
    Case("boolean", pa.string(), {"true": "true"}, "string"),
    Case("bigint", pa.string(), {"-9223372036854775808": "-9223372036854775808"}, "string"),
    Case("bigint", pa.float64(), {"9007199254740993": 9007199254740992.0}, "double"),
    Case("smallint", pa.int64(), {"-32768": -32768}, "long"),
    Case(
        "integer",
        pa.decimal128(12, 2),
        {"2147483647": Decimal("2147483647.00")},
        "decimal(12,2)",
    ),
    Case(
        "integer",
        pa.decimal128(5, 2),
        {"999": Decimal("999.00"), "1000": Nulled("does not fit decimal(5,2)")},
        "decimal(5,2)",
    ),
    Case(
        "numeric",
        pa.decimal128(10, 2),
        {
            "1.50": Decimal("1.50"),
            "'-99999999.990'": Decimal("-99999999.99"),
            "100000000": Nulled("does not fit decimal(10,2)"),
            "0.001": Nulled("does not fit decimal(10,2)"),
            "'NaN'": NAN,
            "'-Infinity'": INFINITE,
        },
        "decimal(10,2)",
    ),
    Case("numeric(12,4)", pa.decimal128(20, 4), {"1.5": Decimal("1.5000"), "'NaN'": NAN}, "decimal(20,4)"),
    Case(
        "numeric",
        pa.int64(),
        {
            "9223372036854775807.00": 2**63 - 1,
            "9223372036854775808": Nulled("does not fit long"),
            "0.5": Nulled("does not fit long"),
            "'NaN'": NAN,
            "'Infinity'": INFINITE,
        },
        "long",
    ),
    Case(
        "numeric",
        pa.float64(),
        {
            "0.1": 0.1,
            "'NaN'": math.nan,
            "'-Infinity'": -math.inf,
            "1e308": 1e308,
            "-1e309": Nulled("does not fit double"),
            "1e-400": Nulled("does not fit double"),
        },
        "double",
    ),
    Case(
        "numeric",
        pa.string(),
        {"1.50": "1.5", DIGITS_60: DIGITS_60, "'NaN'": "NaN", "'Infinity'": "Infinity"},
        "string",
    ),
    Case("real", pa.float64(), {"0.1": 0.10000000149011612, "'NaN'": math.nan}, "double"),
    Case("double precision", pa.string(), {"0.1": "0.1", "1e20": "1e+20", "'-Infinity'": "-Infinity"}, "string"),
    Case("date", pa.string(), {"'infinity'": "infinity", "'0044-03-15 BC'": "0044-03-15 BC"}, "string"),
    Case(
        "date",
        NTZ,
        {"'2024-02-29'": datetime(2024, 2, 29), "'infinity'": INFINITE, "'5874897-12-31'": OUTSIDE},  # noqa: DTZ001
        "timestamp_ntz",
    ),
    Case(
        "date", UTC_TIME, {"'2024-02-29'": datetime(2024, 2, 29, tzinfo=UTC), "'0044-03-15 BC'": OUTSIDE}, "timestamp"
    ),
    Case(
        "timestamp",
        UTC_TIME,
        {"'2024-02-29 01:02:03'": datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC), **TIMES},
        "timestamp",
    ),
    Case("timestamptz", NTZ, {"'2024-02-29 01:02:03+01'": datetime(2024, 2, 29, 0, 2, 3), **TIMES}, "timestamp_ntz"),  # noqa: DTZ001
    Case("timestamptz", pa.string(), {"'294276-01-01 00:00+01'": "294275-12-31 23:00:00+00"}, "string"),
    Case("bytea", pa.string(), {r"'\x00ff'": r"\x00ff"}, "string"),
    Case("text", pa.binary(), {"'ü'": "ü".encode()}, "binary"),
    Case("char(3)", pa.binary(), {"'x'": b"x  "}, "binary"),
    Case("integer[]", pa.string(), {"'{1,2}'": "[1,2]"}, "string"),
    Case("price", pa.string(), {"1.50": "1.5"}, "string"),
    Case("mood", pa.string(), {"'so so'": "so so"}, "string"),
]


@dataclass(frozen=True)
class Table:
    """Cases as a table with the key ``id``: column ``v<n>`` is of case n, row m has each case's value m."""

    name: str
    cases: list[Case]

    @property
    def height(self) -> int:
        return max(len(case.values) for case in self.cases)

    @property
    def overrides(self) -> dict[str, str]:
        return {f"v{number}": case.chosen for number, case in enumerate(self.cases) if case.chosen}

    def statements(self) -> str:
        columns = ", ".join(f"v{number} {case.type}" for number, case in enumerate(self.cases))
        rows = [f"({place + 1}, {', '.join(self._constants(place))})" for place in range(self.height)]
        return f"CREATE TABLE {self.name} (id int PRIMARY KEY, {columns}); " + "".join(
            f"INSERT INTO {self.name} VALUES {row}; " for row in rows
        )

    def _constants(self, place: int) -> Iterable[str]:
        for case in self.cases:
            if place >= len(case.values):
                yield "NULL"
                continue
            value = list(case.values)[place]
            yield value if "::" in value else f"CAST({value} AS {case.type})"

    def expected(self) -> dict[int, tuple[Any, ...]]:
        """What each row becomes, by its id; floats bit by bit."""
        columns = [list(case.values.values()) for case in self.cases]
        return {
            place + 1: tuple(_kept(values[place]) if place < len(values) else None for values in columns)
            for place in range(self.height)
        }

    def warnings(self) -> Counter[tuple[str, str]]:
        return Counter(
            (f"v{number}", value.reason)
            for number, case in enumerate(self.cases)
            for value in case.values.values()
            if isinstance(value, Nulled)
        )


def _kept(value: Any) -> Any:
    return None if isinstance(value, Nulled) else exact(value)


def exact(value: Any) -> Any:
    """A form in which NaN equals itself and the two zeros differ."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else struct.pack("d", value)
    return value


EVERY_TYPE = Table("every_type", CONTRACT)
EVERY_CHOICE = Table("every_choice", CHOSEN)
