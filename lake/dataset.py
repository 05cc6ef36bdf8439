"""A table's rows for a query engine: one version of it, with filters and columns pushed down to the Parquet files."""

from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds

from lake.storage import LakeStore, storage_errors
from lake.table import open_table


def open_dataset(store: LakeStore, path: str) -> ds.Dataset | None:
    """The newest version of the table at ``path``; None where there is no table.

    Later commits change nothing of it. Its files stay for as long as a sweep keeps what commits have removed.
    """
    table = open_table(store, path)
    if table.delta is None:
        return None
    with storage_errors("read a table's log"):
        schema = pa.schema(pa.schema(table.delta.schema().to_arrow()))
        actions = pa.table(table.delta.get_add_actions())
        files = [f"{path}/{unquote(file)}" for file in actions.column("path").to_pylist()]
    return ds.FileSystemDataset.from_paths(
        files, schema=schema.remove_metadata(), format=ds.ParquetFileFormat(), filesystem=store.filesystem
    )
