"""What is to be folded into which table, and the keys of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from lake.changes import Changes, Numbers
from lake.duck import Budget
from lake.errors import DuplicateKeyError
from lake.log import Snapshot
from lake.lookup import CURRENT, PRESENT, WHOLE, Found, StoredRows
from lake.patches import rows_of
from lake.staging import describe_key
from lake.table import OpenTable

NUMBER = "_sync_number"
READ_ANEW = "the table must be read anew."


@dataclass(frozen=True)
class Settling:
    """The changes, and the table that they are for. ``key`` by stored names; ``scratch`` is a folder."""

    changes: Changes
    table: OpenTable
    key: tuple[str, ...]
    soft_deletes: bool
    overlap: bool
    budget: Budget
    scratch: Path
    history: bool = False
    """Of each key the table has all that it ever was: the version that counts is the one without an end."""
    is_last_overlap: bool = False
    """What was read and its log come together with these changes: afterwards no row may lack values."""

    @cached_property
    def begin(self) -> int:
        """Number of the first change that counts."""
        truncations = self.changes.truncations
        return int(truncations[-1]) + 1 if self.truncated else 0

    @property
    def truncated(self) -> bool:
        return not self.keeps_rows and len(self.changes.truncations) > 0

    @property
    def keeps_rows(self) -> bool:
        """Deleted rows stay."""
        return self.soft_deletes or self.history

    @cached_property
    def stored(self) -> StoredRows:
        root = self.table.root
        snapshot = Snapshot(root, -1) if self.truncated else self.table.snapshot()
        return StoredRows(self.table, snapshot, self.changes.columns, self.key)

    @property
    def counts(self) -> str:
        """Which stored rows are rows of the source. While some are read beside the log, one may lack values: it is as
        good as none.
        """
        conditions = [(self.history, CURRENT), (self.soft_deletes, PRESENT), (self.overlap, WHOLE)]
        return " and ".join(["true", *(condition for applies, condition in conditions if applies)])

    def find(self, numbers: Numbers) -> Found:
        """The stored rows with the keys of some changes, in ascending order."""
        return self.stored.find(rows_of(self.changes, numbers, self.key), len(numbers), self.budget, self.counts)


def keys_of(settling: Settling, marks: tuple[str, ...]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Keys and marks of the changes that count. ``DuplicateKeyError`` for one without a key."""
    skipped = settling.changes.truncations if settling.keeps_rows else np.empty(0, np.int32)
    for first, batch in settling.changes.read([*settling.key, *marks], begin=settling.begin):
        for name in settling.key:
            if batch.column(name).null_count:
                nulls = np.flatnonzero(batch.column(name).is_null().to_numpy(zero_copy_only=False))
                bare = nulls[~np.isin(first + nulls, skipped)]
                if len(bare):
                    row = batch.select(list(settling.key)).slice(int(bare[0]), 1).to_pylist()[0]
                    raise DuplicateKeyError(
                        f"A change has no value in the key column {name!r} (key {describe_key(row)}); "
                        "every row needs one."
                    )
        yield first, batch


def numbered_keys(settling: Settling, batches: Iterator[tuple[int, pa.RecordBatch]]) -> pa.RecordBatchReader:
    """The keys with the numbers of their changes, but for truncations."""
    fields = [settling.changes.columns.schema.field(name) for name in settling.key]
    schema = pa.schema([*fields, pa.field(NUMBER, pa.int64())])
    skipped = settling.changes.truncations if settling.keeps_rows else np.empty(0, np.int32)

    def numbered() -> Iterator[pa.RecordBatch]:
        for first, batch in batches:
            numbers = np.arange(first, first + batch.num_rows)
            found = pa.RecordBatch.from_arrays([*batch.columns[: len(fields)], pa.array(numbers)], schema=schema)
            yield found.filter(pa.array(~np.isin(numbers, skipped))) if len(skipped) else found

    return pa.RecordBatchReader.from_batches(schema, numbered())


def bare_keys(settling: Settling) -> Iterator[pa.RecordBatch]:
    """Of the changes that have one."""
    for batch in numbered_keys(settling, keys_of(settling, ())):
        yield batch.select(list(settling.key))


def comparable(values: pa.Array) -> pa.Array:
    return values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
