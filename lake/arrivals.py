"""Staging the keys of rows that are to go."""

from collections.abc import Sequence

import pyarrow as pa

from lake.manifest import Manifest, RunRef
from lake.orders import Key, typed_keys
from lake.parquet import KEYED_FILE_BYTES, ParquetSeries, WrittenFile, unique_stem
from lake.storage import LakeStore


def stage_deleted(
    store: LakeStore,
    table_path: str,
    run: RunRef,
    manifest: Manifest,
    primary_key: Sequence[str],
    keys: Sequence[Key],
) -> tuple[WrittenFile, ...]:
    """For the manifest of the same batch: files of these keys, whose columns go by their source names."""
    if not keys:
        return ()
    names = manifest.columns.stored(primary_key)
    schema = pa.schema([manifest.columns.schema.field(name) for name in names])
    _, typed = typed_keys(schema, keys)
    stem = unique_stem(table_path, run.generation, run.run_id, f"b{manifest.batch}")
    with ParquetSeries(store, f"{stem}-deleted", schema, names, KEYED_FILE_BYTES) as series:
        for batch in typed.to_batches():
            series.write(batch)
        return tuple(series.close())
