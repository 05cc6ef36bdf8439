import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.cursor import decode, encode, minus_lookback

INTEGERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
NUMBERS = st.decimals(min_value=-(10**20) + 1, max_value=10**20 - 1, places=18)
ZONES = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
PLAIN_TIMES = st.datetimes()
ZONED_TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001

TYPED = st.one_of(
    st.tuples(INTEGERS, st.just("integer")),
    st.tuples(NUMBERS, st.just("numeric")),
    st.tuples(st.dates(), st.just("date")),
    st.tuples(PLAIN_TIMES, st.just("timestamp")),
    st.tuples(ZONED_TIMES, st.just("datetime")),
    st.tuples(st.text(), st.just("objectid")),
)


@given(TYPED)
def test_nothing_is_lost(typed: tuple[Any, str]) -> None:
    value, field_type = typed
    assert decode(encode(value), field_type) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_to_the_bit(value: float) -> None:
    assert float(decode(encode(value), "numeric")) == value  # type: ignore[arg-type]


@given(st.one_of(st.tuples(*[typed] * 2) for typed in (INTEGERS, NUMBERS, st.dates(), PLAIN_TIMES, ZONED_TIMES)))
def test_equal_values_have_equal_texts_and_no_others(pair: tuple[Any, Any]) -> None:
    assert (encode(pair[0]) == encode(pair[1])) == (pair[0] == pair[1])


@pytest.mark.parametrize(
    ("values", "arrow", "field_type"),
    [
        (INTEGERS, pa.int64(), "integer"),
        (NUMBERS, pa.decimal128(38, 18), "numeric"),
        (st.dates(), pa.date32(), "date"),
        (PLAIN_TIMES, pa.timestamp("us"), "timestamp"),
        (ZONED_TIMES, pa.timestamp("us", "UTC"), "timestamp"),
    ],
)
def test_arrow_and_python_agree(values: st.SearchStrategy[Any], arrow: pa.DataType, field_type: str) -> None:
    @given(values)
    def agree(value: Any) -> None:
        assert encode(pa.scalar(value, arrow)) == encode(value)

    agree()


def test_texts() -> None:
    assert encode(Decimal("1.500")) == encode(1.5) == "1.5"
    assert encode(Decimal("-0.00")) == "0"
    assert encode(Decimal("1E+3")) == "1000"
    assert encode(datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2024-01-01T22:00:00.000000+00:00"
    assert encode(datetime(2024, 1, 2)) == "2024-01-02T00:00:00.000000"  # noqa: DTZ001


def test_look_back() -> None:
    moment = datetime(2024, 3, 1, 0, 0, 1, 5, tzinfo=UTC)
    assert minus_lookback(encode(moment), "timestamp", 90) == "2024-02-29T23:58:31.000005+00:00"
    assert minus_lookback("2024-03-01", "date", 86_400) == "2024-02-29"
    assert minus_lookback("2024-03-01", "date", 1) == "2024-02-29"
    assert minus_lookback("2024-03-01", "date", 0) == "2024-03-01"
    assert minus_lookback("0001-01-02", "date", 10**9) == "0001-01-01"
    assert minus_lookback(encode(datetime.min), "timestamp", 5) == encode(datetime.min)  # noqa: DTZ901
    with pytest.raises(ValueError, match="look-back"):
        minus_lookback("5", "integer", 60)


@pytest.mark.parametrize("value", [None, True, math.nan, math.inf, Decimal("NaN"), b"x", pa.scalar(None, pa.int64())])
def test_what_is_no_cursor(value: Any) -> None:
    with pytest.raises(ValueError, match="cannot be a cursor"):
        encode(value)


@pytest.mark.parametrize(
    ("text", "field_type"),
    [("x", "integer"), ("1.5", "integer"), ("NaN", "numeric"), ("1 2", "numeric"), ("tomorrow", "date"), ("1", "mood")],
)
def test_what_is_no_value_of_its_type(text: str, field_type: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(text, field_type)


def test_dates_are_no_times() -> None:
    assert encode(date(2024, 1, 1)) == "2024-01-01"
