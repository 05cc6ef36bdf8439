"""Rows of any types and values: what is read is what PostgreSQL itself says of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.postgres import PostgresServer
from tests.connectors.source import Source
from tests.connectors.type_cases import exact

CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
TEXT = st.text(CHARACTERS, max_size=40)
LARGE = st.integers(-(10**60), 10**60)
YEARS = st.one_of(st.integers(-4712, 294276), st.integers(-1, 2), st.integers(9998, 10001))


@dataclass(frozen=True)
class Kind:
    """``values`` as Postgres takes them; ``read`` makes of its own text what the lake has, None where it has none."""

    type: str
    values: st.SearchStrategy[str]
    read: Callable[[str], Any]


def moment(text: str) -> datetime | None:
    """Of a time in Postgres' ISO text; None outside the years that the lake has."""
    if "infinity" in text or text.endswith("BC") or text.index("-") > 4:
        return None
    return datetime.fromisoformat(text)


def number(text: str) -> Decimal | None:
    return Decimal(text) if Decimal(text).is_finite() else None


def day(text: str) -> date | None:
    return None if moment(text) is None else date.fromisoformat(text)


@st.composite
def times(draw: st.DrawFn, form: str = "-%m-%d %H:%M:%S.%f") -> str:
    year = draw(YEARS)
    rest = draw(st.datetimes(datetime(2001, 1, 1), datetime(2001, 12, 31)))  # noqa: DTZ001
    era = f"{year:04d}" if year > 0 else f"{1 - year:04d}"
    return f"{era}{rest.strftime(form)}{'' if year > 0 else ' BC'}"


INFINITE = st.sampled_from(["infinity", "-infinity"])
NOT_FINITE = st.sampled_from(["NaN", "Infinity", "-Infinity"])
KINDS = [
    Kind("smallint", st.integers(-(2**15), 2**15 - 1).map(str), int),
    Kind("bigint", st.integers(-(2**63), 2**63 - 1).map(str), int),
    Kind("real", st.floats(width=32).map(str) | NOT_FINITE, lambda text: pa.scalar(float(text), pa.float32()).as_py()),
    Kind("double precision", st.floats().map(str) | NOT_FINITE, float),
    Kind("numeric(12,3)", st.decimals(-(10**8), 10**8, places=3).map(str) | st.just("NaN"), number),
    Kind("numeric", st.decimals(-(10**19), 10**19, places=18).map(str) | NOT_FINITE, number),
    Kind("numeric(70,4)", LARGE.map(str) | st.just("NaN"), number),
    Kind("text", TEXT, str),
    Kind("varchar(40)", TEXT, str),
    Kind("char(7)", st.text(CHARACTERS, max_size=7), str),
    Kind("bytea", st.binary(max_size=30).map(lambda value: rf"\x{value.hex()}"), lambda text: bytes.fromhex(text[2:])),
    Kind("date", times("-%m-%d") | INFINITE, day),
    Kind("timestamp", times() | INFINITE, moment),
    Kind("timestamptz", times() | INFINITE, lambda text: (found := moment(text)) and found.astimezone(UTC)),
    Kind("uuid", st.uuids().map(str), str),
]
ROWS = st.lists(st.tuples(*(st.none() | kind.values for kind in KINDS)), min_size=1, max_size=12)
SHOWN = ", ".join(f"CASE WHEN v{number} IS NOT NULL THEN format('%s', v{number}) END" for number in range(len(KINDS)))


@pytest.fixture(scope="module")
def kept(postgres18: PostgresServer) -> Iterator[tuple[Source, psycopg.Connection[Any]]]:
    """A table of all kinds, and a connection to write and look with."""
    source = Source(postgres18, postgres18.create_database())
    columns = ", ".join(f"v{number} {kind.type}" for number, kind in enumerate(KINDS))
    source.execute(f"CREATE TABLE kept (id int PRIMARY KEY, {columns})")
    with postgres18.connect(source.database) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield source, connection
    postgres18.drop_database(source.database)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=ROWS)
def test_what_is_read_is_what_postgres_says(
    kept: tuple[Source, psycopg.Connection[Any]], rows: list[tuple[str | None, ...]]
) -> None:
    source, connection = kept
    places = ", ".join(f"CAST(%s AS {kind.type})" for kind in KINDS)
    with connection.transaction():
        connection.execute("DELETE FROM kept")
        connection.cursor().executemany(f"INSERT INTO kept VALUES (%s, {places})".encode(), list(enumerated(rows)))
    said = connection.execute(f"SELECT id, {SHOWN} FROM kept ORDER BY id".encode()).fetchall()

    for result in (source.read("kept"), source.read("kept", narrow=True)):
        found = result.table.sort_by("id")
        for place, kind in enumerate(KINDS):
            texts = [row[place + 1] for row in said]
            expected = [None if text is None else exact(kind.read(text)) for text in texts]
            values = found.column(f"v{place}").to_pylist()
            if kind.read is number:
                values = [value if value is None else Decimal(value) for value in values]
            assert [exact(value) for value in values] == expected, kind.type
            lost = sum(text is not None and value is None for text, value in zip(texts, values, strict=True))
            counts = [count for (column, _), count in result.warnings().items() if column == f"v{place}"]
            assert sum(counts) == lost, kind.type


def enumerated(rows: list[tuple[str | None, ...]]) -> Iterator[tuple[Any, ...]]:
    return ((number, *row) for number, row in enumerate(rows))
