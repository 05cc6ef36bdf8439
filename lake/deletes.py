"""Deleting stored rows by key, in the same commit that brings new ones."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from lake.errors import DuplicateKeyError
from lake.manifest import RunRef, load, save
from lake.parquet import ParquetSeries, unique_stem
from lake.staging import describe_key
from lake.storage import LakeStore


def with_deletes(
    store: LakeStore,
    table_path: str,
    run: RunRef,
    manifest: str,
    keys: Iterable[pa.RecordBatch],
    primary_key: Sequence[str],
) -> str:
    """The path of a manifest of the same staged batch, which besides deletes the rows with these keys.

    ``keys`` have the key columns by their source names, in any order, and may repeat one. They are of what the table
    holds before the batch: where a staged row has the same key, that row is there afterwards. A key that the table
    does not hold is none to it. Raises ``DuplicateKeyError`` for a key with a null in it.
    """
    staged = load(store, manifest)
    stored = staged.columns.stored(primary_key)
    schema = pa.schema([staged.columns.schema.field(name) for name in stored])
    stem = unique_stem(table_path, run.generation, run.run_id, f"b{staged.batch}-deleted")
    with ParquetSeries(store, stem, schema, stored) as series:
        for batch in keys:
            series.write(_conformed(batch.select(list(primary_key)), schema))
        files = series.close()
    return save(store, table_path, replace(staged, deleted=(*staged.deleted, *files)))


def _conformed(keys: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    for values in keys.columns:
        if values.null_count:
            row = keys.filter(values.is_null()).slice(0, 1).to_pylist()[0]
            raise DuplicateKeyError(f"A deletion names no whole key ({describe_key(row)}).")
    arrays = [values.cast(column.type) for values, column in zip(keys.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
