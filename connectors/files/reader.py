"""Reading a table: the second way through its files, of which each row is given once.

Rows come by the times at which their files were last modified, then by the files' names. A file that is read again
gives the same rows, unless a column of it has become text meanwhile.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import GONE, CursorRange, DiscoveredTable, ReadReport, ReadRequest, ValueWarning
from connectors.cursor import decode
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.files.chosen import as_chosen, lake_type, misfit
from connectors.files.config import FilesConfig
from connectors.files.discovery import FILE, MODIFIED_AT, OWN_FIELDS, ROW, described, no_files
from connectors.files.entry import FileEntry, Place
from connectors.files.errors import changed
from connectors.files.filters import check_filters, filtered
from connectors.files.inspection import Contents, format_of, reconciled, shapes
from connectors.files.kinds import BOOLEAN, EMPTY, TEXT, TIME, ZONED, out_of_range
from connectors.files.pieces import Shape, Wanted
from connectors.files.place import opened_place
from connectors.files.tables import FileTable
from connectors.files.texts import as_text, hexadecimal

_FORBIDDEN = re.compile(r"[ ,;{}()\n\t=]")
"""What Delta has in no name of a column."""

GATHERED_BYTES = 8 * 2**20
NARROW_BYTES = 2 * 2**20
MOST_BATCH_ROWS = 500_000
MOST_HELD = 256
"""Pieces of small files: each takes more memory than its values."""
OUT_OF_RANGE = "outside the years 1 to 9999"
SKIPPED = "bad lines, which were skipped"
WITHOUT_TIME = "files without a time of modification: read by the first load only"

_Inspected = tuple[FileEntry, Shape]


@dataclass(frozen=True)
class _Plan:
    """``files``: those to be read, with what each holds. ``schema``: what they hold together, with our own columns."""

    table: FileTable
    files: Sequence[_Inspected]
    schema: pa.Schema
    wanted: Wanted
    chosen: dict[str, str]
    more: bool
    warnings: tuple[ValueWarning, ...]


@contextmanager
def open_read(config: FilesConfig, request: ReadRequest) -> Iterator["FilesRead"]:
    """Look through the files that are to be read, and be ready to give their rows."""
    table = config.table(request.table)
    if table is None:
        raise SchemaChangedError(
            f"The source has no table {request.table} any more: its field tables names it no longer."
        )
    with opened_place(config.place) as place:
        contents = Contents(place)
        yield FilesRead(place, contents, _planned(place, contents, table, request), request)


class FilesRead:
    """An open read: ``connectors.base.TableRead``."""

    def __init__(self, place: Place, contents: Contents, plan: _Plan, request: ReadRequest) -> None:
        self._place = place
        self._contents = contents
        self._plan = plan
        self._filters = request.row_filters
        self._batch_bytes = plan.wanted.batch_bytes
        self._taken_out: Counter[tuple[str, str]] = Counter()
        self.schema = plan.schema
        self.table: DiscoveredTable = described(plan.table, plan.schema, None)
        self.report = ReadReport()

    @property
    def row_estimate(self) -> int | None:
        return None if self._filters else sum(shape.rows for _, shape in self._plan.files)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in _gathered(self._rows(), self._batch_bytes):
            yield filtered(batch, self._filters)
        taken_out = [
            ValueWarning(column, reason, count) for (column, reason), count in self._taken_out.items() if count
        ]
        self.report.warnings += [*taken_out, *self._plan.warnings]
        self.report.more = self._plan.more

    def _rows(self) -> Iterator[pa.RecordBatch]:
        by_entry = dict(self._plan.files)
        for opener in self._contents.openers(by_entry):
            entry, shape, rows = opener.entry, by_entry[opener.entry], 0
            for piece in format_of(self._plan.table, entry).pieces(opener, self._plan.wanted, shape):
                yield self._converted(piece, entry, shape, rows)
                rows += piece.num_rows
            if rows != shape.rows:
                raise changed(entry.name)
            self._place.check_unchanged(entry)

    def _converted(self, piece: pa.RecordBatch, entry: FileEntry, shape: Shape, before: int) -> pa.RecordBatch:
        """A piece of a file as rows of the table."""
        own = _own(entry, before, piece.num_rows)
        columns = []
        for column in self.schema:
            name = column.name
            if name in own:
                values, file_kind = own[name], own[name].type
            elif name in piece.schema.names:
                values, file_kind = piece.column(name), shape.types[name]
            else:
                columns.append(pa.nulls(piece.num_rows, column.type))
                continue
            try:
                if name in self._plan.chosen:
                    columns.append(self._as_chosen(name, values, column.type))
                else:
                    columns.append(self._in_range(name, _widened(values, file_kind, column.type)))
            except pa.ArrowInvalid as error:
                raise changed(entry.name) from error
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _as_chosen(self, name: str, values: pa.Array, kind: pa.DataType) -> pa.Array:
        if values.type == kind:
            return values
        text = hexadecimal(values) if pa.types.is_binary(values.type) else as_text(values)
        found, misfits = as_chosen(text, kind)
        self._taken_out[name, misfit(self._plan.chosen[name])] += misfits
        return found

    def _in_range(self, name: str, values: pa.Array) -> pa.Array:
        if not (pa.types.is_date32(values.type) or pa.types.is_timestamp(values.type)):
            return values
        outside = out_of_range(values)
        if outside is None:
            return values
        self._taken_out[name, OUT_OF_RANGE] += pc.sum(outside).as_py()
        return pc.if_else(outside, pa.scalar(None, values.type), values)


def _planned(place: Place, contents: Contents, table: FileTable, request: ReadRequest) -> _Plan:
    cursor = request.cursor
    if cursor is not None and cursor.field != MODIFIED_AT:
        raise ConfigurationError(f"Files are read by the incremental field {MODIFIED_AT}, not by {cursor.field}.")
    resumed = cursor is not None and cursor.lower is not None
    listed = sorted(place.listed(table.patterns), key=lambda each: (each.modified_at or _FIRST, each.name))
    if not listed and not resumed:
        raise SchemaChangedError(no_files(table))
    entries, warnings = _selected(listed, cursor)
    chosen = dict(table.columns) | dict(request.type_overrides)
    wanted = Wanted(
        table,
        None if request.columns is None else frozenset(request.columns),
        frozenset(chosen),
        min(NARROW_BYTES if request.narrow else GATHERED_BYTES, request.batch_bytes),
    )
    found: list[_Inspected] = []
    files: list[_Inspected] = []
    quota = _Quota(cursor, bool(request.row_filters))
    for each in shapes(contents, entries, wanted):
        found.append(each)
        if quota.takes(*each):
            files.append(each)
        elif resumed:
            break
    # The types of a first load hold for all of its batches.
    types = reconciled(table.name, found, chosen)
    if cursor is not None and resumed:
        new_texts = {
            name
            for name, kind in types.items()
            if kind == TEXT and name not in chosen and not _is_among(name, request.text_columns)
        }
        _check_recognisable(table, found, new_texts, cursor)
    kinds = {
        name: kind
        for name, given in types.items()
        if (kind := _kind(name, given, chosen, request.text_columns, resumed)) is not None
    }
    own = [each for each in OWN_FIELDS if wanted.has(each.name)]
    own = [each.with_type(_chosen_kind(each.name, chosen)) if each.name in chosen else each for each in own]
    schema = pa.schema([*(pa.field(name, kind) for name, kind in kinds.items()), *own])
    check_filters(schema, request.row_filters)
    if request.columns is not None and not resumed:
        rows = sum(shape.rows for _, shape in files)
        warnings += [ValueWarning(each, GONE, rows) for each in request.columns if each not in schema.names and rows]
    if skipped := sum(shape.bad_lines for _, shape in files):
        warnings.append(ValueWarning(ROW, SKIPPED, skipped))
    return _Plan(table, files, schema, wanted, chosen, len(files) < len(entries), tuple(warnings))


_FIRST = datetime.min.replace(tzinfo=UTC)


def _selected(listed: list[FileEntry], cursor: CursorRange | None) -> tuple[list[FileEntry], list[ValueWarning]]:
    """The files to be read, in order, and what is to be said of others."""
    if cursor is None:
        return listed, []
    timeless = [each for each in listed if each.modified_at is None]
    timed = [each for each in listed if each.modified_at is not None]
    if cursor.lower is not None:
        lower = _moment(cursor.lower)
        timed = [each for each in timed if each.modified_at is not None and each.modified_at >= lower]
    if cursor.include_nulls:
        return [*timeless, *timed], []
    return timed, [ValueWarning(MODIFIED_AT, WITHOUT_TIME, len(timeless))] if timeless else []


def _moment(text: str) -> datetime:
    found = decode(text, "timestamp")
    assert isinstance(found, datetime)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


class _Quota:
    """Says which files, in order, make one batch of a cursor read: when there are enough rows that the cursor has
    passed, and all files of a time at once.
    """

    def __init__(self, cursor: CursorRange | None, filtered: bool) -> None:
        # Rows that are filtered out would not move the cursor.
        self._most = None if cursor is None or filtered else cursor.max_rows
        self._lower = None if cursor is None or cursor.lower is None else _moment(cursor.lower)
        self._rows = 0
        self._last: FileEntry | None = None

    def takes(self, entry: FileEntry, shape: Shape) -> bool:
        another_time = self._last is not None and entry.modified_at != self._last.modified_at
        if another_time and self._most is not None and self._rows >= self._most:
            return False
        if entry.modified_at is not None and (self._lower is None or entry.modified_at > self._lower):
            self._rows += shape.rows
        self._last = entry
        return True


def _check_recognisable(table: FileTable, found: Sequence[_Inspected], texts: set[str], cursor: CursorRange) -> None:
    """Rows that are read again are recognised by their values. Those of a column that becomes text are not, where the
    lake had them as values and writes these in a form of its own.

    Only files at the edge come again; without a limit of rows a look-back may bring any.
    """
    lower = _moment(cursor.lower or "")
    for entry, shape in found:
        if cursor.max_rows is not None and (entry.modified_at != lower or not shape.inferred):
            continue
        for name in texts:
            if _has_many_texts(shape.types.get(name, EMPTY)):
                raise SchemaChangedError(
                    f"The column {name} of {table.name} holds other texts now than numbers, times or truth values: "
                    "resync the table, or declare the column's type with the option columns."
                )


def _has_many_texts(kind: pa.DataType) -> bool:
    """Whether a value may be written in several ways."""
    return bool(pa.types.is_decimal(kind) or kind in (TIME, ZONED, BOOLEAN, pa.float32()))


def _is_among(name: str, stored: Sequence[str]) -> bool:
    """Whether the lake's names have a source's column, which may be spelled or numbered otherwise there."""
    spelled = _FORBIDDEN.sub("_", name)
    return any(each == spelled or (each != name and each.startswith(f"{spelled}_")) for each in stored)


def _kind(
    name: str, given: pa.DataType, chosen: dict[str, str], stored_as_text: Sequence[str], resumed: bool
) -> pa.DataType | None:
    """The type of the table's column; None where it is to be left out."""
    if name in chosen:
        return _chosen_kind(name, chosen)
    if _is_among(name, stored_as_text) and not pa.types.is_binary(given):
        return TEXT
    if given == EMPTY:
        # The lake has a type for it, which nulls alone do not tell.
        return None if resumed else TEXT
    return given


