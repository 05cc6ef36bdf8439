"""The type contract as a table: each type of MariaDB, the type it becomes, and what its values become.

Read in large and in small steps, synced in every mode, and printed into ``docs/connectors/mysql.md``: what is not here
is not promised.
"""

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa

from tests.connectors.type_cases import FIRST, LAST, NTZ, UTC_TIME, Case, Nulled, Table

NO_DAY = Nulled("not a day of the years 1 to 9999")
DIGITS_38, DIGITS_65 = "9" * 38, "123456789" * 7 + "12"
LONG_DECIMAL = "12345678901234567890.123456789012345678"
TINY = math.ulp(0.0)

NUMBERS = [
    Case("tinyint(1)", pa.int16(), {"-128": -128, "127": 127, "true": 1}),
    Case("tinyint unsigned", pa.int16(), {"255": 255}),
    Case("smallint", pa.int16(), {"-32768": -(2**15), "32767": 2**15 - 1}),
    Case("smallint unsigned", pa.int32(), {"65535": 2**16 - 1}),
    Case("mediumint", pa.int32(), {"-8388608": -(2**23)}),
    Case("mediumint unsigned", pa.int32(), {"16777215": 2**24 - 1}),
    Case("int", pa.int32(), {"-2147483648": -(2**31), "2147483647": 2**31 - 1}),
    Case("int unsigned", pa.int64(), {"4294967295": 2**32 - 1}),
    Case("int(5) zerofill", pa.int64(), {"42": 42}),
    Case("bigint", pa.int64(), {"-9223372036854775808": -(2**63), "9223372036854775807": 2**63 - 1}),
    Case("bigint unsigned", pa.decimal128(20, 0), {"18446744073709551615": Decimal(2**64 - 1), "0": Decimal(0)}),
    Case("bit(1)", pa.int64(), {"b'1'": 1, "b'0'": 0}),
    Case("bit(63)", pa.int64(), {"9223372036854775807": 2**63 - 1}),
    Case("bit(64)", pa.decimal128(20, 0), {"18446744073709551615": Decimal(2**64 - 1)}),
    Case("year", pa.int16(), {"1901": 1901, "2155": 2155, "0": 0}),
    Case(
        "float",
        pa.float32(),
        {
            "0.1": 0.10000000149011612,
            "16777217": 16777216.0,
            "3.4028234663852886e38": 3.4028234663852886e38,
            "-1.17549435e-38": -1.1754943508222875e-38,
        },
    ),
    Case("float(7,3)", pa.float32(), {"1234.5678": 1234.5679931640625}),
    Case(
        "double",
        pa.float64(),
        {"0.1e0 + 0.2e0": 0.1 + 0.2, "1.7976931348623157e308": 1.7976931348623157e308, "-5e-324": -TINY},
    ),
    Case("double(10,2)", pa.float64(), {"1.005": 1.0, "-12345678.91": -12345678.91}),
    Case("decimal(12,2)", pa.decimal128(12, 2), {"-1234567890.12": Decimal("-1234567890.12"), "0": Decimal("0.00")}),
    Case("decimal(12,2) unsigned", pa.decimal128(12, 2), {"9999999999.99": Decimal("9999999999.99")}),
    Case("decimal(5)", pa.decimal128(5, 0), {"-99999": Decimal(-99999)}),
    Case("decimal(38,0)", pa.decimal128(38, 0), {f"-{DIGITS_38}": Decimal(f"-{DIGITS_38}")}),
    Case("decimal(38,38)", pa.decimal128(38, 38), {f"0.{DIGITS_38}": Decimal(f"0.{DIGITS_38}")}),
    Case("decimal(65,30)", pa.decimal128(38, 18), {LONG_DECIMAL: Decimal(LONG_DECIMAL), "-1.50": Decimal("-1.5")}),
    Case("decimal(65,0) /* 65 digits */", pa.string(), {DIGITS_65: DIGITS_65, "-100": "-100"}),
    Case("decimal(65,30) /* 30 decimals */", pa.string(), {"-1e-30": f"-0.{'0' * 29}1", "1.50": "1.5", "7": "7"}),
]
TEXTS = [
    Case("char(5)", pa.string(), {"'ab'": "ab", "'ab  '": "ab", "''": "", "'é☃'": "é☃"}),
    Case("varchar(9)", pa.string(), {"'ab  '": "ab  ", "''": ""}),
    Case("varchar(9) character set latin1", pa.string(), {"'Grüße €'": "Grüße €"}),
    Case("varchar(9) character set utf16", pa.string(), {"'🐘ü'": "🐘ü"}),
    Case("varchar(9) character set utf8mb3 collate utf8mb3_bin", pa.string(), {"'Käse'": "Käse"}),
    Case("tinytext", pa.string(), {"'t'": "t"}),
    Case("text", pa.string(), {"'Ünïcode 🐘'": "Ünïcode 🐘", r"'a\nb\t\\\0'": "a\nb\t\\\0"}),
    Case("mediumtext", pa.string(), {"repeat('ü', 70000)": "ü" * 70000}),
    Case("longtext", pa.string(), {"repeat('y', 252)": "y" * 252}),
    Case("enum('so so','it''s')", pa.string(), {"'so so'": "so so", "'it''s'": "it's"}),
    Case("set('x','y z')", pa.string(), {"'x,y z'": "x,y z", "''": ""}),
    Case("json", pa.string(), {"""'{"b": 1,  "a":[null]}'""": '{"b": 1,  "a":[null]}'}),
    Case("uuid", pa.string(), {"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
    Case(
        "inet6",
        pa.string(),
        {"'2001:db8::ff00:42:8329'": "2001:db8::ff00:42:8329", "'::ffff:1.2.3.4'": "::ffff:1.2.3.4"},
    ),
    Case("inet4", pa.string(), {"'192.168.0.1'": "192.168.0.1"}),
    Case("binary(4)", pa.binary(), {"x'00ff'": b"\0\xff\0\0"}),
    Case("varbinary(9)", pa.binary(), {"x'00ff'": b"\0\xff", "''": b""}),
    Case("tinyblob", pa.binary(), {"x'fe'": b"\xfe"}),
    Case("blob", pa.binary(), {"x'fb'": b"\xfb", "repeat(x'ff', 251)": b"\xff" * 251}),
    Case("mediumblob", pa.binary(), {"repeat(x'0a', 65536)": b"\n" * 65536}),
    Case("longblob", pa.binary(), {"''": b""}),
]
MOMENTS = [
    Case(
        "date",
        pa.date32(),
        {
            "'0001-01-01'": date.min,
            "'9999-12-31'": date.max,
            "'0000-00-00'": NO_DAY,
            "'2020-00-10'": NO_DAY,
            "'2020-02-00'": NO_DAY,
            "'2021-02-29'": NO_DAY,
            "'0000-03-01'": NO_DAY,
        },
    ),
    Case(
        "datetime",
        NTZ,
        {
            "'0001-01-01'": FIRST,
            "'9999-12-31 23:59:59'": LAST.replace(microsecond=0),
            "'0000-00-00'": NO_DAY,
            "'2020-00-10 01:02:03'": NO_DAY,
        },
    ),
    Case("datetime(3)", NTZ, {"'1969-12-31 23:59:59.999'": datetime(1969, 12, 31, 23, 59, 59, 999000)}),  # noqa: DTZ001
    Case("datetime(6)", NTZ, {"'9999-12-31 23:59:59.999999'": LAST, "'0000-00-00 00:00:00.000001'": NO_DAY}),
    Case(
        "timestamp null",
        UTC_TIME,
        {
            "'1970-01-01 00:00:01'": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
            "'2038-01-19 03:14:07'": datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),
            "'0000-00-00'": NO_DAY,
        },
    ),
    Case(
        "timestamp(6) null", UTC_TIME, {"'2024-06-01 06:30:00.000001'": datetime(2024, 6, 1, 6, 30, 0, 1, tzinfo=UTC)}
    ),
    Case("time", pa.string(), {"'04:05:06'": "04:05:06", "'-838:59:59'": "-838:59:59"}),
    Case("time(6)", pa.string(), {"'838:59:59.999999'": "838:59:59.999999", "'-00:00:00.5'": "-00:00:00.500000"}),
]
GEOMETRIES = [
    Case("point", pa.string(), {"ST_GeomFromText('POINT(1 2.5)')": "POINT(1 2.5)"}),
    Case("linestring", pa.string(), {"ST_GeomFromText('LINESTRING(0 0,1 0.1)')": "LINESTRING(0 0,1 0.1)"}),
    Case(
        "geometry",
        pa.string(),
        {
            "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')": "POLYGON((0 0,1 0,1 1,0 0))",
            "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))')": "GEOMETRYCOLLECTION(POINT(1 1))",
        },
    ),
]
CONTRACT = [*NUMBERS, *TEXTS, *MOMENTS, *GEOMETRIES]

CHOSEN = [
    Case("tinyint(1)", pa.string(), {"-1": "-1"}, "string"),
    Case("smallint", pa.int64(), {"-32768": -32768}, "long"),
    Case("bigint", pa.float64(), {"9007199254740993": 9007199254740992.0}, "double"),
    Case(
        "int",
        pa.decimal128(5, 2),
        {"-999": Decimal("-999.00"), "1000": Nulled("does not fit decimal(5,2)")},
        "decimal(5,2)",
    ),
    Case(
        "bigint unsigned",
        pa.int64(),
        {"9223372036854775807": 2**63 - 1, "9223372036854775808": Nulled("does not fit long")},
        "long",
    ),
    Case("bit(64)", pa.string(), {"18446744073709551615": "18446744073709551615"}, "string"),
    Case("year", pa.int64(), {"2024": 2024}, "long"),
    Case(
        "decimal(65,30)",
        pa.decimal128(10, 2),
        {
            "1.50": Decimal("1.50"),
            "-99999999.99": Decimal("-99999999.99"),
            "100000000": Nulled("does not fit decimal(10,2)"),
            "0.001": Nulled("does not fit decimal(10,2)"),
        },
        "decimal(10,2)",
    ),
    Case("decimal(12,4)", pa.int64(), {"-2.0000": -2, "0.5": Nulled("does not fit long")}, "long"),
    Case("decimal(12,4)", pa.float64(), {"0.1": 0.1}, "double"),
    Case("decimal(12,4)", pa.string(), {"1.50": "1.5", "100": "100", "0": "0"}, "string"),
    Case("decimal(65,0)", pa.string(), {DIGITS_65: DIGITS_65}, "string"),
    Case("float", pa.float64(), {"0.1": 0.10000000149011612}, "double"),
    Case("float", pa.string(), {"0.1": "0.10000000149011612"}, "string"),
    Case("double", pa.string(), {"0.1": "0.1", "1e20": "1e20"}, "string"),
    Case("date", pa.string(), {"'0000-00-00'": "0000-00-00", "'2020-00-10'": "2020-00-10"}, "string"),
    Case("date", NTZ, {"'2024-02-29'": datetime(2024, 2, 29), "'0000-00-00'": NO_DAY}, "timestamp_ntz"),  # noqa: DTZ001
    Case("date", UTC_TIME, {"'2024-02-29'": datetime(2024, 2, 29, tzinfo=UTC), "'2020-00-10'": NO_DAY}, "timestamp"),
    Case(
        "datetime(6)",
        UTC_TIME,
        {"'2024-02-29 01:02:03.4'": datetime(2024, 2, 29, 1, 2, 3, 400000, tzinfo=UTC), "'0000-00-00'": NO_DAY},
        "timestamp",
    ),
    Case("timestamp null", NTZ, {"'2024-02-29 01:02:03'": datetime(2024, 2, 29, 1, 2, 3)}, "timestamp_ntz"),  # noqa: DTZ001
    Case("timestamp null", pa.string(), {"'0000-00-00'": "0000-00-00 00:00:00"}, "string"),
    Case("varchar(9) character set latin1", pa.binary(), {"'ü'": "ü".encode()}, "binary"),
    Case("char(5)", pa.binary(), {"'x'": b"x"}, "binary"),
    Case("blob", pa.string(), {"'ü'": "ü", "x'ff'": Nulled("not valid UTF-8")}, "string"),
    Case("varbinary(9)", pa.string(), {"'ü'": "ü", "x'00ff'": Nulled("not valid UTF-8")}, "string"),
    Case("enum('a','b')", pa.string(), {"'b'": "b"}, "string"),
    Case("json", pa.string(), {"'[1]'": "[1]"}, "string"),
    Case("point", pa.string(), {"ST_GeomFromText('POINT(1 2)')": "POINT(1 2)"}, "string"),
    Case("time", pa.string(), {"'-01:00:00'": "-01:00:00"}, "string"),
]


class MySqlTable(Table):
    """Days that no calendar has are let in."""

    def all_statements(self) -> list[str]:
        columns = ", ".join(f"v{number} {case.type}" for number, case in enumerate(self.cases))
        rows = ", ".join(f"({place + 1}, {', '.join(self._constants(place))})" for place in range(self.height))
        return [
            "SET sql_mode = 'ALLOW_INVALID_DATES'",
            f"CREATE TABLE {self.name} (id int PRIMARY KEY, {columns})",
            f"INSERT INTO {self.name} VALUES {rows}",
        ]

    def _constants(self, place: int) -> Iterable[str]:
        for case in self.cases:
            yield list(case.values)[place] if place < len(case.values) else "NULL"


EVERY_TYPE = MySqlTable("every_type", CONTRACT)
EVERY_CHOICE = MySqlTable("every_choice", CHOSEN)
