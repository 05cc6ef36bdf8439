"""Stored values that become text are the text that PostgreSQL gives of them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.texts import as_text
from local.postgres import PostgresServer

KINDS: dict[str, tuple[st.SearchStrategy[Any], pa.DataType]] = {
    "float8": (st.floats(), pa.float64()),
    "float4": (st.floats(width=32), pa.float32()),
    "timestamp": (st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), pa.timestamp("us")),  # noqa: DTZ001
    "numeric(12,2)": (st.decimals(-(10**8), 10**8, places=2), pa.decimal128(12, 2)),
    "date": (st.dates(), pa.date32()),
}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([1e15, 999999999999999.0, -0.0, 0.0, None]), ["1e+15", "999999999999999", "-0", "0", None]),
        (pa.array([float("nan"), float("-inf"), 0.0001, 0.00001]), ["NaN", "-Infinity", "0.0001", "1e-05"]),
        (
            pa.array([6.102429688306722e16, -6.102429688306722e16]),
            ["6.1024296883067216e+16", "-6.1024296883067216e+16"],
        ),
        (pa.array([1e6, 123456.0], pa.float32()), ["1e+06", "123456"]),
        (
            pa.array([Decimal("1.5"), Decimal(0), Decimal("1e-18")], pa.decimal128(38, 18)),
            ["1.5", "0", "0." + "0" * 17 + "1"],
        ),
        (pa.array([Decimal("1.50"), Decimal(100)], pa.decimal128(10, 2)), ["1.50", "100.00"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([date(1, 1, 1)]), ["0001-01-01"]),
        (pa.array([datetime(2024, 2, 29, 10, 20, 30, 400, UTC)]), ["2024-02-29 10:20:30.0004+00"]),
    ],
)
def test_known_texts(values: pa.Array, text: list[str | None]) -> None:
    assert as_text(values).to_pylist() == text


@pytest.fixture(scope="module")
def database(postgres18: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with postgres18.connect() as connection:
        yield connection


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_value_has_the_text_of_the_database(
    database: psycopg.Connection[Any], name: str, data: st.DataObject
) -> None:
    strategy, arrow = KINDS[name]
    values = data.draw(st.lists(strategy, min_size=1, max_size=60))
    query = f"SELECT CAST(v AS {name})::text FROM unnest(%s::text[]) WITH ORDINALITY AS g (v, n) ORDER BY n"
    rows = database.execute(query.encode(), [[str(value) for value in values]])
    assert as_text(pa.array(values, arrow)).to_pylist() == [text for (text,) in rows]
