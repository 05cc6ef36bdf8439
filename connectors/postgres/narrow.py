"""The narrow driver: psycopg reads binary ``COPY`` one row at a time, so that memory follows the size of a row.

Slower by far than DuckDB, which holds 2,048 rows at least; made for wide rows. The values are the same to the bit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.abc import Query

from connectors.postgres.columns import ColumnPlan
from connectors.postgres.session import Reading, begin, connect, session_settings

MAXIMUM_ROWS = 16_384

_POSTGRES_EPOCH_DAYS = 10_957
_POSTGRES_EPOCH_MICROSECONDS = 946_684_800_000_000
_TRAVELS_AS = {"date": "int4", "timestamp": "int8", "timestamptz": "int8", "text": "bytea"}
"""Times are read as the integers that they are on the wire: Python's own have no infinity and no year 10000; texts as
their bytes, which Python need not understand.
"""


class NarrowSession:
    """One reading transaction through psycopg."""

    def __init__(self, reading: Reading, connection: psycopg.Connection, size_bytes: int) -> None:
        self._reading = reading
        self._connection = connection
        self._size_bytes = size_bytes

    @classmethod
    @contextmanager
    def open(cls, reading: Reading, size_bytes: int) -> Iterator["NarrowSession"]:
        """``size_bytes``: how much a chunk may hold, except where a single row holds more."""
        with connect(reading.config, reading.name) as connection:
            begin(connection, reading.snapshot)
            session = cls(reading, connection, size_bytes)
            session.rows(session_settings(reading.statement_seconds))
            yield session

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        try:
            return self._connection.execute(_trusted(sql)).fetchall()
        except psycopg.Error as error:
            raise self._reading.error(error) from error

    def chunks(self, sql: str, plans: Sequence[ColumnPlan]) -> Iterator[pa.RecordBatch]:
        """Rows in the order of the query, gathered to chunks."""
        names = [f"c{number}" for number in range(len(plans))]
        copy_sql = _trusted(f"COPY ({sql}) TO STDOUT (FORMAT binary)")
        try:
            with self._connection.cursor() as cursor, cursor.copy(copy_sql) as copy:
                copy.set_types([_TRAVELS_AS.get(plan.wire, plan.wire) for plan in plans])
                for rows in _gathered(copy.rows(), self._size_bytes):
                    columns = zip(*rows, strict=True)
                    arrays = [_array(plan, values) for plan, values in zip(plans, columns, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, names=names)
        except psycopg.Error as error:
            raise self._reading.error(error) from error


def _trusted(sql: str) -> Query:
    """Our own text, every name and value in it quoted already; bytes keep psycopg from looking for parameters."""
    return sql.encode()


def _gathered(rows: Iterator[tuple[Any, ...]], size_bytes: int) -> Iterator[list[tuple[Any, ...]]]:
    gathered: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        gathered.append(row)
        size += sum(len(value) + 16 if isinstance(value, str | bytes) else 16 for value in row)
        if size >= size_bytes or len(gathered) >= MAXIMUM_ROWS:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered


def _array(plan: ColumnPlan, values: tuple[Any, ...]) -> pa.Array:
    if plan.wire == "uuid":
        return pa.array([None if value is None else str(value) for value in values], plan.arrow)
    if plan.wire == "date":
        return _times(values, 32, _POSTGRES_EPOCH_DAYS, pa.int32()).view(plan.arrow)
    if plan.wire in ("timestamp", "timestamptz"):
        return _times(values, 64, _POSTGRES_EPOCH_MICROSECONDS, pa.int64()).view(plan.arrow)
    return pa.array(values, pa.binary() if plan.wire == "text" else plan.carried)


def _times(values: tuple[Any, ...], bits: int, epoch: int, storage: pa.DataType) -> pa.Array:
    """Since 1970 in place of 2000; infinity as DuckDB gives it, and what overflows as an impossible time."""
    infinity = 2 ** (bits - 1) - 1
    moved = _mover(infinity, epoch)
    return pa.array([None if value is None else moved(value) for value in values], storage)


def _mover(infinity: int, epoch: int) -> Callable[[int], int]:
    def moved(value: int) -> int:
        if value in (infinity, -infinity - 1):
            return infinity if value > 0 else -infinity
        return min(value + epoch, infinity - 1)

    return moved
