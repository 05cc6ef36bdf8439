"""Small questions about a table: what the planner and the API ask. Columns go by their source names' stored form."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lake.duck import Budget, column_list, engine
from lake.evolution import describe_type
from lake.rows import DataFile, numbered_rows, row_groups
from lake.storage import LakeStore
from lake.table import OpenTable, open_table


def max_value(store: LakeStore, path: str, column: str) -> pa.Scalar | None:
    """The greatest value of a column; None where no row has one, or the table or the column does not exist."""
    table = open_table(store, path)
    if table.schema is None or column not in table.schema.names:
        return None
    schema = pa.schema([table.schema.field(column)])
    greatest = pa.scalar(None, schema.types[0])
    for file in _files(table).values():
        for _, rows in row_groups(store, file.path, schema):
            greatest = pc.max_element_wise(greatest, pc.min_max(rows.column(0))["max"])
    return greatest if greatest.is_valid else None


def duplicate_key(
    store: LakeStore, path: str, key: Sequence[str], budget: Budget | None = None
) -> dict[str, Any] | None:
    """A key that several rows share, or that is null in part; None where all rows are told apart by it."""
    table = open_table(store, path)
    if table.schema is None:
        return None
    schema = pa.schema([table.schema.field(name) for name in key])
    columns = column_list(key)
    nulls = " or ".join(f"{column_list([name])} is null" for name in key)
    with engine(budget or Budget()) as connection:
        connection.register("stored", numbered_rows(store, _files(table), schema))
        found = connection.sql(
            f"select {columns} from stored group by {columns} having count(*) > 1 or {nulls} limit 1"
        ).to_arrow_table()
    return found.to_pylist()[0] if found.num_rows else None


def row_count(store: LakeStore, path: str) -> int:
    return sum(file.rows for file in open_table(store, path).snapshot().files.values())


def size(store: LakeStore, path: str) -> int:
    """Bytes of the files that make up the table now."""
    return sum(file.size_bytes for file in open_table(store, path).snapshot().files.values())


def columns(store: LakeStore, path: str) -> list[dict[str, Any]]:
    """The table's columns as the API shows them."""
    schema = open_table(store, path).schema
    return [
        {"key": column.name, "name": column.name, "type": describe_type(column.type), "nullable": True}
        for column in schema or ()
    ]


def _files(table: OpenTable) -> dict[int, DataFile]:
    files = table.snapshot().files.values()
    return {number: DataFile(f"{table.root}/{file.path}", file.rows) for number, file in enumerate(files)}
