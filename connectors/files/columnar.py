"""Parquet: each column in its own type, and as text what the lake has no type for."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.errors import SourceError
from connectors.files.contents import FromPlace, Opener, spooled
from connectors.files.errors import BadFileError
from connectors.files.pieces import BadLine, Shape, Wanted, is_ours, public_names
from connectors.inference.kinds import TEXT
from connectors.inference.texts import as_text, hexadecimal, json_text

MOST_ROWS = 2**16
COLUMN_BUFFER_BYTES = 2**16
"""Read at once of each column."""
OPEN_COLUMN_BYTES = 2 * 2**20
"""What reading a column holds: a page, and its dictionary."""
OPEN_BYTES = 64 * 2**20
"""Of all columns that are read at a time."""
_FIXED = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE")
_VALUE_BYTES = 8
_EXPANSION = 4
"""How many times as large as in the file a text may be in memory: in the file, repeated ones are kept once."""
_MAGIC = b"PAR1"
_STORED = {
    pa.int8(): pa.int16(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
}
_AS_THEY_ARE = {
    *(pa.bool_(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    *(pa.string(), pa.binary(), pa.date32(), pa.null()),
}
_THOUSAND = 1000


class Parquet:
    """``connectors.files.pieces.Format``. The footer tells the shape; only times of nanoseconds are looked at."""

    def shape(self, opener: Opener, wanted: Wanted) -> Shape:
        with _opened(opener, footer=True) as file:
            schema = file.schema_arrow
            names = public_names(schema.names, opener.entry.name)
            types = {
                name: TEXT
                if name in wanted.verbatim and stored_type(each.type) != pa.binary()
                else stored_type(each.type)
                for name, each in zip(names, schema, strict=True)
                if wanted.has(name)
            }
            rows = file.metadata.num_rows
        fine = [number for number, each in enumerate(schema) if names[number] in types and _is_fine(each.type)]
        if fine and wanted.sample_bytes is None:
            for number in self._inexact(opener, [(number, schema[number].name) for number in fine]):
                types[names[number]] = TEXT
        return Shape(types, rows)

    def pieces(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[pa.RecordBatch]:
        with _opened(opener) as file:
            names = public_names(file.schema_arrow.names, opener.entry.name)
            kept = {
                name: given for name, given in zip(file.schema_arrow.names, names, strict=True) if given in shape.types
            }
            for piece in _batches(file, list(kept), wanted.batch_bytes):
                if not kept:
                    yield pa.RecordBatch.from_arrays([pa.nulls(piece.num_rows)], [""])
                    continue
                columns = [_stored(piece.column(name), shape.types[given], opener) for name, given in kept.items()]
                yield pa.RecordBatch.from_arrays(columns, list(kept.values()))

    def bad_lines(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[BadLine]:
        """There are no lines."""
        return iter(())

    def _inexact(self, opener: Opener, columns: list[tuple[int, str]]) -> set[int]:
        """Columns with a time that microseconds do not hold."""
        found: set[int] = set()
        with _opened(opener) as file:
            for piece in _batches(file, [name for _, name in columns], COLUMN_BUFFER_BYTES * 64):
                for number, name in columns:
                    numbers = _undone(piece.column(name)).cast(pa.int64())
                    rest = pc.subtract(numbers, pc.multiply(pc.divide(numbers, _THOUSAND), _THOUSAND))
                    if pc.any(pc.not_equal(rest, 0)).as_py():
                        found.add(number)
        return found


def stored_type(kind: pa.DataType) -> pa.DataType:
    """The lake's type for a column, which holds its values as they are, or text."""
    if pa.types.is_dictionary(kind):
        return stored_type(kind.value_type)
    if isinstance(kind, pa.UuidType):
        return TEXT
    if isinstance(kind, pa.BaseExtensionType):
        return stored_type(kind.storage_type)
    if kind in _AS_THEY_ARE:
        return kind
    if kind in _STORED:
        return _STORED[kind]
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_decimal(kind):
        fits = kind.precision <= 38 and kind.scale >= 0
        return pa.decimal128(kind.precision, kind.scale) if fits else TEXT
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return TEXT


def _stored(values: pa.Array, kind: pa.DataType, opener: Opener) -> pa.Array:
    if isinstance(values.type, pa.UuidType):
        return pa.array([None if each is None else str(each) for each in values.to_pylist()], TEXT)
    values = _undone(values)
    if values.type == kind:
        return values
    if kind != TEXT:
        return values.cast(kind)
    if pa.types.is_nested(values.type):
        return pa.array([None if each is None else json_text(each) for each in _listed(values, opener)], TEXT)
    if pa.types.is_binary(values.type):
        return hexadecimal(values)
    if pa.types.is_duration(values.type) or pa.types.is_interval(values.type):
        return pa.array([None if each is None else json_text(each).strip('"') for each in values.to_pylist()], TEXT)
    return as_text(values)


