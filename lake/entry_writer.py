"""Writing an entry's segments, of any number of tables at once, in bounded memory."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake.columns import conform, stored_columns
from lake.entries import Entry, Place, Segment
from lake.errors import LakeError
from lake.marks import MARKS, Op
from lake.parquet import ParquetSeries
from lake.storage import LakeStore

HELD_BYTES = 48 * 1024 * 1024
"""Of all tables' rows that wait in memory."""
GROUP_BYTES = 8 * 1024 * 1024
"""Of one table's: they become a row group."""
OPEN_FILES = 8
"""Files that are being written at once: each holds an upload, and some memory."""
COLUMN_OVERHEAD_BYTES = 256
"""About what a column of a batch takes besides its values."""
LOOSE_BATCHES = 64
"""Small batches of a table that are put together to one, so as not to hold more of them than of rows."""


class EntryWriter:
    """One attempt to write an entry. For one thread. Ends with ``finish`` or ``abandon``.

    What it has written is no part of the log before the entry is appended.
    """

    def __init__(self, store: LakeStore, folder: str, epoch: int, sequence: int) -> None:
        self._store = store
        self._folder = folder
        self._epoch = epoch
        self._sequence = sequence
        self._writer = uuid.uuid4().hex
        self._tables: dict[str, list[_Open]] = {}
        self._open_files: dict[_Open, None] = {}
        self._held_bytes = 0

    def write(
        self, table: str, rows: pa.RecordBatch, marks: pa.RecordBatch, warnings: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Add changes of a table, behind those of it that are there already: ``LakeError`` where they are older."""
        segment = self._segment(table, rows.schema)
        segment.warnings.extend(warnings)
        if not rows.num_rows:
            return
        before = segment.held_bytes
        segment.take(rows, marks)
        self._held_bytes += segment.held_bytes - before
        if segment.held_bytes >= GROUP_BYTES:
            self._flush(segment)
        while self._held_bytes > HELD_BYTES:
            largest = max(self._segments(), key=lambda one: one.held_bytes)
            saved = largest.gather()
            self._held_bytes -= saved
            if not saved:
                self._flush(largest)

    def finish(self, position: int, members: str, captured_at: datetime, shapes: Place = (0, 0)) -> Entry:
        """The entry, of whole transactions up to ``position``; it counts once it is appended. ``shapes``: between which
        two positions the members were looked at.
        """
        if any(segment.last[0] > position for segment in self._segments()):
            raise LakeError("An entry of the change log would end before its last change.")
        with ThreadPoolExecutor(OPEN_FILES, "segments") as pool:
            finished = dict(pool.map(lambda one: (one, one.finish()), self._segments()))
        times = [segment.last_commit_at for segment in self._segments() if segment.last_commit_at is not None]
        tables = {table: tuple(finished[one] for one in parts if one.rows) for table, parts in self._tables.items()}
        return Entry(
            epoch=self._epoch,
            sequence=self._sequence,
            position=position,
            members=members,
            captured_at=captured_at.astimezone(UTC).isoformat(),
            last_commit_at=max(times).isoformat() if times else None,
            segments={table: parts for table, parts in tables.items() if parts},
            writer=self._writer,
            shapes_from=shapes[0],
            shapes_to=shapes[1],
        )

    def abandon(self) -> None:
        """Write no more. What lies there is pruned later."""
        for segment in self._segments():
            segment.series.abandon()

    def _segments(self) -> Iterator["_Open"]:
        for segments in self._tables.values():
            yield from segments

    def _segment(self, table: str, schema: pa.Schema) -> "_Open":
        segments = self._tables.setdefault(table, [])
        if not segments or not segments[-1].source.equals(schema):
            stem = f"{self._folder}/{table}/{self._sequence:012d}-{self._writer}-{len(segments)}"
            segments.append(_Open(self._store, stem, schema, segments[-1].last if segments else (-1, -1)))
        return segments[-1]

    def _flush(self, segment: "_Open") -> None:
        self._held_bytes -= segment.held_bytes
        segment.flush()
        self._open_files.pop(segment, None)
        self._open_files[segment] = None
        if len(self._open_files) > OPEN_FILES:
            longest_quiet = next(iter(self._open_files))
            del self._open_files[longest_quiet]
            longest_quiet.series.end_file()


class _Open:
    """A segment that is being written, with the rows that wait for it."""

    def __init__(self, store: LakeStore, stem: str, source: pa.Schema, after: Place) -> None:
        self.source = source
        self.columns = stored_columns(source, ())
        self.warnings: list[Mapping[str, Any]] = []
        self.held_bytes = 0
        self.rows = 0
        self.first: Place | None = None
        self.last = after
        self.last_commit_at: datetime | None = None
        self._ops: set[int] = set()
        self._has_unchanged = False
        self._stored = replace(self.columns, schema=pa.schema([*self.columns.schema, *MARKS]))
        self._whole: list[pa.RecordBatch] = []
        self._loose: list[pa.RecordBatch] = []
        self.series = ParquetSeries(store, stem, self._stored.schema)

    def take(self, rows: pa.RecordBatch, marks: pa.RecordBatch) -> None:
        self._look_at(marks)
        stored = conform(rows, self.columns, ())
        batch = pa.RecordBatch.from_arrays([*stored.columns, *marks.columns], schema=self._stored.schema)
        self.rows += batch.num_rows
        self.held_bytes += batch.nbytes + COLUMN_OVERHEAD_BYTES * batch.num_columns
        self._loose.append(batch)
        if len(self._loose) >= LOOSE_BATCHES:
            self.gather()

    def gather(self) -> int:
        """Put small batches together; how many bytes less are held then."""
        if len(self._loose) < 2:
            return 0
        saved = COLUMN_OVERHEAD_BYTES * len(self._stored.schema) * (len(self._loose) - 1)
        self._whole.append(pa.concat_batches(self._loose))
        self._loose = []
        self.held_bytes -= saved
        return saved

    def _look_at(self, marks: pa.RecordBatch) -> None:
        positions, ordinals = (marks.column(number).to_numpy(zero_copy_only=False) for number in (0, 1))
        forward = np.diff(positions, prepend=self.last[0])
        further = np.diff(ordinals, prepend=self.last[1])
        if not np.all((forward > 0) | ((forward == 0) & (further > 0))):
            raise LakeError("Changes of a table came in another order than they have in the source's log.")
        self.first = self.first or (int(positions[0]), int(ordinals[0]))
        self.last = (int(positions[-1]), int(ordinals[-1]))
        newest = pc.max(marks.column(3)).as_py()
        self.last_commit_at = max(self.last_commit_at or newest, newest)
        self._ops.update(pc.unique(marks.column(2)).to_pylist())
        self._has_unchanged = self._has_unchanged or marks.column(4).null_count < marks.num_rows

    def flush(self) -> None:
        for batch in (*self._whole, *self._loose):
            self.series.write(batch)
        self.series.flush()
        self._whole, self._loose, self.held_bytes = [], [], 0

    def finish(self) -> Segment:
        self.flush()
        return Segment(
            columns=self.columns,
            # What is read is read whole: statistics would only make the entry larger.
            files=tuple(replace(file, statistics="") for file in self.series.close()),
            rows=self.rows,
            first=self.first or self.last,
            last=self.last,
            has_inserts=Op.INSERT in self._ops,
            has_updates=Op.UPDATE in self._ops,
            has_deletes=Op.DELETE in self._ops,
            has_truncate=Op.TRUNCATE in self._ops,
            has_moves=Op.MOVE in self._ops,
            has_unchanged=self._has_unchanged,
            warnings=tuple(self.warnings),
        )