def _chosen_kind(name: str, chosen: dict[str, str]) -> pa.DataType:
    kind = lake_type(chosen[name])
    if kind is None:
        raise SchemaChangedError(f"The column {name} cannot be copied as {chosen[name]}.", attr="type_overrides")
    return kind


def _own(entry: FileEntry, before: int, rows: int) -> dict[str, pa.Array]:
    return {
        FILE: pa.repeat(pa.scalar(entry.name, TEXT), rows),
        ROW: pa.array(np.arange(before + 1, before + rows + 1, dtype=np.int64)),
        MODIFIED_AT: pa.repeat(pa.scalar(entry.modified_at, pa.timestamp("us", "UTC")), rows),
    }


def _widened(values: pa.Array, file_kind: pa.DataType, kind: pa.DataType) -> pa.Array:
    """Values of a file, which still may be texts, in the table's type, which holds them all."""
    if file_kind == EMPTY:
        return pa.nulls(len(values), kind)
    if values.type == TEXT and file_kind != TEXT and kind != TEXT:
        values = values.cast(file_kind)
    if values.type == kind:
        return values
    return as_text(values) if kind == TEXT else values.cast(kind)


def _gathered(pieces: Iterable[pa.RecordBatch], size_bytes: int) -> Iterator[pa.RecordBatch]:
    """Small pieces put together, large ones cut."""
    held: list[pa.RecordBatch] = []
    size = rows = 0
    for piece in pieces:
        for part in _parts(piece, size_bytes):
            if held and (size + part.nbytes > size_bytes or rows + part.num_rows > MOST_BATCH_ROWS):
                yield _joined(held)
                held, size, rows = [], 0, 0
            held.append(part)
            size, rows = size + part.nbytes, rows + part.num_rows
            if len(held) >= MOST_HELD:
                held = [_joined(held)]
    if held:
        yield _joined(held)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _parts(piece: pa.RecordBatch, size_bytes: int) -> Iterator[pa.RecordBatch]:
    if piece.nbytes <= size_bytes or piece.num_rows <= 1:
        if piece.num_rows:
            yield piece
        return
    half = piece.num_rows // 2
    yield from _parts(piece.slice(0, half), size_bytes)
    yield from _parts(piece.slice(half), size_bytes)