def _undone(values: pa.Array) -> pa.Array:
    """Without what is only a way to store the values."""
    if isinstance(values.type, pa.BaseExtensionType):
        return _undone(values.storage)
    if pa.types.is_dictionary(values.type):
        return _undone(values.dictionary_decode())
    return values


def _listed(values: pa.Array, opener: Opener) -> list[Any]:
    try:
        return values.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, pa.ArrowException, OverflowError) as error:
        raise BadFileError(
            f"The file {opener.entry.name} has nested times that are finer than microseconds or out of range."
        ) from error


def _is_fine(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_fine(kind.value_type)
    return bool(pa.types.is_timestamp(kind) and kind.unit == "ns")


def _batches(file: Any, names: list[str], size_bytes: int) -> Iterator[pa.RecordBatch]:
    """Row group by row group, so many rows at once as their size in the file allows."""
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        rows = min(MOST_ROWS, max(1, int(size_bytes / _row_bytes(group))))
        slices = _slices(group, names)
        if not names:
            yield pa.RecordBatch.from_arrays([pa.nulls(group.num_rows)], [""])
        elif len(slices) == 1:
            yield from _group(file, number, names, rows)
        else:
            yield from _side_by_side(file, number, slices, rows)


def _row_bytes(group: Any) -> float:
    """Of a row in memory, roughly."""
    columns = (group.column(number) for number in range(group.num_columns))
    size = sum(
        each.num_values * _VALUE_BYTES if each.physical_type in _FIXED else each.total_uncompressed_size * _EXPANSION
        for each in columns
    )
    return max(1.0, float(size / max(1, group.num_rows)))


def _group(file: Any, number: int, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    yield from file.iter_batches(batch_size=rows, row_groups=[number], columns=names, use_threads=False)


def _slices(group: Any, names: list[str]) -> list[list[str]]:
    """The columns in as many parts as it takes to have the open pages of one part in memory."""
    columns = (group.column(number) for number in range(group.num_columns))
    pages = sum(min(OPEN_COLUMN_BYTES, each.total_uncompressed_size) for each in columns)
    size = max(1, len(names) // -(-max(1, pages) // OPEN_BYTES))
    return [names[start : start + size] for start in range(0, len(names), size)]


def _side_by_side(file: Any, number: int, slices: list[list[str]], rows: int) -> Iterator[pa.RecordBatch]:
    """A row group with many columns: a part of them after the other is unpacked to a file of this machine."""
    with ExitStack() as stack:
        readers = []
        for names in slices:
            copy = stack.enter_context(tempfile.TemporaryFile(prefix="syncline-columns-"))
            _unpack(_group(file, number, names, rows), copy)
            readers.append(stack.enter_context(pa.ipc.open_stream(copy)))
        for parts in zip(*readers, strict=True):
            columns = [column for part in parts for column in part.columns]
            yield pa.RecordBatch.from_arrays(columns, [name for part in parts for name in part.schema.names])


def _unpack(batches: Iterator[pa.RecordBatch], copy: Any) -> None:
    writer = None
    for batch in batches:
        writer = writer or pa.ipc.new_stream(copy, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        writer.write_batch(batch)
    if writer is not None:
        writer.close()
    copy.seek(0)


@contextmanager
def _opened(opener: Opener, *, footer: bool = False) -> Iterator[Any]:
    """The file where it lies if it can be looked at in small pieces there, else a copy on this machine."""
    ranged = None
    if isinstance(opener, FromPlace) and (footer or not opener.place.is_remote):
        ranged = opener.place.ranged(opener.entry)
    if ranged is not None:
        with BufferedReader(ranged, COLUMN_BUFFER_BYTES) as buffered:
            if buffered.read(len(_MAGIC)) == _MAGIC:
                with _failures(opener):
                    yield _parquet(buffered)
                return
    with spooled(opener) as copy, _failures(opener):
        yield _parquet(copy)


def _parquet(source: Any) -> Any:
    return pq.ParquetFile(
        pa.PythonFile(source, "r"), buffer_size=COLUMN_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True
    )


@contextmanager
def _failures(opener: Opener) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except (pa.ArrowException, OSError) as error:
        if ours := is_ours(error):
            raise ours from error
        raise BadFileError(f"The file {opener.entry.name} is no whole Parquet file, or a broken one.") from error
