"""Folding: all changes of a table become the last state of each key, staged as rows and deleted keys.

Changes are known by their numbers alone while it is found out which of them count; the rows themselves go from Parquet
to Arrow to Parquet.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake.changes import Changes, Numbers
from lake.columns import (
    SYNC_AT,
    SYNC_AT_FIELD,
    SYNC_DELETED,
    SYNC_DELETED_AT,
    SYNC_LSN,
    StoredColumns,
    is_own,
    source_name,
)
from lake.duck import Budget
from lake.entries import Segment
from lake.errors import LakeError, StalePositionError
from lake.failpoints import reach
from lake.lookup import StoredRows
from lake.manifest import Manifest, RunRef
from lake.marks import COMMIT_AT, OP, POSITION, Op
from lake.outcome import Outcome, check_whole, settle
from lake.parquet import KEYED_FILE_BYTES, ParquetSeries, WrittenFile, unique_stem
from lake.position import LogMark
from lake.rows import chosen_rows
from lake.settling import Settling
from lake.staging import Progress, own_values
from lake.storage import LakeStore
from lake.table import OpenTable, open_table


@dataclass(frozen=True)
class Folding:
    """``root`` is of the Delta table that the changes are for; key and columns go by their source names."""

    table_path: str
    root: str
    run: RunRef
    batch: int
    primary_key: tuple[str, ...]
    log: LogMark
    """How far the table is with these changes."""
    columns: tuple[str, ...] | None = None
    """None for all; the key's are there in any case."""
    soft_deletes: bool = False
    overlap: bool = False
    """Some of the changes may be older than what was read of the table."""
    read_at: datetime | None = None
    budget: Budget = field(default_factory=Budget)
    progress: Progress = lambda rows, size_bytes: None

    @property
    def is_last_overlap(self) -> bool:
        return self.overlap and 0 < self.log.horizon <= self.log.position


def fold(store: LakeStore, segments: Sequence[Segment], folding: Folding) -> Manifest:
    """Stage what the changes make of the table. May be repeated at any time; memory does not depend on the rows.

    Raises ``StalePositionError`` where the table has the changes already, ``MissingRowError`` where a value that was
    left as it was is nowhere to be found, ``DuplicateKeyError`` for a change without a key, and
    ``IncompatibleSchemaError``.
    """
    table = open_table(store, folding.root)
    check_base(table, folding.log, bool(segments))
    if not segments:
        return nothing(table, folding)
    kept = None if folding.columns is None else (*folding.columns, *folding.primary_key)
    own = own_values(folding.read_at, folding.log.position, folding.soft_deletes)
    changes = Changes(store, segments, kept, tuple(own), table.schema, all_stored=folding.soft_deletes)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncline-", dir=folding.budget.scratch)))
        settling = Settling(
            changes=changes,
            table=table,
            key=changes.columns.stored(folding.primary_key),
            soft_deletes=folding.soft_deletes,
            overlap=folding.overlap,
            budget=folding.budget,
            scratch=scratch,
            is_last_overlap=folding.is_last_overlap,
        )
        outcome = settle(settling)
        return _Staging(store, folding, settling, outcome, own[SYNC_AT_FIELD]).run()


def check_base(table: OpenTable, log: LogMark, has_changes: bool) -> None:
    """Values are looked up in the table as it was before the changes, or not at all."""
    stands = table.position.log
    if stands is not None and (stands.epoch != log.epoch or stands.sequence + has_changes > log.sequence):
        raise StalePositionError("The table moved on since this batch was planned.")


def nothing(table: OpenTable, folding: Folding) -> Manifest:
    """A batch without changes moves the table's place in the log, no more."""
    if table.schema is None:
        raise LakeError("There is no table that the changes could be folded into.")
    fields = [column for column in table.schema if source_name(column) in folding.primary_key]
    own = [column for column in table.schema if is_own(column.name)]
    columns = StoredColumns(pa.schema([*fields, *own]), {source_name(column): column.name for column in fields})
    if folding.is_last_overlap:
        check_whole(StoredRows(table, table.snapshot(), columns, columns.stored(folding.primary_key)), folding.budget)
    return _manifest(folding, columns)


def _manifest(
    folding: Folding,
    columns: StoredColumns,
    fresh: Sequence[WrittenFile] = (),
    deleted: Sequence[WrittenFile] = (),
    truncated: bool = False,
) -> Manifest:
    return Manifest(
        run_id=folding.run.run_id,
        batch=folding.batch,
        columns=columns,
        fresh=tuple(fresh),
        deleted=tuple(deleted),
        truncated=truncated,
        log=folding.log,
    )


