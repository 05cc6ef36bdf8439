"""Staging: an Arrow stream becomes Parquet files in their final place, and a manifest that lists them."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lake.columns import (
    HISTORY_FIELDS,
    SYNC_AT_FIELD,
    SYNC_DELETED_FIELDS,
    SYNC_LSN,
    SYNC_LSN_FIELD,
    SYNC_ORDER_FIELD,
    SYNC_ORDINAL,
    StoredColumns,
    conform,
    stored_columns,
)
from lake.errors import DuplicateKeyError, IncompatibleSchemaError
from lake.manifest import Manifest, RunRef
from lake.parquet import FILE_BYTES, KEYED_FILE_BYTES, ParquetSeries, WrittenFile, unique_stem
from lake.storage import LakeStore

VERSION_KEY = (SYNC_LSN, SYNC_ORDINAL)
"""Behind a table's key: by both, a history knows each version of a row."""
WAITING_BATCHES = 1
"""Batches read ahead of the writer."""

Progress = Callable[[int, int], None]
"""Called with the rows and the compressed bytes staged so far."""


@dataclass(frozen=True)
class CursorSpec:
    """The cursor column by its source name; ``encode`` gives a value's canonical text.

    ``edge`` is the greatest value that the table holds, as a Python value; None when it holds none.
    """

    field: str
    encode: Callable[[pa.Scalar], str]
    edge: Any = None


def stage(
    store: LakeStore,
    table_path: str,
    run: RunRef,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    batch: int = 0,
    cursor: CursorSpec | None = None,
    primary_key: Sequence[str] = (),
    read_at: datetime | None = None,
    log_position: int | None = None,
    soft_deletes: bool = False,
    history: bool = False,
    ordered: bool = False,
    progress: Progress = lambda rows, size_bytes: None,
    file_bytes: int | None = None,
) -> Manifest:
    """Write one batch's rows to files that nothing refers to yet, whatever their number, in bounded memory.

    May be repeated at any time: each attempt writes files of its own. Raises ``DuplicateKeyError`` for a row without
    a key. ``log_position``, of a table that is kept by its source's log: the rows show everything up to there;
    ``soft_deletes``: rows that are deleted later will stay; ``history``: they are the first versions of the rows;
    ``ordered``: the last column says how new each row is.
    """
    own = own_values(read_at, log_position, soft_deletes, history)
    if ordered:
        columns = stored_columns(schema.remove(len(schema) - 1), (*own, SYNC_ORDER_FIELD))
    else:
        columns = stored_columns(schema, tuple(own))
    columns = with_version_key(columns) if history else columns
    staging = _Staging(
        store=store,
        stem=unique_stem(table_path, run.generation, run.run_id, f"b{batch}"),
        columns=columns,
        cursor=cursor,
        primary_key=columns.stored(primary_key),
        file_bytes=file_bytes or (KEYED_FILE_BYTES if primary_key else FILE_BYTES),
    )
    constants = tuple(own.values())
    staging.write_all((conform(one, columns, constants, ordered=ordered) for one in batches), progress)
    return staging.manifest(run.run_id, batch)


def own_values(
    read_at: datetime | None, log_position: int | None, soft_deletes: bool, history: bool = False
) -> dict[pa.Field, pa.Scalar]:
    """Our own columns of a staged row, in order, with what they hold of one that the source has."""
    read_at = read_at or datetime.now(UTC)
    values: dict[pa.Field, Any] = {SYNC_AT_FIELD: read_at}
    if log_position is not None:
        values[SYNC_LSN_FIELD] = log_position
        if soft_deletes:
            values |= dict(zip(SYNC_DELETED_FIELDS, (False, None), strict=True))
        if history:
            values |= dict(zip(HISTORY_FIELDS, ("insert", 0, None, read_at, None), strict=True))
    return {column: pa.scalar(value, column.type) for column, value in values.items()}


