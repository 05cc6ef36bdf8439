"""What is inferred of texts, and that no text is altered by it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.inference.kinds import ANY, BOOLEAN, DATE, EMPTY, LONG, NUMBER, TEXT, TIME, ZONED, common, inferred

TYPED: list[tuple[list[str], pa.DataType, list[Any]]] = [
    (["0", "-1", "9223372036854775807"], LONG, [0, -1, 9223372036854775807]),
    (["9223372036854775808"], NUMBER, [Decimal("9223372036854775808")]),
    (["1.50", "-0.25", "3"], NUMBER, [Decimal("1.50"), Decimal("-0.25"), Decimal(3)]),
    (["12345678901234567890.123456789012345678"], NUMBER, [Decimal("12345678901234567890.123456789012345678")]),
    (["true", "False", "TRUE"], BOOLEAN, [True, False, True]),
    (["2026-01-31", "0001-01-01", "9999-12-31"], DATE, [date(2026, 1, 31), date.min, date.max]),
    (
        ["2026-01-31 12:00:00.000001", "2026-01-31T12:00"],
        TIME,
        [datetime.fromisoformat("2026-01-31T12:00:00.000001"), datetime.fromisoformat("2026-01-31T12:00:00")],
    ),
    (
        ["2026-01-31T12:00:00Z", "2026-01-31 12:00:00+05:30"],
        ZONED,
        [datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 1, 31, 6, 30, tzinfo=UTC)],
    ),
]
TEXTS = [
    *(["007"], ["+1"], ["-0"], ["0x1F"], [" 1"], ["1 "], ["1e5"], ["1,5"], ["1_000"], ["NaN"], ["inf"], ["."], ["1."]),
    *([".5"], ["00.5"], ["1.1234567890123456789"], ["123456789012345678901"], ["1", "x"], ["1", "true"], ["", "1"]),
    *(["yes"], ["t"], ["true", "1"], ["2026-1-2"], ["31.01.2026"], ["2026-02-30"], ["0000-01-01"], ["10000-01-01"]),
    *(["2026-01-31", "2026-01-31 12:00:00"], ["2026-01-31 12:00:00", "2026-01-31 12:00:00Z"], ["12:00:00"]),
    *(["2026-01-31 12:00:00.1234567"], ["2026-01-31 12:00:60"], ["0000-01-01 00:00:00"], ["20260131"[:7] + "x"]),
]


@pytest.mark.parametrize(("texts", "kind", "values"), TYPED)
def test_texts_that_are_values(texts: list[str], kind: pa.DataType, values: list[Any]) -> None:
    array = pa.array([*texts, None], TEXT)
    assert inferred(EMPTY, array) == kind
    assert array.cast(kind).to_pylist() == [*values, None]


@pytest.mark.parametrize("texts", TEXTS)
def test_texts_that_stay_texts(texts: list[str]) -> None:
    assert inferred(EMPTY, pa.array(texts, TEXT)) == TEXT
    # However the values are spread over what is looked at.
    known = EMPTY
    for text in texts * 30:
        known = inferred(known, pa.array([text], TEXT))
    assert known == TEXT


def test_a_late_value_is_seen() -> None:
    assert inferred(EMPTY, pa.array(["1"] * 1000 + ["2.5"], TEXT)) == NUMBER
    assert inferred(EMPTY, pa.array(["1"] * 1000 + ["x"], TEXT)) == TEXT
    assert inferred(LONG, pa.array(["2.5"], TEXT)) == NUMBER
    assert inferred(NUMBER, pa.array(["2"], TEXT)) == NUMBER
    assert inferred(EMPTY, pa.array([None], TEXT)) == EMPTY


@given(st.lists(st.text(st.sampled_from("0123456789.-+eE: TZ"), max_size=12), min_size=1, max_size=5))
def test_what_is_no_text_says_the_same_as_its_text(texts: list[str]) -> None:
    kind = inferred(EMPTY, pa.array(texts, TEXT))
    if kind in (LONG, DATE):
        assert pa.array(texts, TEXT).cast(kind).cast(TEXT).to_pylist() == texts
    if kind == NUMBER:
        assert pa.array(texts, TEXT).cast(kind).to_pylist() == [Decimal(text) for text in texts]


SOME = [
    *ANY,
    *(TEXT, EMPTY, pa.int16(), pa.int32(), pa.float32(), pa.float64()),
    *(pa.decimal128(5, 2), pa.decimal128(10, 0), pa.decimal128(38, 0), pa.decimal128(20, 20)),
]


@pytest.mark.parametrize("one", SOME, ids=str)
@pytest.mark.parametrize("other", SOME, ids=str)
def test_reconciling_has_no_order(one: pa.DataType, other: pa.DataType) -> None:
    assert common([one, other]) == common([other, one]) == common([one, other, EMPTY, one])


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ([LONG, NUMBER], NUMBER),
        ([pa.int16(), LONG], LONG),
        ([pa.int32(), pa.float32()], pa.float64()),
        ([LONG, pa.float64()], TEXT),
        ([pa.decimal128(5, 2), pa.int32()], pa.decimal128(12, 2)),
        ([pa.decimal128(38, 0), pa.decimal128(20, 20)], TEXT),
        ([DATE, TIME], TEXT),
        ([TIME, ZONED], TEXT),
        ([BOOLEAN, LONG], TEXT),
        ([EMPTY, pa.binary()], pa.binary()),
        ([EMPTY, EMPTY], EMPTY),
    ],
    ids=str,
)
def test_types_across_files(kinds: list[pa.DataType], found: pa.DataType) -> None:
    assert common(kinds) == found
