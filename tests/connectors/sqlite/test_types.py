"""What becomes of values of every storage class, whatever their column was declared as."""

import math
import struct
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import CursorRange
from connectors.errors import SchemaChangedError
from tests.connectors.source import ReadResult
from tests.connectors.sqlite.files import SqliteFile

NTZ, ZONED = pa.timestamp("us"), pa.timestamp("us", "UTC")
LONGS = [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]


def read_column(file: SqliteFile, declared: str, values: list[Any], **request: Any) -> ReadResult:
    file.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")
    file.insert("t", enumerate(values))
    return file.read("t", **request)


CONTRACT: list[tuple[str, list[Any], pa.DataType, list[Any]]] = [
    ("INTEGER", LONGS, pa.int64(), LONGS),
    ("BIGINT", ["12", 3.0, True], pa.int64(), [12, 3, 1]),
    ("INT", [1, 2.5], pa.float64(), [1.0, 2.5]),
    ("INT", [2**53 + 1, 2.5], pa.string(), ["9007199254740993", "2.5"]),
    ("INT", [1, "n/a", b"\x00\xff", 0.1], pa.string(), ["1", "n/a", "X'00FF'", "0.1"]),
    ("INT", ["9223372036854775808"], pa.float64(), [9223372036854775808.0]),
    ("BOOLEAN", [0, 1], pa.int64(), [0, 1]),
    ("BOOLEAN", [0, "true"], pa.string(), ["0", "true"]),
    (
        "REAL",
        [1, 0.1, math.inf, -math.inf, math.nan, 5e-324],
        pa.float64(),
        [1.0, 0.1, math.inf, -math.inf, None, 5e-324],
    ),
    ("REAL", [1, "much"], pa.string(), ["1", "much"]),
    ("REAL", [1e15, 1e-5, math.inf, "?"], pa.string(), ["1e+15", "1e-05", "Infinity", "?"]),
    ("DECIMAL(10,2)", [12, 12.34, "5.50"], pa.float64(), [12.0, 12.34, 5.5]),
    ("NUMERIC", [10**15, 1], pa.string(), ["1000000000000000", "1"]),
    ("NUMERIC", [10**15 - 1, 0.5], pa.float64(), [999999999999999.0, 0.5]),
    ("TEXT", ["", "ünï 🐘", "nul\0inside", 5, 1.5], pa.string(), ["", "ünï 🐘", "nul\0inside", "5", "1.5"]),
    ("TEXT", ["a", b"\x01\xab"], pa.string(), ["a", "X'01AB'"]),
    ("JSON", ['{"a": 1}', "5", 1.5], pa.string(), ['{"a": 1}', "5", "1.5"]),
    ("BLOB", [b"\x00\xff", b""], pa.binary(), [b"\x00\xff", b""]),
    ("BLOB", [b"\xff", "ü", 7, 0.5], pa.binary(), [b"\xff", "ü".encode(), b"7", b"0.5"]),
    ("DATE", ["0001-01-01", "2024-02-29", "9999-12-31"], pa.date32(), [date.min, date(2024, 2, 29), date.max]),
    ("DATE", ["2024-02-29", "2024-02-30"], pa.string(), ["2024-02-29", "2024-02-30"]),
    ("DATE", ["2024-02-29", "2024-02-29 10:00"], pa.string(), ["2024-02-29", "2024-02-29 10:00"]),
    ("DATE", ["2024-02-29", 1709164800], pa.string(), ["2024-02-29", "1709164800"]),
    (
        "DATETIME",
        [
            "2024-02-29",
            "2024-02-29 10:00",
            "2024-02-29T10:00:01",
            "2024-02-29 10:00:01.5",
            "9999-12-31 23:59:59.999999",
        ],
        NTZ,
        [
            datetime(2024, 2, 29),  # noqa: DTZ001
            datetime(2024, 2, 29, 10),  # noqa: DTZ001
            datetime(2024, 2, 29, 10, 0, 1),  # noqa: DTZ001
            datetime(2024, 2, 29, 10, 0, 1, 500000),  # noqa: DTZ001
            datetime.max,  # noqa: DTZ901
        ],
    ),
    (
        "TIMESTAMP",
        ["2024-02-29T10:00:00.500", "2024-02-29", 1709164800, 2460369.5, "soon", "2024-02-29 10:00:00Z", b"\x00"],
        pa.string(),
        [
            "2024-02-29 10:00:00.5",
            "2024-02-29 00:00:00",
            "1709164800",
            "2460369.5",
            "soon",
            "2024-02-29 10:00:00Z",
            "X'00'",
        ],
    ),
    ("TIMESTAMP", ["2024-02-29 10:00:00.1234567"], pa.string(), ["2024-02-29 10:00:00.1234567"]),
    ("TIMESTAMP", ["0000-01-01 00:00:00"], pa.string(), ["0000-01-01 00:00:00"]),
    ("", [1, 2], pa.int64(), [1, 2]),
    ("", [1, 2.5], pa.float64(), [1.0, 2.5]),
    ("", [2**53 + 1, 2.5], pa.string(), ["9007199254740993", "2.5"]),
    ("", ["a", "1"], pa.string(), ["a", "1"]),
    ("", [b"\x00"], pa.binary(), [b"\x00"]),
    ("", [1, "1", b"1"], pa.string(), ["1", "1", "X'31'"]),
    ("", [], pa.string(), []),
]