class _Staging:
    """One attempt. Rows are looked at on the reading thread and encoded on another, a batch or two behind."""

    def __init__(
        self,
        store: LakeStore,
        stem: str,
        columns: StoredColumns,
        cursor: CursorSpec | None,
        primary_key: tuple[str, ...],
        file_bytes: int,
    ) -> None:
        self._columns = columns
        self._primary_key = primary_key
        self._encode = cursor.encode if cursor else str
        self._cursor = columns.names[cursor.field] if cursor else None
        self._edge: pa.Scalar | None = None
        if cursor and self._cursor and cursor.edge is not None:
            self._edge = pa.scalar(cursor.edge, columns.schema.field(self._cursor).type)
        self._greatest: pa.Scalar | None = None
        self._fresh_files: list[WrittenFile] = []
        self._overlap_files: list[WrittenFile] = []
        also = primary_key + ((self._cursor,) if self._cursor else ())
        self._fresh = ParquetSeries(store, stem, columns.schema, also, file_bytes)
        self._overlap = ParquetSeries(store, f"{stem}-overlap", columns.schema, also, file_bytes)

    def write_all(self, batches: Iterable[pa.RecordBatch], progress: Progress) -> None:
        rows = 0
        waiting: deque[Future[None]] = deque()
        with self._fresh, self._overlap:
            with ThreadPoolExecutor(1, "parquet-writer") as writer:
                for batch in batches:
                    self._check_key(batch)
                    waiting.append(writer.submit(self._write, *self._divide(batch)))
                    while len(waiting) > WAITING_BATCHES:
                        waiting.popleft().result()
                    rows += batch.num_rows
                    progress(rows, self._fresh.size_bytes + self._overlap.size_bytes)
                for write in waiting:
                    write.result()
            self._fresh_files = self._fresh.close()
            self._overlap_files = self._overlap.close()

    def _write(self, fresh: pa.RecordBatch, overlap: pa.RecordBatch | None) -> None:
        self._fresh.write(fresh)
        if overlap is not None:
            self._overlap.write(overlap)

    def _divide(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
        """The rows past the edge, and those that the table may hold already."""
        if self._cursor is None:
            return batch, None
        values = batch.column(self._cursor)
        if self._edge is None:
            self._look_at(values)
            return batch, None
        is_fresh = pc.fill_null(pc.greater(values, self._edge), False)
        fresh = batch.filter(is_fresh)
        self._look_at(fresh.column(self._cursor))
        if fresh.num_rows == batch.num_rows:
            return batch, None
        return fresh, batch.filter(pc.invert(is_fresh))

    def _look_at(self, values: pa.Array) -> None:
        greatest = pc.min_max(values)["max"]
        if greatest.is_valid and (self._greatest is None or pc.greater(greatest, self._greatest).as_py()):
            self._greatest = greatest

    def _check_key(self, batch: pa.RecordBatch) -> None:
        for name in self._primary_key:
            keys = batch.column(name)
            if keys.null_count:
                row = batch.filter(pc.is_null(keys)).select(list(self._primary_key)).slice(0, 1).to_pylist()[0]
                raise DuplicateKeyError(
                    f"A row has no value in the key column {name!r} (key {describe_key(row)}); every row needs one."
                )

    def manifest(self, run_id: str, batch: int) -> Manifest:
        return Manifest(
            run_id=run_id,
            batch=batch,
            columns=self._columns,
            fresh=tuple(self._fresh_files),
            overlap=tuple(self._overlap_files),
            edge=self._encode(self._edge) if self._edge is not None else None,
            cursor=self._encode(self._greatest) if self._greatest is not None else None,
        )


def with_version_key(columns: StoredColumns) -> StoredColumns:
    """With names for what tells the versions of a row apart, beside its key."""
    if taken := [name for name in VERSION_KEY if name in columns.names]:
        raise IncompatibleSchemaError(f"The source has a column {taken[0]!r}, a name that a history needs for itself.")
    return replace(columns, names={**columns.names, **{name: name for name in VERSION_KEY}})


def describe_key(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" if value is not None else f"{name}=null" for name, value in row.items())
