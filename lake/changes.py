"""The changes of one table, read from segments of the change log as if they were one list with one set of columns."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake.columns import StoredColumns, is_own, source_name, stored_columns
from lake.entries import Segment
from lake.evolution import common_type, evolve
from lake.marks import COMMIT_AT, MARKS, OP, POSITION, Op
from lake.rows import stored_batches
from lake.storage import LakeStore

Numbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

_TRUNCATION = pa.schema([MARKS.field(name) for name in (OP, POSITION, COMMIT_AT)])


@dataclass(frozen=True)
class ChangeFile:
    """``segment`` is its segment's place in their list, ``first`` the number of its first change."""

    path: str
    rows: int
    segment: int
    first: int


class Changes:
    """Numbered from 0, in the order of the log. ``columns`` are those of the newest segment and, behind them, those
    that only older ones have, in types that hold the values of all and of the table.
    """

    def __init__(
        self,
        store: LakeStore,
        segments: Sequence[Segment],
        kept: Sequence[str] | None,
        own: Sequence[pa.Field],
        stored: pa.Schema | None,
        all_stored: bool = False,
    ) -> None:
        """``all_stored``: the table's other columns are there as well, though no change has them."""
        self._store = store
        self.segments = segments
        self.columns = _columns(segments, kept, own, stored, all_stored)

    @cached_property
    def files(self) -> list[ChangeFile]:
        found, first = [], 0
        for number, segment in enumerate(self.segments):
            for file in segment.files:
                found.append(ChangeFile(file.path, file.rows, number, first))
                first += file.rows
        return found

    @cached_property
    def count(self) -> int:
        return sum(file.rows for file in self.files)

    @cached_property
    def truncations(self) -> Numbers:
        """Numbers of the changes that empty the table."""
        found = [numbers for numbers, _ in self._truncating()]
        return np.concatenate([np.empty(0, np.int32), *found]).astype(np.int32)

    def truncation_marks(self) -> pa.Table:
        """Of those changes."""
        return pa.Table.from_batches([batch for _, batch in self._truncating()], _TRUNCATION)

    def _truncating(self) -> Iterator[tuple[Numbers, pa.RecordBatch]]:
        for file in self.files:
            if self.segments[file.segment].has_truncate:
                for first, batch in self._read(file, _TRUNCATION):
                    found = batch.column(OP).to_numpy() == Op.TRUNCATE
                    yield (first + np.flatnonzero(found)).astype(np.int32), batch.filter(pa.array(found))

    def segment_at(self, number: int) -> int:
        """Which of the segments a change is in."""
        return self.files[bisect_right(self.files, number, key=lambda file: file.first) - 1].segment

    def left_out(self, segment: int, mask: bytes) -> Iterator[str]:
        """Stored names of the columns that a mask of a segment means (``lake.marks.UNCHANGED``)."""
        for number, column in enumerate(self.segments[segment].columns.schema):
            is_set = number // 8 < len(mask) and mask[number // 8] >> number % 8 & 1
            if is_set and source_name(column) in self.columns.names:
                yield self.columns.names[source_name(column)]

    def read(
        self, names: Sequence[str], wanted: Flags | None = None, begin: int = 0
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Columns and marks by their stored names, in small batches, each with the number of its first change.

        Only changes from ``begin`` on; where ``wanted`` flags are given, what has no such change may be left out.
        """
        schema = pa.schema([self._field(name) for name in names])
        for file in self.files:
            if file.first + file.rows <= begin:
                continue
            for first, batch in self._read(file, schema, wanted):
                skipped = max(begin - first, 0)
                if skipped < batch.num_rows:
                    yield first + skipped, batch.slice(skipped)

    def _field(self, name: str) -> pa.Field:
        return MARKS.field(name) if name in MARKS.names else self.columns.schema.field(name)

    def _read(
        self, file: ChangeFile, schema: pa.Schema, wanted: Flags | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        there = pa.schema([_as_in(self.segments[file.segment], column) for column in schema])

        def is_wanted(first: int, count: int) -> bool:
            begin = file.first + first
            return wanted is None or bool(wanted[begin : begin + count].any())

        for first, batch in stored_batches(self._store, file.path, there, is_wanted):
            yield file.first + first, pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _as_in(segment: Segment, column: pa.Field) -> pa.Field:
    """The column under the segment's name for it; one that a segment lacks has a name that no file has."""
    if column.name in MARKS.names:
        return column
    return column.with_name(segment.columns.names.get(source_name(column), f"_sync_no_{column.name}"))


def _columns(
    segments: Sequence[Segment],
    kept: Sequence[str] | None,
    own: Sequence[pa.Field],
    stored: pa.Schema | None,
    all_stored: bool,
) -> StoredColumns:
    kinds: dict[str, pa.DataType] = {}
    for segment in reversed(segments):
        for column in segment.columns.schema:
            name = source_name(column)
            if kept is None or name in kept:
                kinds[name] = common_type(name, kinds[name], column.type) if name in kinds else column.type
    if all_stored:
        former = {source_name(column): column.type for column in stored or () if not is_own(column.name)}
        kinds = {**kinds, **{name: kind for name, kind in former.items() if name not in kinds}}
    columns = stored_columns(pa.schema(list(kinds.items())), own)
    if stored is None:
        return columns
    wide = evolve(stored, columns.schema).schema
    return replace(columns, schema=pa.schema([c.with_type(wide.field(c.name).type) for c in columns.schema]))