@pytest.mark.parametrize(("declared", "values", "arrow", "expected"), CONTRACT)
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_the_contract(
    file: SqliteFile, declared: str, values: list[Any], arrow: pa.DataType, expected: list[Any], narrow: bool
) -> None:
    found = read_column(file, declared, [*values, None], narrow=narrow)
    assert found.table.schema.field("v").type == arrow
    assert found.column("v") == [*expected, None]
    assert [type(value) for value in found.column("v")] == [type(value) for value in [*expected, None]]
    assert found.warnings() == {}


def test_a_read_by_cursor_keeps_to_the_declared_type_or_text(file: SqliteFile) -> None:
    by_id = CursorRange("id")
    for declared, values, arrow in (
        ("INT", [1, 2], pa.int64()),
        ("INT", [1, 2.5], pa.string()),
        ("INT", [], pa.int64()),
        ("NUMERIC", [1, 2], pa.float64()),
        ("NUMERIC", [], pa.float64()),
        ("DATE", [], pa.date32()),
        ("DATETIME", [None], NTZ),
        ("BLOB", ["a"], pa.binary()),
        ("", [1, 2], pa.int64()),
        ("", [1, 2.5], pa.string()),
        ("", [1.5], pa.float64()),
    ):
        found = read_column(file, declared, values, cursor=by_id)
        assert found.table.schema.field("v").type == arrow, (declared, values)


def test_undeclared_columns_of_a_part_are_judged_by_all_rows(file: SqliteFile) -> None:
    read_column(file, "", [1, 2, None, 2.5])
    for lower, most in ((None, 1), ("2", 1), ("3", None)):
        assert (
            str(file.read("t", cursor=CursorRange("id", lower, max_rows=most)).table.schema.field("v").type) == "string"
        )


def test_declared_columns_are_judged_by_the_rows_of_the_part(file: SqliteFile) -> None:
    read_column(file, "INT", [1, 2, "many"])
    kinds = [
        file.read("t", cursor=CursorRange("id", lower, max_rows=1)).table.schema.field("v").type
        for lower in (None, "0", "1")
    ]
    assert kinds == [pa.int64(), pa.int64(), pa.string()]


