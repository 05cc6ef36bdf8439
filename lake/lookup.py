"""Finding a table's stored rows by their keys."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lake.change import Publishing
from lake.changes import Numbers
from lake.columns import (
    SYNC_DELETED,
    SYNC_DELETED_FIELDS,
    SYNC_LSN,
    SYNC_LSN_FIELD,
    SYNC_VALID_TO,
    SYNC_VALID_TO_FIELD,
    StoredColumns,
)
from lake.duck import ROWS_AT_ONCE, Budget, column_list, engine, row_sets, same
from lake.evolution import evolve
from lake.log import Snapshot
from lake.manifest import Manifest
from lake.pruning import files_with, may_hold
from lake.rows import FILE_COLUMN, ROW_COLUMN, RowSets, numbered_rows
from lake.table import OpenTable

ID = "_sync_id"


@dataclass(frozen=True)
class Found:
    """Where each key's row is stored: the number of its file and its number in it; -1 where there is none."""

    files: Numbers
    rows: Numbers


class StoredRows:
    """Of one version of a table, whose key is ``key`` by stored names. ``columns`` are those of the new rows."""

    def __init__(self, table: OpenTable, snapshot: Snapshot, columns: StoredColumns, key: tuple[str, ...]) -> None:
        self._table = table
        evolution = evolve(table.schema or columns.schema, columns.schema)
        self.publishing = Publishing(
            store=table.store,
            manifest=Manifest("", 0, columns),
            snapshot=snapshot,
            evolution=evolution,
            stem="",
            primary_key=key,
        )
        self.key = pa.schema([evolution.schema.field(name) for name in key])

    def others(self, keys: Iterable[pa.RecordBatch], budget: Budget, condition: str, numbers: Sequence[int]) -> RowSets:
        """The rows of some files that meet a condition in SQL and have none of the keys."""
        if not numbers:
            return {}
        read = pa.schema([*self.key, *(c for c in _MARKS if c.name in condition)])
        with engine(budget) as connection:
            connection.register("keys", _with_places(keys, self.key))
            connection.execute(f"create temp table incoming as select distinct {column_list(self.key.names)} from keys")
            files = self.publishing.target_files(numbers)
            connection.register("stored", numbered_rows(self._table.store, files, read))
            return row_sets(
                connection,
                f"""select {FILE_COLUMN}, {ROW_COLUMN} from stored anti join incoming
                on {same(self.key.names, "stored", "incoming")} where {condition}""",
            )

    def lacking(self, keys: Iterable[pa.RecordBatch], budget: Budget) -> bool:
        """Whether the table has a row that lacks values, with none of the keys."""
        least, greatest = pa.scalar(-(2**63), pa.int64()), pa.scalar(-1, pa.int64())
        target = self.publishing.target
        numbers = [n for n, file in enumerate(target) if may_hold(file, SYNC_LSN, pa.int64(), least, greatest)]
        return len(self.others(keys, budget, f"not {WHOLE}", numbers)) > 0

    def find(self, keys: Iterable[pa.RecordBatch], count: int, budget: Budget, condition: str = "true") -> Found:
        """The rows with ``count`` distinct keys, by their places; only those that meet a condition in SQL."""
        found = Found(np.full(count, -1, np.int32), np.full(count, -1, np.int32))
        if not self.publishing.target or not count:
            return found
        read = pa.schema([*self.key, *(c for c in _MARKS if c.name in condition)])
        with engine(budget) as connection:
            connection.register("keys", _with_places(keys, self.key))
            connection.execute("create temp table incoming as from keys")
            numbers = files_with(connection, self.publishing, "incoming", self.publishing.primary_key)
            files = self.publishing.target_files(numbers)
            connection.register("stored", numbered_rows(self._table.store, files, read))
            matched = connection.sql(
                f"""select incoming.{ID}::integer, stored.{FILE_COLUMN}::integer, stored.{ROW_COLUMN}::integer
                from stored join incoming on {same(self.key.names, "stored", "incoming")} where {condition}"""
            )
            for batch in matched.to_arrow_reader(ROWS_AT_ONCE):
                places, numbered, rows = (column.to_numpy() for column in batch.columns)
                found.files[places], found.rows[places] = numbered, rows
        return found


_MARKS = (SYNC_LSN_FIELD, SYNC_DELETED_FIELDS[0], SYNC_VALID_TO_FIELD)
WHOLE = f"(coalesce({SYNC_LSN}, 0) >= 0)"
"""Not one that lacks values (``lake.fold``)."""
PRESENT = f"(not coalesce({SYNC_DELETED}, false))"
"""Not one that was deleted, and stayed."""
CURRENT = f"({SYNC_VALID_TO} is null)"
"""Of a history: the version that is valid now."""


def _with_places(keys: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatchReader:
    numbered = schema.append(pa.field(ID, pa.int64()))

    def batches() -> Iterable[pa.RecordBatch]:
        first = 0
        for batch in keys:
            places = pa.array(np.arange(first, first + batch.num_rows))
            yield pa.RecordBatch.from_arrays([*batch.columns, places], schema=numbered)
            first += batch.num_rows

    return pa.RecordBatchReader.from_batches(numbered, batches())
