"""What becomes of values, by the schema that a tap gives them: none is altered, and none is lost."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.base import CursorRange
from tests.connectors.reading import ReadResult
from tests.connectors.singer.bench import Bench, Message, record, schema

NUMBER = pa.decimal128(38, 18)
ZONED = pa.timestamp("us", "UTC")
TEXT = pa.string()
MOMENT = {"type": ["null", "string"], "format": "date-time"}
UUID = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"
DAY = {"type": "string", "format": "date"}


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


CASES: list[tuple[Any, list[str], pa.DataType, list[Any]]] = [
    ({"type": "integer"}, ["1", "-9223372036854775808", "1.0", "1e3"], pa.int64(), [1, -(2**63), 1, 1000]),
    ({"type": "integer"}, ["1", "9223372036854775808"], NUMBER, [Decimal(1), Decimal(2**63)]),
    ({"type": "integer"}, ["1", "123456789012345678901234567890"], TEXT, ["1", "123456789012345678901234567890"]),
    ({"type": "integer"}, ["1e99999", "1e99999999999999999999"], TEXT, ["1e99999", "1e99999999999999999999"]),
    ({"type": ["number", "null"]}, ["0.1", "12", "1e-7"], NUMBER, [Decimal("0.1"), Decimal(12), Decimal("1e-7")]),
    ({"type": "number"}, ["-1.50", "-0.0"], NUMBER, [Decimal("-1.5"), Decimal(0)]),
    ({"type": "number"}, ["12345678901234567.123456789"], NUMBER, [Decimal("12345678901234567.123456789")]),
    ({"type": "number", "multipleOf": 0.01}, ["0.10"], NUMBER, [Decimal("0.1")]),
    ({"type": "number"}, ["0.1", "0.1234567890123456789"], TEXT, ["0.1", "0.1234567890123456789"]),
    ({"type": "number"}, ["1e300", "1.50"], TEXT, ["1e300", "1.50"]),
    ({"type": "string", "format": "singer.decimal"}, ['"1.50"', '"2"'], NUMBER, [Decimal("1.5"), Decimal(2)]),
    ({"type": "boolean"}, ["true", "false", "null"], pa.bool_(), [True, False, None]),
    ({"type": "string"}, ['"a\\u0000b"', '"1"', '"\\ud83d\\udc18"', '""'], TEXT, ["a\0b", "1", "\N{ELEPHANT}", ""]),
    ({"type": "string", "format": "uuid"}, [f'"{UUID}"'], TEXT, [UUID]),
    ({"type": "string", "format": "time"}, ['"01:02:03.5"'], TEXT, ["01:02:03.5"]),
    (MOMENT, ['"2024-02-29T01:02:03.000004Z"'], ZONED, [at(2024, 2, 29, 1, 2, 3, 4)]),
    (MOMENT, ['"2024-01-01T00:00:00+05:30"'], ZONED, [at(2023, 12, 31, 18, 30)]),
    (MOMENT, ['"2024-02-29 01:02:03"', '"2024-02-29"'], ZONED, [at(2024, 2, 29, 1, 2, 3), at(2024, 2, 29)]),
    (MOMENT, ['"2024-02-29T01:02:03Z"', '"soon"'], TEXT, ["2024-02-29T01:02:03Z", "soon"]),
    (MOMENT, ['"2024-02-29T01:02:03.000000001Z"'], TEXT, ["2024-02-29T01:02:03.000000001Z"]),
    (DAY, ['"2024-02-29"', '"9999-12-31"'], pa.date32(), [date(2024, 2, 29), date(9999, 12, 31)]),
    (DAY, ['"2024-02-29"', '"2024-02-30"'], TEXT, ["2024-02-29", "2024-02-30"]),
    ({"type": "object"}, ['{"b": 1.50, "a": [null]}'], TEXT, ['{"b":1.50,"a":[null]}']),
    ({"type": "array", "items": {"type": "number"}}, ["[1.50, 2]"], TEXT, ["[1.50,2]"]),
    ({}, ['"a"', "1.50", "true", "[1]", "null"], TEXT, ["a", "1.50", "true", "[1]", None]),
    ({"type": ["string", "integer"]}, ['"a"', "17"], TEXT, ["a", "17"]),
    ({"type": ["integer", "number"]}, ["17", "1.5"], NUMBER, [Decimal(17), Decimal("1.5")]),
    ({"anyOf": [MOMENT, {"type": "null"}]}, ['"2024-02-29T00:00:00Z"', "null"], ZONED, [at(2024, 2, 29), None]),
    ({"anyOf": [MOMENT, {"type": "string"}]}, ['"2024-02-29T00:00:00Z"'], TEXT, ["2024-02-29T00:00:00Z"]),
    ({"oneOf": [{"type": "integer"}, {"type": "object"}]}, ["1", "{}"], TEXT, ["1", "{}"]),
    ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, ["17"], pa.int64(), [17]),
    ({"$ref": "#/definitions/count"}, ["17"], pa.int64(), [17]),
    ({"$ref": "#/definitions/loop"}, ["17"], TEXT, ["17"]),
    ({"$ref": "https://example.com/count.json"}, ["17"], TEXT, ["17"]),
    ({"enum": [1, 2]}, ["1"], TEXT, ["1"]),
]  # fmt: skip
DEFINITIONS = {"count": {"type": "integer"}, "loop": {"$ref": "#/definitions/loop"}}


def written(members: str) -> str:
    """A record whose values are written as they are here."""
    return f'{{"type": "RECORD", "stream": "t", "record": {{{members}}}}}'


def test_each_kind_of_value(bench: Bench) -> None:
    """All in one stream, a column for each case."""
    names = [f"c{number:02}" for number in range(len(CASES))]
    declared = {name: case[0] for name, case in zip(names, CASES, strict=True)}
    rows = max(len(case[1]) for case in CASES)
    lines = []
    for row in range(rows):
        values = [f'"{name}": {case[1][row]}' for name, case in zip(names, CASES, strict=True) if row < len(case[1])]
        lines.append(written(", ".join(values)))
    bench.put("t", schema("t", declared, definitions=DEFINITIONS), *lines)
    found = bench.read("t")
    assert found.table.schema.names == names
    for name, (told, given, kind, values) in zip(names, CASES, strict=True):
        assert found.table.schema.field(name).type == kind, told
        assert found.column(name) == values + [None] * (rows - len(given)), told
    assert found.warnings() == {}


def test_what_no_type_holds_is_null_and_counted(bench: Bench) -> None:
    line = written('"n": NaN, "i": 1, "d": "0000-01-01", "m": "0000-01-01T00:00:00Z"')
    declared = {"n": {"type": "number"}, "i": {"type": "integer"}, "d": DAY, "m": MOMENT}
    bench.put("t", schema("t", declared), line, line.replace("NaN", "-Infinity"), record("t", n=1.5))
    found = bench.read("t")
    assert found.column("n") == [None, None, Decimal("1.5")]
    out_of_range = "outside the years 1 to 9999"
    assert found.warnings() == {
        ("n", "NaN"): 1,
        ("n", "infinite"): 1,
        ("d", out_of_range): 2,
        ("m", out_of_range): 2,
    }
    assert bench.read("t", type_overrides={"n": "double"}).column("n")[1:] == [float("-inf"), 1.5]


def test_types_that_were_chosen_and_what_the_lake_has(bench: Bench) -> None:
    declared = {"n": {"type": "number"}, "m": MOMENT, "i": {"type": "integer"}}
    bench.put("t", schema("t", declared), written('"n": 1.50, "m": "2024-02-29T00:00:00.5Z", "i": 1'))
    chosen = bench.read("t", type_overrides={"n": "string", "m": "timestamp_ntz", "i": "decimal(3,1)"})
    assert chosen.table.to_pylist() == [{"n": "1.50", "m": datetime(2024, 2, 29, 0, 0, 0, 500_000), "i": Decimal(1)}]  # noqa: DTZ001
    stored = bench.read("t", text_columns=("n", "m"))
    assert stored.table.to_pylist() == [{"n": "1.5", "m": "2024-02-29 00:00:00.5+00", "i": 1}]


def read_all_of(bench: Bench, *messages: Message | str) -> ReadResult:
    bench.put("t", *messages)
    return bench.read("t")


def test_properties_that_no_schema_declares_are_kept(bench: Bench) -> None:
    begin = schema("t", {"id": {"type": "integer"}, "gone": {"type": "boolean"}})
    found = read_all_of(bench, begin, record("t", id=1, more=1.5, no=None), record("t", id=2, more=2, other=["x"]))
    assert found.table.to_pylist() == [
        {"id": 1, "gone": None, "more": Decimal("1.5"), "no": None, "other": None},
        {"id": 2, "gone": None, "more": Decimal(2), "no": None, "other": '["x"]'},
    ]
    assert bench.read("t", type_overrides={"no": "long"}).column("no") == [None, None]
    assert "no" not in bench.read("t", cursor=CursorRange("id", "1")).table.schema.names
    assert bench.read("t", columns=("id", "more")).table.schema.names == ["id", "more"]


def test_a_schema_that_changes_on_the_way(bench: Bench) -> None:
    found = read_all_of(
        bench,
        schema("t", {"id": {"type": "integer"}, "a": {"type": "integer"}, "b": MOMENT}),
        record("t", id=1, a=1, b="2024-02-29T00:00:00Z"),
        schema("t", {"id": {"type": "integer"}, "a": {"type": "number"}, "b": {"type": "boolean"}, "c": DAY}),
        record("t", id=2, a=1.5, b=True, c="2024-02-29"),
    )
    assert found.table.to_pylist() == [
        {"id": 1, "a": Decimal(1), "b": "2024-02-29T00:00:00Z", "c": None},
        {"id": 2, "a": Decimal("1.5"), "b": "true", "c": date(2024, 2, 29)},
    ]


def test_an_empty_stream_has_the_types_of_its_schema(bench: Bench) -> None:
    found = read_all_of(bench, schema("t", {"id": {"type": "integer"}, "m": MOMENT, "x": {}}))
    assert found.table.schema == pa.schema([("id", pa.int64()), ("m", ZONED), ("x", TEXT)])
    assert found.table.num_rows == 0


def test_a_type_that_widens_late(bench: Bench) -> None:
    """In a piece behind the first ones, which are of the wider type then as well."""
    count = 20_000
    rows = [written(f'"i": {number}') for number in range(count)]
    found = read_all_of(bench, schema("t", {"i": {"type": "integer"}}), *rows, record("t", i=2**63))
    assert found.table.schema.field("i").type == NUMBER
    assert found.column("i") == [*map(Decimal, range(count)), Decimal(2**63)]