def test_what_is_stored_as_text_stays_text(file: SqliteFile) -> None:
    found = read_column(file, "DATETIME", ["2024-02-29T10:00:00.500"], text_columns=("v",), cursor=CursorRange("id"))
    assert found.column("v") == ["2024-02-29 10:00:00.5"]
    assert read_column(file, "INT", [1], text_columns=("v", "id"), cursor=None).column("v") == ["1"]


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_databases_of_every_encoding(file: SqliteFile, encoding: str) -> None:
    file.path.unlink()
    file.execute(
        f"PRAGMA encoding = '{encoding}'; CREATE TABLE 'ünï' (id INTEGER PRIMARY KEY, 'ä🐘' TEXT, at DATETIME, b BLOB)"
    )
    file.insert("ünï", [(1, "🐘\0é", "2024-02-29 10:00", "ü"), (2, "z", None, b"\xff")])
    found = file.read("ünï")
    assert found.column("ä🐘") == ["🐘\0é", "z"]
    assert found.column("at") == [datetime(2024, 2, 29, 10), None]  # noqa: DTZ001
    assert found.column("b") == ["ü".encode(), b"\xff"]


def test_text_that_is_none_is_counted_and_can_be_had_as_bytes(file: SqliteFile) -> None:
    file.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INT)")
    with closing(file.connect()) as connection:
        for value in (b"ok", b"\xff\xfe", b"\xc3\x28"):
            connection.execute("INSERT INTO t (v, n) VALUES (CAST(? AS TEXT), CAST(? AS TEXT))", (value, value))
    found = file.read("t")
    assert (found.column("v"), found.column("n")) == (["ok", None, None], ["ok", None, None])
    assert found.warnings() == {("v", "not valid UTF-8"): 2, ("n", "not valid UTF-8"): 2}
    bytes_of_it = file.read("t", type_overrides={"v": "binary"})
    assert bytes_of_it.column("v") == [b"ok", b"\xff\xfe", b"\xc3\x28"]
    assert bytes_of_it.warnings() == {("n", "not valid UTF-8"): 2}


CHOICES: list[tuple[str, str, list[Any], pa.DataType, list[Any], dict[str, int]]] = [
    ("INT", "string", [1, 2.5, "a", b"\x01"], pa.string(), ["1", "2.5", "a", "X'01'"], {}),
    ("INT", "double", [2**53 + 1, 2.5, "a"], pa.float64(), [9007199254740992.0, 2.5, None], {"does not fit double": 1}),
    ("INT", "long", [7, "a", 2.5, b"1"], pa.int64(), [7, None, None, None], {"does not fit long": 3}),
    (
        "NUMERIC",
        "long",
        [10**15, 0.5, 1e300, math.inf],
        pa.int64(),
        [10**15, None, None, None],
        {"does not fit long": 2, "infinite": 1},
    ),
    (
        "NUMERIC",
        "decimal(10,2)",
        [12.34, 12, -99999999.99, 100000000, 0.001, math.inf, "x"],
        pa.decimal128(10, 2),
        [Decimal("12.34"), Decimal("12.00"), Decimal("-99999999.99"), None, None, None, None],
        {"does not fit decimal(10,2)": 3, "infinite": 1},
    ),
    ("INT", "decimal(38,0)", LONGS, pa.decimal128(38, 0), [Decimal(value) for value in LONGS], {}),
    ("REAL", "string", [0.1, 1e20, -math.inf, "x"], pa.string(), ["0.1", "1e+20", "-Infinity", "x"], {}),
    ("REAL", "double", [0.1, "x"], pa.float64(), [0.1, None], {"does not fit double": 1}),
    ("TEXT", "binary", ["ü", b"\xff", 5], pa.binary(), ["ü".encode(), b"\xff", b"5"], {}),
    ("BLOB", "string", ["ü", b"\xff", 5], pa.string(), ["ü", "X'FF'", "5"], {}),
    ("", "string", [1, "1", None], pa.string(), ["1", "1", None], {}),
    ("DATETIME", "string", ["2024-02-29T10:00"], pa.string(), ["2024-02-29T10:00"], {}),
    (
        "DATETIME",
        "timestamp",
        ["2024-02-29T10:00:00.5", "2024-02-29 10:00+02:00", 1709164800, 10**12, "soon", 0.5, "0001-01-01 00:00+01:00"],
        ZONED,
        [
            datetime(2024, 2, 29, 10, 0, 0, 500000, UTC),
            datetime(2024, 2, 29, 8, tzinfo=UTC),
            datetime(2024, 2, 29, tzinfo=UTC),
            None,
            None,
            None,
            None,
        ],
        {"outside the years 1 to 9999": 2, "does not fit timestamp": 2},
    ),
    ("DATE", "timestamp_ntz", ["2024-02-29", -1], NTZ, [datetime(2024, 2, 29), datetime(1969, 12, 31, 23, 59, 59)], {}),  # noqa: DTZ001
]


