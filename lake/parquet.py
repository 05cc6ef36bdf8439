"""Writing Parquet files straight to their place in the lake, with bounded memory."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.statistics import file_statistics
from lake.storage import LakeStore, storage_errors

ROW_GROUP_BYTES = 16 * 1024 * 1024
"""Of Arrow memory: what a writer or a later reader must hold at once."""
ROW_GROUP_ROWS = 1_000_000
FILE_BYTES = 256 * 1024 * 1024
"""Compressed; a file is closed once it is as large."""
KEYED_FILE_BYTES = 32 * 1024 * 1024
"""Where rows are replaced by key: the smaller the files, the less is written anew around the rows that change."""
BATCH_ROWS = 65_536
SAMPLE_ROWS = 32_768
DICTIONARY_SHARE = 0.2
"""Share of distinct values above which a dictionary costs time and space instead of saving them."""
STRINGS = pa.dictionary(pa.int32(), pa.string())
"""Strings in Arrow's memory as a Parquet dictionary has them."""


@dataclass(frozen=True)
class WrittenFile:
    """``path`` is relative to the lake's root."""

    path: str
    size_bytes: int
    rows: int
    statistics: str


class ParquetSeries:
    """A series of Parquet files ``<stem>-<n>.parquet``, each closed when large enough. For one thread at a time.

    Columns may come as ``STRINGS``: the files hold strings all the same, by a dictionary.
    Files are whole once ``close`` has returned them. Used as a context manager, it gives up on an error.
    """

    def __init__(
        self,
        store: LakeStore,
        stem: str,
        schema: pa.Schema,
        statistics_also: tuple[str, ...] = (),
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._store = store
        self._stem = stem
        self._schema = schema
        self._statistics_also = statistics_also
        self._dictionaries = [column.name for column in schema if is_dictionary(column)]
        self._floats = [column.name for column in schema if pa.types.is_floating(column.type)]
        self._with_nan: set[str] = set()
        self._file_bytes = file_bytes
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._pending_rows = 0
        self._sink: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None
        self._metadata: list[pq.FileMetaData] = []
        self._files: list[WrittenFile] = []
        self._finished_bytes = 0
        self._open_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is not None:
            self.abandon()

    @property
    def size_bytes(self) -> int:
        """Compressed, so far. Any thread may ask."""
        return self._finished_bytes + self._open_bytes

    def write(self, batch: pa.RecordBatch) -> None:
        for piece in _pieces(batch):
            self._pending.append(piece)
            self._pending_bytes += _decoded_bytes(piece)
            self._pending_rows += piece.num_rows
            if self._pending_bytes >= ROW_GROUP_BYTES or self._pending_rows >= ROW_GROUP_ROWS:
                self._write_row_group()

    def flush(self) -> None:
        """Hold no rows any more: what is pending becomes a row group."""
        self._write_row_group()

    def end_file(self) -> None:
        """Hold no file open either; what comes next goes to another."""
        self._write_row_group()
        self._finish_file()

    def close(self) -> list[WrittenFile]:
        self.end_file()
        return self._files

    def abandon(self) -> None:
        """Write no more; what lies there already is swept later."""
        if self._writer is not None:
            self._writer.is_open = False
        self._pending, self._writer, self._sink = [], None, None

    def _write_row_group(self) -> None:
        if not self._pending_rows:
            return
        table = pa.Table.from_batches(self._pending, self._schema)
        self._pending, self._pending_bytes, self._pending_rows = [], 0, 0
        self._with_nan.update(name for name in self._floats if pc.any(pc.is_nan(table.column(name))).as_py())
        if self._dictionaries:
            table = _with_tight_dictionaries(table)
        with storage_errors("write a data file"):
            writer = self._writer or self._open_file(table)
            writer.write_table(table, row_group_size=table.num_rows)
        self._open_bytes = self._sink.tell() if self._sink is not None else 0
        if self._open_bytes >= self._file_bytes:
            self._finish_file()

    def _path(self) -> str:
        return f"{self._stem}-{len(self._files)}.parquet"

    def _open_file(self, first_rows: pa.Table) -> pq.ParquetWriter:
        self._sink = open_output(self._store, self._path())
        self._writer = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            use_dictionary=[
                *self._dictionaries,
                *_columns_with_dictionary(first_rows.drop_columns(self._dictionaries).slice(0, SAMPLE_ROWS)),
            ],
            store_decimal_as_integer=True,
            # Arrow's schema would have the file's readers make dictionaries too.
            store_schema=not self._dictionaries,
            metadata_collector=self._metadata,
        )
        return self._writer

    def _finish_file(self) -> None:
        if self._writer is None or self._sink is None:
            return
        path = self._path()
        with storage_errors("write a data file"):
            self._writer.close()
            size_bytes = self._sink.tell()
            self._sink.close()
        metadata = self._metadata.pop()
        statistics = file_statistics(metadata, _decoded(self._schema), self._statistics_also, self._with_nan)
        self._files.append(WrittenFile(path, size_bytes, metadata.num_rows, statistics))
        self._finished_bytes += size_bytes
        self._writer, self._sink, self._open_bytes = None, None, 0
        self._with_nan = set()


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch cut so that no piece passes a row group's limits by much, unless a single row does."""
    if not batch.num_rows:
        return
    parts = max(-(-_decoded_bytes(batch) // ROW_GROUP_BYTES), -(-batch.num_rows // ROW_GROUP_ROWS))
    rows = -(-batch.num_rows // parts)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _columns_with_dictionary(sample: pa.Table) -> list[str]:
    limit = max(DICTIONARY_SHARE * sample.num_rows, 1)
    return [name for name in sample.column_names if pc.count_distinct(sample.column(name)).as_py() <= limit]


def _with_tight_dictionaries(table: pa.Table) -> pa.Table:
    """One dictionary for each column, of just the strings that its rows hold: the file's statistics are taken of it."""
    table = table.unify_dictionaries()
    for number, column in enumerate(table.schema):
        if is_dictionary(column):
            values = table.column(number)
            used = pc.count_distinct(pa.chunked_array([chunk.indices for chunk in values.chunks]))
            if used.as_py() < len(values.chunk(0).dictionary):
                table = table.set_column(number, column, values.cast(pa.string()).dictionary_encode())
    return table


def is_dictionary(column: pa.Field) -> bool:
    return bool(column.type == STRINGS)


def _decoded(schema: pa.Schema) -> pa.Schema:
    return pa.schema([column.with_type(pa.string()) if is_dictionary(column) else column for column in schema])


def _decoded_bytes(batch: pa.RecordBatch) -> int:
    """About what the rows take where no column is a dictionary: so a later reader may have them."""
    size = 0
    for values in batch.columns:
        if isinstance(values, pa.DictionaryArray):
            each = values.dictionary.nbytes / max(len(values.dictionary), 1)
            size += int(len(values) * each)
        else:
            size += values.nbytes
    return size


def open_output(store: LakeStore, path: str) -> pa.NativeFile:
    filesystem = store.filesystem
    if not store.url.startswith("s3:"):
        filesystem.create_dir(path.rsplit("/", 1)[0], recursive=True)
    return filesystem.open_output_stream(path)


def open_file(store: LakeStore, path: str, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    """A stored Parquet file. Its row groups are small enough to be read one at a time.

    The string columns named in ``dictionaries`` come as ``STRINGS``.
    """
    with storage_errors("read a data file"):
        file = store.filesystem.open_input_file(path)
        return pq.ParquetFile(file, pre_buffer=True, read_dictionary=list(dictionaries))


def unique_stem(table_path: str, generation: int, run_id: str, name: str) -> str:
    """Where a run's files lie: no attempt ever writes to another's files."""
    return f"{table_path}/g{generation}/{run_id}/{name}-{uuid.uuid4().hex[:12]}"
