"""History: each change becomes a version of its row, valid from its commit to that of the next change of the key.

Versions that were stored as current, and are not any more, are staged anew with their end; publishing puts them in
place of the stored ones, in the commit that brings the new ones (``lake.staging.VERSION_KEY``).
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake.changes import Changes, Numbers
from lake.columns import (
    SYNC_AT,
    SYNC_COMMIT_AT,
    SYNC_LSN,
    SYNC_OP,
    SYNC_ORDINAL,
    SYNC_VALID_FROM,
    SYNC_VALID_TO,
    SYNC_VALID_TO_FIELD,
    is_own,
)
from lake.entries import Segment
from lake.failpoints import reach
from lake.fold import Folding, check_base, nothing
from lake.lineage import KeyedChanges, Lineage, trace
from lake.lookup import CURRENT
from lake.manifest import Manifest
from lake.marks import COMMIT_AT, OP, ORDINAL, POSITION, Op
from lake.parquet import KEYED_FILE_BYTES, ParquetSeries, unique_stem
from lake.patches import Patches
from lake.rows import RowSets, chosen_rows
from lake.settling import Settling, bare_keys
from lake.staging import VERSION_KEY, own_values, with_version_key
from lake.storage import LakeStore
from lake.table import open_table
from lake.tracing import Tracing

OP_NAMES = pa.array(["insert", "update", "delete", "truncate", "insert"])
"""By ``Op``. Under another key a row begins anew, after the deletion of the one that it had."""
NEVER = np.iinfo(np.int64).max


def record(store: LakeStore, segments: Sequence[Segment], folding: Folding) -> Manifest:
    """Stage a version for each change. To be published in the mode ``cdc`` by ``history_key(primary_key)``.

    May be repeated at any time. Raises what ``lake.fold.fold`` does. Of ``folding``, ``soft_deletes`` is of no account.
    """
    table = open_table(store, folding.root)
    check_base(table, folding.log, bool(segments))
    if not segments:
        manifest = nothing(table, folding)
        return replace(manifest, columns=with_version_key(manifest.columns))
    kept = None if folding.columns is None else (*folding.columns, *folding.primary_key)
    own = own_values(folding.read_at, folding.log.position, soft_deletes=False, history=True)
    changes = Changes(store, segments, kept, tuple(own), table.schema, all_stored=True)
    with tempfile.TemporaryDirectory(prefix="syncline-", dir=folding.budget.scratch) as scratch:
        settling = Settling(
            changes=changes,
            table=table,
            key=changes.columns.stored(folding.primary_key),
            soft_deletes=False,
            overlap=folding.overlap,
            budget=folding.budget,
            scratch=Path(scratch),
            history=True,
        )
        return _Recording(store, folding, settling, next(iter(own.values()))).run()


def history_key(primary_key: Sequence[str]) -> tuple[str, ...]:
    return (*primary_key, *VERSION_KEY)


@dataclass(frozen=True)
class _Times:
    """Of all changes, by number, in microseconds: when each was committed, and when what it made came to an end."""

    committed: npt.NDArray[np.int64]
    ended: npt.NDArray[np.int64]


class _Recording:
    def __init__(self, store: LakeStore, folding: Folding, settling: Settling, sync_at: pa.Scalar) -> None:
        self._store = store
        self._folding = folding
        self._settling = settling
        self._changes = settling.changes
        self._schema = settling.changes.columns.schema
        self._sync_at = sync_at

    def run(self) -> Manifest:
        folding, changes = self._folding, self._changes
        tracing = Tracing(self._settling)
        keyed = tracing.keyed()
        committed = self._commit_times()
        patches: Patches | None = None
        ended = np.full(changes.count, NEVER)
        first = np.empty(0, np.int32)
        if len(keyed.order):
            before = tracing.rows_before(keyed)
            lineage = trace(keyed, before)
            ended = self._ends(keyed, lineage, committed)
            first = np.sort(keyed.order[keyed.starts])
            versions = np.flatnonzero(keyed.op != Op.DELETE).astype(np.int32)
            wanted = tracing.wanted(keyed, lineage, before, versions)
            del keyed, lineage, before, versions
            patches = tracing.patches(wanted)
        times = _Times(committed, ended)
        run = folding.run
        stem = unique_stem(folding.table_path, run.generation, run.run_id, f"b{folding.batch}")
        also = (*self._settling.key, *VERSION_KEY)
        rows = 0
        with ParquetSeries(self._store, stem, self._schema, also, KEYED_FILE_BYTES) as series:
            for batch in self._closed(first, times):
                series.write(batch)
            for batch in self._versions(times, patches):
                series.write(batch)
                rows += batch.num_rows
                folding.progress(rows, series.size_bytes)
            fresh = series.close()
        reach("folded")
        columns = with_version_key(changes.columns)
        return Manifest(run.run_id, folding.batch, columns, fresh=tuple(fresh), log=folding.log)

    def _commit_times(self) -> npt.NDArray[np.int64]:
        found = np.zeros(self._changes.count, np.int64)
        for first, batch in self._changes.read([COMMIT_AT]):
            found[first : first + batch.num_rows] = batch.column(0).cast(pa.int64()).to_numpy()
        return found

    def _ends(self, keyed: KeyedChanges, lineage: Lineage, committed: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        ended = np.full(self._changes.count, NEVER)
        follows = ~keyed.starts[1:]
        ended[keyed.order[:-1][follows]] = committed[keyed.order[1:][follows]]
        # Where a key had two rows for a while, the last change of it may not have been of the row that it has now.
        ended[keyed.order[lineage.last[lineage.alive]]] = NEVER
        truncations = self._changes.truncations
        if len(truncations):
            following = np.searchsorted(truncations, np.arange(len(ended)))
            is_before = following < len(truncations)
            ended[is_before] = np.minimum(ended[is_before], committed[truncations[following[is_before]]])
        at_once = np.isin(np.arange(len(ended)), truncations)
        at_once[keyed.order[keyed.op == Op.DELETE]] = True
        ended[at_once] = committed[at_once]
        return ended

    def _versions(self, times: _Times, patches: Patches | None) -> Iterator[pa.RecordBatch]:
        names = [column.name for column in self._schema if not is_own(column.name)]
        for first, batch in self._changes.read([*names, POSITION, ORDINAL, OP]):
            numbers = np.arange(first, first + batch.num_rows, dtype=np.int32)
            for part in patches.cut(numbers) if patches else (slice(0, len(numbers)),):
                rows = batch.slice(part.start, part.stop - part.start)
                yield self._version_batch(numbers[part], rows, times, patches)

    def _version_batch(
        self, numbers: Numbers, batch: pa.RecordBatch, times: _Times, patches: Patches | None
    ) -> pa.RecordBatch:
        committed = pa.array(times.committed[numbers]).cast(SYNC_VALID_TO_FIELD.type)
        own = {
            SYNC_AT: pa.repeat(self._sync_at, len(numbers)),
            SYNC_LSN: batch.column(POSITION),
            SYNC_OP: OP_NAMES.take(batch.column(OP)),
            SYNC_ORDINAL: batch.column(ORDINAL),
            SYNC_COMMIT_AT: committed,
            SYNC_VALID_FROM: committed,
            SYNC_VALID_TO: _ending(times.ended[numbers]),
        }
        columns = [
            own[column.name]
            if is_own(column.name)
            else _patched(patches, numbers, column.name, batch.column(column.name))
            for column in self._schema
        ]
        versions = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        # Of one from before the table was read, a value may be nowhere: what was read is what came of it.
        return versions.filter(pa.array(~patches.lacking(numbers))) if patches else versions

    def _closed(self, first: Numbers, times: _Times) -> Iterator[pa.RecordBatch]:
        """Stored versions that end with the first change of their key, or with a truncation before that."""
        stored, truncations = self._settling.stored, self._changes.truncations
        ends = times.committed[first]
        if len(truncations):
            ends = np.where(first > truncations[0], times.committed[truncations[0]], ends)
        found = self._settling.find(first)
        for file in np.unique(found.files[found.files >= 0]):
            here = np.flatnonzero(found.files == file)
            here = here[np.argsort(found.rows[here])]
            at = 0
            for batch in self._stored_batches({int(file): pa.array(found.rows[here])}):
                yield self._with_end(batch, _ending(ends[here[at : at + batch.num_rows]]))
                at += batch.num_rows
        if len(truncations):
            numbers = range(len(stored.publishing.target))
            others = stored.others(bare_keys(self._settling), self._folding.budget, CURRENT, numbers)
            for batch in self._stored_batches(others):
                end = times.committed[np.repeat(truncations[0], batch.num_rows)]
                yield self._with_end(batch, _ending(end))

    def _stored_batches(self, chosen: RowSets) -> Iterator[pa.RecordBatch]:
        files = self._settling.stored.publishing.target_files(list(chosen))
        yield from chosen_rows(self._store, files, chosen, self._schema)

    def _with_end(self, batch: pa.RecordBatch, ends: pa.Array) -> pa.RecordBatch:
        return batch.set_column(self._schema.get_field_index(SYNC_VALID_TO), SYNC_VALID_TO_FIELD, ends)


def _ending(times: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(times, mask=times == NEVER).cast(SYNC_VALID_TO_FIELD.type)


def _patched(patches: Patches | None, numbers: Numbers, name: str, values: pa.Array) -> pa.Array:
    return patches.apply(numbers, name, values) if patches else values
