"""What a copy holds, compared with its source value by value: rows, and a checksum that does not depend on order.

As ``local.demo.contents``, and besides: DuckDB computes the checksums of a copy, wide tables and plain timestamps are
compared too, and a copy whose types are others than ours is compared as far as its values can be told, naming what
it altered.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from local.demo.contents import Contents

SEPARATOR = "\x1f"
NULL = "\\N"
"""The text of a null."""
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


class Original(Protocol):
    """One table at its source, with which copies are compared."""

    rows: int

    def compare(self, dataset: ds.Dataset) -> Comparison:
        """With a copy, which may have more columns."""


class Summed(Protocol):
    """One table, as its own server hashes it.

    The checksum of texts is the sum of the first 64 bits of their MD5; it is known modulo 2^64. The text of a row is
    that of its values with ``SEPARATOR`` between them.
    """

    columns: Sequence[Column]

    def of_rows(self) -> tuple[int, int]:
        """How many there are, and the checksum of their texts."""

    def of_columns(self) -> list[int]:
        """The checksum of each column's values."""


class SourceTable:
    """``Original`` of a server that computes checksums itself: as the table is now, so make a new one later."""

    def __init__(self, summed: Summed) -> None:
        self._summed = summed
        self._by_column: dict[str, str] | None = None
        self.columns = summed.columns
        self.rows, checksum = summed.of_rows()
        self._contents = Contents(self.rows, _as_hex(checksum))

    def compare(self, dataset: ds.Dataset) -> Comparison:
        """With a copy, which may have more columns."""
        missing = [column.name for column in self.columns if column.name not in dataset.schema.names]
        if missing:
            return Comparison(equal=False, rows=dataset.count_rows(), altered=[f"no {name}" for name in missing])
        plan = [_reading(column, dataset.schema.field(column.name).type) for column in self.columns]
        altered = sorted({reading.altered for reading in plan if reading.altered})
        found = _row_contents(dataset, self.columns)
        if found == self._contents:
            return Comparison(equal=True, rows=found.rows, altered=altered)
        if found.rows != self.rows:
            altered.insert(0, f"{found.rows:,} rows")
        else:
            altered = [f"values of {name}" for name in self._differing(dataset)] + altered
        return Comparison(equal=False, rows=found.rows, altered=altered)

    def _differing(self, dataset: ds.Dataset) -> list[str]:
        """The columns whose values, taken by themselves, are not the source's; the first ones of a wide table."""
        if self._by_column is None:
            sums = self._summed.of_columns()
            self._by_column = {column.name: _as_hex(total) for column, total in zip(self.columns, sums, strict=True)}
        looked_at = self.columns[:MOST_LOOKED_AT]
        theirs = {column.name: _row_contents(dataset, [column]).checksum for column in looked_at}
        return [name for name, checksum in theirs.items() if self._by_column[name] != checksum]


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
            joined = pc.binary_join_element_wise(*texts, SEPARATOR) if len(texts) > 1 else texts[0]
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
    return pc.fill_null(values, NULL)


def _as_hex(total: int) -> str:
    """Some sum signed numbers, others unsigned ones: modulo 2^64 they are the same."""
    return f"{total % 2**64:016x}"
