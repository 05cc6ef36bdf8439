"""Reading stored rows in small steps, and writing files anew without some of their rows.

A row is known by its file and its number in it, so that what is compared (keys, cursors) and what is moved (whole
rows) never have to pass through the same engine: whole rows go from Parquet to Arrow to Parquet and change nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.parquet import BATCH_ROWS, STRINGS, ParquetSeries, WrittenFile, is_dictionary, open_file
from lake.storage import LakeStore, storage_errors
from lake.texts import converted

FILE_COLUMN = "_sync_file"
ROW_COLUMN = "_sync_row"
"""Names that no stored column has: what begins so is kept for us (``lake.columns``)."""
NUMBER = pa.int64()
PARALLEL_REWRITES = 2


@dataclass(frozen=True)
class DataFile:
    """A stored file by its path from the lake's root."""

    path: str
    rows: int


RowSets = Mapping[int, pa.Array]
"""Row numbers, ascending, for each file by its place in a list."""


def numbered_rows(store: LakeStore, files: Mapping[int, DataFile], schema: pa.Schema) -> pa.RecordBatchReader:
    """The columns of ``schema`` of the given files, cast and filled to it, with file and row number."""
    numbered = schema.append(pa.field(FILE_COLUMN, NUMBER)).append(pa.field(ROW_COLUMN, NUMBER))

    def batches() -> Iterator[pa.RecordBatch]:
        for number, file in files.items():
            for first, rows in stored_batches(store, file.path, schema):
                ones = pa.repeat(pa.scalar(1, NUMBER), rows.num_rows)
                columns = [*rows.columns, pa.repeat(pa.scalar(number, NUMBER), rows.num_rows)]
                yield pa.RecordBatch.from_arrays([*columns, pc.cumulative_sum(ones, start=first - 1)], schema=numbered)

    return pa.RecordBatchReader.from_batches(numbered, batches())


def chosen_rows(
    store: LakeStore, files: Mapping[int, DataFile], chosen: RowSets, schema: pa.Schema
) -> pa.RecordBatchReader:
    """Just the rows of the given numbers, in the columns of ``schema``."""

    def batches() -> Iterator[pa.RecordBatch]:
        for number, wanted in chosen.items():
            for first, rows in stored_batches(store, files[number].path, schema, partial(_holds, wanted)):
                here = _within(wanted, first, rows.num_rows)
                yield rows.take(pc.subtract(here, first))

    return pa.RecordBatchReader.from_batches(schema, batches())


def stored_batches(
    store: LakeStore, path: str, schema: pa.Schema, is_wanted: Callable[[int, int], bool] = lambda first, count: True
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A file's rows in small batches, in order, each with the number of its first row.

    Row groups of which nothing is wanted, by their first row and the number of their rows, are left out. A column that
    ``schema`` has as a dictionary of strings comes as one.
    """
    first = 0
    with open_file(store, path, [column.name for column in schema if is_dictionary(column)]) as file:
        present = [name for name in schema.names if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if is_wanted(first, count):
                at = first
                for batch in _read_group(file, group, present, count):
                    yield at, _fit(batch, schema)
                    at += batch.num_rows
            first += count


def _read_group(file: pq.ParquetFile, group: int, columns: list[str], count: int) -> Iterator[pa.RecordBatch]:
    if not columns:
        yield pa.RecordBatch.from_arrays([pa.nulls(count)], names=[ROW_COLUMN])
        return
    with storage_errors("read a data file"):
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns)


def _fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for column in schema:
        if column.name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, column.type))
            continue
        values = batch.column(column.name)
        columns.append(converted(values, column.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _holds(numbers: pa.Array, first: int, count: int) -> bool:
    return len(_within(numbers, first, count)) > 0


def _within(numbers: pa.Array, first: int, count: int) -> pa.Array:
    return numbers.filter(pc.and_(pc.greater_equal(numbers, first), pc.less(numbers, first + count)))


def rewrite_files(
    store: LakeStore,
    files: Mapping[int, DataFile],
    dropped: RowSets,
    stem: str,
    schema: pa.Schema | None = None,
    statistics_also: tuple[str, ...] = (),
) -> list[WrittenFile]:
    """Write each file anew without its dropped rows, one for one, in order; one that is left empty is not written.

    Each file keeps its own columns: a value that it lacks is not a null that it holds. With a ``schema`` they get the
    types that they have there.
    """

    def rewrite(item: tuple[int, DataFile]) -> list[WrittenFile]:
        number, file = item
        return _rewrite(store, file, dropped.get(number), f"{stem}-{number}", schema, statistics_also)

    with ThreadPoolExecutor(PARALLEL_REWRITES, "rewrite") as pool:
        return [written for series in pool.map(rewrite, files.items()) for written in series]


def _rewrite(
    store: LakeStore,
    file: DataFile,
    dropped: pa.Array | None,
    stem: str,
    schema: pa.Schema | None,
    statistics_also: tuple[str, ...],
) -> list[WrittenFile]:
    with open_file(store, file.path) as opened:
        own = opened.schema_arrow.remove_metadata()
        if schema is None:
            schema = _with_dictionaries(own, opened.metadata)
        else:
            schema = pa.schema([column for column in schema if column.name in own.names])
    also = tuple(name for name in statistics_also if name in schema.names)
    with ParquetSeries(store, stem, schema, also) as series:
        for first, rows in stored_batches(store, file.path, schema):
            series.write(_without(rows, first, dropped))
        return series.close()


def _with_dictionaries(schema: pa.Schema, metadata: pq.FileMetaData) -> pa.Schema:
    """Strings that the file holds in a dictionary stay in it on their way: they need not be hashed and copied anew."""
    if not metadata.num_row_groups:
        return schema
    first = metadata.row_group(0)
    chunks = [first.column(number) for number in range(first.num_columns)]
    kept = {chunk.path_in_schema for chunk in chunks if "RLE_DICTIONARY" in chunk.encodings}
    return pa.schema(
        [
            column.with_type(STRINGS) if column.type == pa.string() and column.name in kept else column
            for column in schema
        ]
    )


def _without(rows: pa.RecordBatch, first: int, dropped: pa.Array | None) -> pa.RecordBatch:
    if dropped is None:
        return rows
    here = _within(dropped, first, rows.num_rows)
    if not len(here):
        return rows
    numbers = pc.cumulative_sum(pa.repeat(pa.scalar(1, NUMBER), rows.num_rows), start=first - 1)
    return rows.filter(pc.invert(pc.is_in(numbers, value_set=here.cast(NUMBER))))
