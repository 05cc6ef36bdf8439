"""What a copy holds, compared with its source value by value: rows, and a checksum that does not depend on order.

As ``local.demo.contents``, and besides: DuckDB computes the checksums of a copy, wide tables and plain timestamps are
compared too, and a copy whose types are others than ours is compared as far as its values can be told, naming what
it altered.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from psycopg import sql

from local.demo.contents import Contents

_SEPARATOR = "\x1f"
_NULL = "\\N"
MOST_LOOKED_AT = 20
"""Columns of a copy that differs: each is a scan of its own, and a wide table in CSV has hundreds."""
_BATCH_ROWS = 32_768
_MOST_NAMED = 4


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    """As PostgreSQL writes it: ``numeric(15,2)``."""


@dataclass
class Comparison:
    """Of one or more tables."""

    equal: bool = True
    rows: int = 0
    altered: list[str] = field(default_factory=list)
    """Types that are not the source's, and columns whose values differ."""

    def add(self, other: "Comparison") -> None:
        self.equal, self.rows = self.equal and other.equal, self.rows + other.rows
        self.altered += [text for text in other.altered if text not in self.altered]

    def __str__(self) -> str:
        named = ", ".join(self.altered[:_MOST_NAMED]) + (", …" if len(self.altered) > _MOST_NAMED else "")
        return ("equal" if self.equal else "DIFFERENT") + (f" ({named})" if named else "")


class SourceTable:
    """One table as it is now. Its contents are computed once: make a new one where it has changed."""

    def __init__(self, connection: psycopg.Connection[Any], name: str) -> None:
        self._connection, self._name = connection, name
        self._by_column: dict[str, str] | None = None
        query = (
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        self.columns = [Column(*row) for row in connection.execute(query, [f'public."{name}"'])]
        texts = [_source_text(column) for column in self.columns]
        row = sql.SQL("concat_ws({}, VARIADIC ARRAY[{}])").format(_SEPARATOR, sql.SQL(", ").join(texts))
        rows, checksum = self._ask([sql.SQL("count(*)"), _source_sum(row)])
        self.contents = Contents(rows, _as_hex(checksum))

    def compare(self, dataset: ds.Dataset) -> Comparison:
        """With a copy, which may have more columns."""
        missing = [column.name for column in self.columns if column.name not in dataset.schema.names]
        if missing:
            return Comparison(equal=False, rows=dataset.count_rows(), altered=[f"no {name}" for name in missing])
        plan = [_reading(column, dataset.schema.field(column.name).type) for column in self.columns]
        altered = sorted({reading.altered for reading in plan if reading.altered})
        found = _row_contents(dataset, self.columns)
        if found == self.contents:
            return Comparison(equal=True, rows=found.rows, altered=altered)
        if found.rows != self.contents.rows:
            altered.insert(0, f"{found.rows:,} rows")
        else:
            altered = [f"values of {name}" for name in self._differing(dataset)] + altered
        return Comparison(equal=False, rows=found.rows, altered=altered)

    def _differing(self, dataset: ds.Dataset) -> list[str]:
        """The columns whose values, taken by themselves, are not the source's; the first ones of a wide table."""
        if self._by_column is None:
            sums = self._ask([_source_sum(_source_text(column)) for column in self.columns])
            self._by_column = {column.name: _as_hex(total) for column, total in zip(self.columns, sums, strict=True)}
        looked_at = self.columns[:MOST_LOOKED_AT]
        theirs = {column.name: _row_contents(dataset, [column]).checksum for column in looked_at}
        return [name for name, checksum in theirs.items() if self._by_column[name] != checksum]

    def _ask(self, expressions: Sequence[sql.Composable]) -> list[int]:
        query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(expressions), sql.Identifier(self._name))
        found = self._connection.execute(query).fetchone()
        assert found
        # A session counts what it read some seconds later, unless it is asked to: it would be somebody else's then.
        self._connection.execute("SELECT pg_stat_force_next_flush()")
        return [int(value) for value in found]


@dataclass(frozen=True)
class _Reading:
    cast: pa.DataType | None
    altered: str | None = None


def _reading(column: Column, found: pa.DataType) -> _Reading:
    """How the values of a column are to be read before they are written as PostgreSQL writes them."""
    kind, said = column.type.partition("(")[0], f"{column.type} → {found}"
    if column.type.startswith("numeric("):
        precision, scale = (int(part) for part in column.type[8:-1].split(","))
        wanted = pa.decimal128(38, scale)
        return _Reading(wanted, None if found == pa.decimal128(precision, scale) else said)
    if column.type.startswith("timestamp"):
        zoned = column.type.endswith("with time zone") or kind == "timestamptz"
        fits = pa.types.is_timestamp(found) and bool(found.tz) == zoned
        return _Reading(pa.timestamp("us", "UTC" if zoned else None), None if fits else said)
    if column.type == "date":
        return _Reading(pa.date32(), None if pa.types.is_date32(found) else said)
    return _Reading(None)


def _row_contents(dataset: ds.Dataset, columns: Sequence[Column]) -> Contents:
    batches = _texts(dataset, columns)
    schema = pa.schema([("text", pa.string())])
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    with duckdb.connect() as connection:
        connection.register("rows_of_the_copy", reader)
        query = (
            "SELECT count(*), coalesce(sum(('0x' || left(md5(text), 16))::UBIGINT::HUGEINT), 0) FROM rows_of_the_copy"
        )
        found = connection.execute(query).fetchone()
    assert found
    return Contents(found[0], _as_hex(found[1]))


def _texts(dataset: ds.Dataset, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """The canonical text of every row."""
    names = [column.name for column in columns]
    for batch in dataset.scanner(columns=names, batch_size=_BATCH_ROWS, batch_readahead=2).to_batches():
        if batch.num_rows:
            texts = [_copy_text(column, values) for column, values in zip(columns, batch.columns, strict=True)]
            joined = pc.binary_join_element_wise(*texts, _SEPARATOR) if len(texts) > 1 else texts[0]
            yield pa.RecordBatch.from_arrays([joined], names=["text"])


def _copy_text(column: Column, values: pa.Array) -> pa.Array:
    reading = _reading(column, values.type)
    if reading.cast is not None and values.type != reading.cast:
        # What does not turn into the source's type is compared as it stands, and will differ.
        with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values = pc.cast(values, reading.cast, safe=False)
    if pa.types.is_timestamp(values.type):
        values = pc.cast(values, pa.timestamp("us", values.type.tz)).cast(pa.int64())
    if not pa.types.is_string(values.type):
        values = values.cast(pa.string())
    return pc.fill_null(values, _NULL)


def _source_text(column: Column) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.type.startswith("timestamp"):
        text = "(extract(epoch FROM {}) * 1000000)::bigint::text"
    elif column.type.startswith(("character(", "bpchar")):
        # A cast to text would take the blanks away at the end.
        text = "textin(bpcharout({}))"
    else:
        text = "{}::text"
    return sql.SQL("coalesce({}, {})").format(sql.SQL(text).format(name), _NULL)


def _source_sum(text: sql.Composable) -> sql.Composable:
    return sql.SQL("coalesce(sum(('x' || left(md5({}), 16))::bit(64)::bigint::numeric), 0)").format(text)


def _as_hex(total: int) -> str:
    """PostgreSQL sums signed numbers, DuckDB unsigned ones: modulo 2^64 they are the same."""
    return f"{total % 2**64:016x}"
