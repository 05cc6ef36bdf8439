"""Staged batches that delete stored rows by key as well, as folded changes do."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from lake.manifest import RunRef, load, save
from lake.parquet import ParquetSeries, unique_stem
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
    does not hold is none to it.
    """
    staged = load(store, manifest)
    stored = staged.columns.stored(primary_key)
    schema = pa.schema([staged.columns.schema.field(name) for name in stored])
    stem = unique_stem(table_path, run.generation, run.run_id, f"b{staged.batch}-deleted")
    with ParquetSeries(store, stem, schema, stored) as series:
        for batch in keys:
            arrays = [batch.column(name).cast(column.type) for name, column in zip(primary_key, schema, strict=True)]
            series.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        files = series.close()
    return save(store, table_path, replace(staged, deleted=(*staged.deleted, *files)))