class _Staging:
    """Writes rows and keys. Rows are put together on the reading thread and encoded on another, a batch behind."""

    def __init__(
        self,
        store: LakeStore,
        folding: Folding,
        settling: Settling,
        outcome: Outcome,
        sync_at: pa.Scalar,
    ) -> None:
        self._store = store
        self._folding = folding
        self._changes = settling.changes
        self._stored = settling.stored
        self._key = key = settling.key
        self._outcome = outcome
        self._sync_at = sync_at
        self._schema = settling.changes.columns.schema
        self._truncations = settling.changes.truncations
        run = folding.run
        stem = unique_stem(folding.table_path, run.generation, run.run_id, f"b{folding.batch}")
        self._fresh = ParquetSeries(store, stem, self._schema, (*key, SYNC_LSN), KEYED_FILE_BYTES)
        keys = pa.schema([self._schema.field(name) for name in key])
        self._deleted = ParquetSeries(store, f"{stem}-deleted", keys, key, KEYED_FILE_BYTES)

    def run(self) -> Manifest:
        rows = 0
        with self._fresh, self._deleted, ThreadPoolExecutor(1, "parquet-writer") as writer:
            waiting: Future[None] | None = None
            for batch in self._rows():
                if waiting is not None:
                    waiting.result()
                waiting = writer.submit(self._fresh.write, batch)
                rows += batch.num_rows
                self._folding.progress(rows, self._fresh.size_bytes)
            if waiting is not None:
                waiting.result()
            for keys in self._gone():
                self._deleted.write(keys)
            fresh, deleted = self._fresh.close(), self._deleted.close()
        reach("folded")
        return _manifest(self._folding, self._changes.columns, fresh, deleted, self._outcome.truncated)

    def _rows(self) -> Iterator[pa.RecordBatch]:
        wanted, patches = self._outcome.rows, self._outcome.patches
        names = [column.name for column in self._schema if not is_own(column.name)]
        for first, batch in self._changes.read([*names, POSITION, OP, COMMIT_AT], wanted, self._outcome.begin):
            here = wanted[first : first + batch.num_rows]
            if not here.any():
                continue
            numbers = (first + np.flatnonzero(here)).astype(np.int32)
            chosen = batch if len(numbers) == batch.num_rows else batch.filter(pa.array(here))
            for part in patches.cut(numbers) if patches else (slice(0, len(numbers)),):
                yield self._row_batch(numbers[part], chosen.slice(part.start, part.stop - part.start))
        yield from self._emptied()

    def _row_batch(self, numbers: Numbers, batch: pa.RecordBatch) -> pa.RecordBatch:
        patches = self._outcome.patches
        own = self._own(numbers, batch)
        columns = []
        for column in self._schema:
            if is_own(column.name):
                columns.append(own[column.name])
            else:
                values = batch.column(column.name)
                columns.append(patches.apply(numbers, column.name, values) if patches else values)
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    @cached_property
    def _truncation_marks(self) -> pa.RecordBatch:
        return self._changes.truncation_marks().combine_chunks().to_batches()[0]

    def _own(self, numbers: Numbers, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        positions, times = batch.column(POSITION), batch.column(COMMIT_AT)
        own = {SYNC_AT: pa.repeat(self._sync_at, len(numbers)), SYNC_LSN: positions}
        if self._outcome.patches is not None:
            lacking = pa.array(self._outcome.patches.lacking(numbers))
            own[SYNC_LSN] = pc.if_else(lacking, pc.negate(positions), positions)
        if self._folding.soft_deletes:
            deleted = pc.equal(batch.column(OP), pa.scalar(Op.DELETE, pa.int8()))
            own[SYNC_DELETED] = deleted
            own[SYNC_DELETED_AT] = pc.if_else(deleted, times, pa.scalar(None, times.type))
            if len(self._truncations):
                self._mark_truncated(numbers, own)
        return own

    def _mark_truncated(self, numbers: Numbers, own: dict[str, pa.Array]) -> None:
        """Rows that were there when the table was emptied were deleted by that."""
        following = np.searchsorted(self._truncations, numbers)
        hit = (following < len(self._truncations)) & ~own[SYNC_DELETED].to_numpy(zero_copy_only=False)
        marks = self._truncation_marks.take(pa.array(np.minimum(following, len(self._truncations) - 1)))
        is_hit = pa.array(hit)
        own[SYNC_LSN] = pc.if_else(is_hit, marks.column(POSITION), own[SYNC_LSN])
        own[SYNC_DELETED] = pc.or_(is_hit, own[SYNC_DELETED])
        own[SYNC_DELETED_AT] = pc.if_else(is_hit, marks.column(COMMIT_AT), own[SYNC_DELETED_AT])

    def _emptied(self) -> Iterator[pa.RecordBatch]:
        """Stored rows that the first truncation deleted, with nothing else to say of their keys."""
        emptied = self._outcome.emptied
        files = self._stored.publishing.target_files(list(emptied))
        for batch in chosen_rows(self._store, files, emptied, self._schema):
            first = self._truncation_marks
            own = {
                SYNC_AT: self._sync_at,
                SYNC_LSN: first.column(POSITION)[0],
                SYNC_DELETED: pa.scalar(True),
                SYNC_DELETED_AT: first.column(COMMIT_AT)[0],
            }
            arrays = [
                pa.repeat(own[column.name], batch.num_rows) if column.name in own else batch.column(column.name)
                for column in self._schema
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _gone(self) -> Iterator[pa.RecordBatch]:
        gone = self._outcome.gone
        if gone is None:
            return
        for first, batch in self._changes.read(self._key, gone, self._outcome.begin):
            here = gone[first : first + batch.num_rows]
            if here.any():
                yield batch.filter(pa.array(here))
