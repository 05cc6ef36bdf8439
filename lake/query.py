"""Small questions about a table: what the planner and the API ask. Columns go by their source names."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lake.columns import is_own, source_name
from lake.duck import Budget, column_list, engine
from lake.evolution import describe_type
from lake.rows import DataFile, numbered_rows, stored_batches
from lake.staging import describe_key
from lake.storage import LakeStore
from lake.table import OpenTable, open_table


def max_value(store: LakeStore, path: str, column: str) -> pa.Scalar | None:
    """The greatest value of a column; None where no row has one, or the table or the column does not exist."""
    table = open_table(store, path)
    found = _stored(table, [column])
    if not found:
        return None
    schema = pa.schema(found)
    greatest = pa.scalar(None, schema.types[0])
    for file in _files(table).values():
        for _, rows in stored_batches(store, file.path, schema):
            greatest = pc.max(pa.array([greatest, pc.max(rows.column(0))], schema.types[0]))
    return greatest if greatest.is_valid else None


def duplicate_key(store: LakeStore, path: str, key: Sequence[str], budget: Budget | None = None) -> str | None:
    """A key that several rows share, or that is null in part, as text; None where each row has one of its own.

    A key column that the table lacks counts as null in every row.
    """
    table = open_table(store, path)
    schema = pa.schema(_stored(table, key))
    if len(schema) < len(key):
        return f"{', '.join(key)}: not all stored" if table.delta is not None else None
    columns = column_list(schema.names)
    nulls = " or ".join(f"{column_list([name])} is null" for name in schema.names)
    with engine(budget or Budget()) as connection:
        connection.register("stored", numbered_rows(store, _files(table), schema))
        found = connection.sql(
            f"select {columns} from stored group by {columns} having count(*) > 1 or {nulls} limit 1"
        ).to_arrow_table()
    return describe_key(found.to_pylist()[0]) if found.num_rows else None


def column_types(table: OpenTable) -> dict[str, str]:
    """The stored columns by their source names with Delta's names of their types, but for those of our own."""
    return {source_name(column): describe_type(column.type) for column in table.schema or () if not is_own(column.name)}


def _stored(table: OpenTable, names: Sequence[str]) -> list[pa.Field]:
    by_source = {source_name(column): column for column in table.schema or ()}
    return [by_source[name] for name in names if name in by_source]


def _files(table: OpenTable) -> dict[int, DataFile]:
    files = table.snapshot().files.values()
    return {number: DataFile(f"{table.root}/{file.path}", file.rows) for number, file in enumerate(files)}