@pytest.mark.parametrize(("declared", "chosen", "values", "arrow", "expected", "lost"), CHOICES)
def test_types_that_the_user_chose(
    file: SqliteFile,
    declared: str,
    chosen: str,
    values: list[Any],
    arrow: pa.DataType,
    expected: list[Any],
    lost: dict[str, int],
) -> None:
    found = read_column(file, declared, [*values, None], type_overrides={"v": chosen, "gone": "string"})
    assert found.table.schema.field("v").type == arrow
    assert found.column("v") == [*expected, None]
    assert found.warnings() == {("v", reason): count for reason, count in lost.items()}


def test_a_choice_that_became_impossible(file: SqliteFile) -> None:
    with pytest.raises(SchemaChangedError, match="change its type override") as caught:
        read_column(file, "BLOB", [1], type_overrides={"v": "long"})
    assert caught.value.attr == "type_overrides"


def test_keys_whose_copies_could_not_be_told_apart(file: SqliteFile) -> None:
    for declared, values in (("", [1, "1"]), ("BLOB", ["a", b"a"]), ("", ["X'00'", b"\x00"])):
        file.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (v {declared} PRIMARY KEY, n INT)")
        file.insert("t", [(value, n) for n, value in enumerate(values)])
        assert len(file.read("t").column("n")) == 2
        with pytest.raises(SchemaChangedError, match="several types"):
            file.read("t", cursor=CursorRange("n", "5"))
    file.execute("DROP TABLE t; CREATE TABLE t (v PRIMARY KEY, n INT)")
    file.insert("t", [(1, 1), (2.5, 2)])
    assert file.read("t", cursor=CursorRange("n")).column("v") == ["1", "2.5"]


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8")),
    st.binary(),
)
DECLARED = ["INTEGER", "REAL", "NUMERIC", "TEXT", "BLOB", "DATE", "DATETIME", "", "UUID"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(DECLARED), st.lists(VALUES, max_size=12), st.booleans())
def test_no_value_is_lost(file: SqliteFile, declared: str, values: list[Any], by_cursor: bool) -> None:
    """What SQLite holds can be told from what arrives: numbers by their value, all else by its characters or bytes."""
    found = read_column(file, declared, values, cursor=CursorRange("id") if by_cursor else None)
    held = file.rows("SELECT typeof(v), v FROM t ORDER BY id")
    assert found.warnings() == {}
    for (storage, value), copied in zip(held, found.column("v"), strict=True):
        match storage, copied:
            case "null", _:
                assert copied is None
            case (("integer" | "real"), bytes() | str()):
                assert type(value)(copied) == value
            case (("integer" | "real"), _):
                assert struct.pack("d", value) == struct.pack("d", copied) if storage == "real" else copied == value
            case "text", bytes():
                assert copied.decode() == value
            case "text", _:
                assert copied == value
            case "blob", bytes():
                assert copied == value
            case _:
                assert copied == f"X'{value.hex().upper()}'"


def test_strict_tables(file: SqliteFile) -> None:
    file.execute("CREATE TABLE t (id INT PRIMARY KEY, r REAL, s TEXT, b BLOB, x ANY, half INT AS (r / 2)) STRICT")
    file.insert("t (id, r, s, b, x)", [(1, 3, "a", b"\x01", 1), (2, 2, "b", None, "1")])
    assert file.read("t").table.to_pylist() == [
        {"id": 1, "r": 3.0, "s": "a", "b": b"\x01", "x": "1", "half": 1.5},
        {"id": 2, "r": 2.0, "s": "b", "b": None, "x": "1", "half": 1.0},
    ]
