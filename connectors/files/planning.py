"""What a read will give: which files, in which types, in which order. The first way through the files is behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from connectors.base import GONE, CursorRange, ReadRequest, ValueWarning, WholeGroups
from connectors.cursor import decode
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.files.discovery import FILE, MODIFIED_AT, OWN_FIELDS, ROW, no_files
from connectors.files.entry import FileEntry, Place
from connectors.files.inspection import Contents, reconciled, shapes
from connectors.files.known import KnownFiles
from connectors.files.pieces import Shape, Wanted
from connectors.files.tables import BAD_LINES_SUFFIX, FileTable
from connectors.inference.columns import chosen_type, is_among, table_type
from connectors.inference.filters import check_filters
from connectors.inference.kinds import BOOLEAN, EMPTY, TEXT, TIME, ZONED

GATHERED_BYTES = 8 * 2**20
NARROW_BYTES = 2 * 2**20
SKIPPED = "bad lines, which were skipped"
KEPT = "bad lines, which are in the table {}"
WITHOUT_TIME = "files without a time of modification: read by the first load only"

_Inspected = tuple[FileEntry, Shape]


@dataclass(frozen=True)
class Plan:
    """``files``: those to be read, with what each holds. ``schema``: what they hold together, with our own columns."""

    table: FileTable
    files: Sequence[_Inspected]
    schema: pa.Schema
    wanted: Wanted
    chosen: dict[str, str]
    more: bool
    warnings: tuple[ValueWarning, ...]
    whole_groups: WholeGroups | None
    state: str | None


def planned(place: Place, contents: Contents, table: FileTable, request: ReadRequest, location: str) -> Plan:
    """Look through the files that are to be read. ``location`` tells the place from others."""
    cursor = request.cursor
    if cursor is not None and cursor.field != MODIFIED_AT:
        raise ConfigurationError(f"Files are read by the incremental field {MODIFIED_AT}, not by {cursor.field}.")
    resumed = cursor is not None and cursor.lower is not None
    listed = sorted(place.listed(table.patterns), key=lambda each: (each.modified_at or _FIRST, each.name))
    if not listed and not resumed:
        raise SchemaChangedError(no_files(table))
    entries, warnings = _selected(listed, cursor)
    known = KnownFiles(location, table, request.state)
    if resumed:
        entries = [each for each in entries if not known.has(each)]
    chosen = dict(table.columns) | dict(request.type_overrides)
    wanted = Wanted(
        table,
        None if request.columns is None else frozenset(request.columns),
        frozenset(chosen),
        min(NARROW_BYTES if request.narrow else GATHERED_BYTES, request.batch_bytes),
    )
    files, types = _inspected(contents, entries, wanted, request)
    schema = _schema(types, wanted, chosen, request.text_columns, resumed or request.state is not None)
    if files:
        check_filters(schema, request.row_filters)
    if not resumed:
        warnings += _gone(request, files, schema)
    if skipped := sum(shape.bad_lines for _, shape in files):
        kept = table.bad_lines == "keep"
        reason = KEPT.format(table.name + BAD_LINES_SUFFIX) if kept else SKIPPED
        warnings.append(ValueWarning(ROW, reason, skipped))
    read = [entry for entry, _ in files]
    return Plan(
        table,
        files,
        schema,
        wanted,
        chosen,
        more=len(files) < len(entries),
        warnings=tuple(warnings),
        whole_groups=WholeGroups(FILE, tuple(each.name for each in read)) if resumed and read else None,
        state=None if cursor is None else known.with_read(listed, read),
    )


def _inspected(
    contents: Contents, entries: Sequence[FileEntry], wanted: Wanted, request: ReadRequest
) -> tuple[Sequence[_Inspected], dict[str, pa.DataType]]:
    """The files of this read, and the types of their columns. Those of a first load hold for all of its batches."""
    cursor, table = request.cursor, wanted.table
    resumed = cursor is not None and cursor.lower is not None
    found: list[_Inspected] = []
    files: list[_Inspected] = []
    quota = _Quota(cursor, bool(request.row_filters))
    for each in shapes(contents, entries, wanted):
        found.append(each)
        if quota.takes(*each):
            files.append(each)
        elif resumed:
            break
    types = reconciled(table.name, found, wanted.verbatim)
    if cursor is not None and resumed:
        new = {name for name, kind in types.items() if kind == TEXT and not is_among(name, request.text_columns)}
        _check_recognisable(table, found, new - wanted.verbatim, cursor)
    return files, types


def _schema(
    types: Mapping[str, pa.DataType],
    wanted: Wanted,
    chosen: Mapping[str, str],
    stored_as_text: Sequence[str],
    resumed: bool,
) -> pa.Schema:
    kinds = {name: table_type(name, given, chosen, stored_as_text, resumed=resumed) for name, given in types.items()}
    own = [each for each in OWN_FIELDS if wanted.has(each.name)]
    own = [each.with_type(chosen_type(each.name, chosen)) if each.name in chosen else each for each in own]
    return pa.schema([*(pa.field(name, kind) for name, kind in kinds.items() if kind is not None), *own])


def _gone(request: ReadRequest, files: Sequence[_Inspected], schema: pa.Schema) -> list[ValueWarning]:
    """Columns that were asked for and that no file has."""
    rows = sum(shape.rows for _, shape in files)
    return [ValueWarning(each, GONE, rows) for each in request.columns or () if each not in schema.names and rows]


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
