"""How new the stored rows with certain keys are."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lake.columns import SYNC_ORDER, SYNC_ORDER_FIELD, StoredColumns, is_own, source_name
from lake.duck import Budget, engine, same
from lake.lookup import ID, StoredRows
from lake.pruning import files_with
from lake.rows import chosen_rows, numbered_rows, stored_batches
from lake.table import OpenTable

Key = tuple[str, ...]
"""The texts of a key's values."""


def own_columns(table: OpenTable, primary_key: Sequence[str]) -> StoredColumns:
    """The stored key columns and our own: what a batch without rows has to say."""
    assert table.schema is not None
    fields = [column for column in table.schema if source_name(column) in primary_key]
    own = [column for column in table.schema if is_own(column.name)]
    return StoredColumns(pa.schema([*fields, *own]), {source_name(column): column.name for column in fields})


def stored_orders(
    table: OpenTable, primary_key: Sequence[str], keys: Sequence[Key], budget: Budget | None = None
) -> list[int | None]:
    """For each of the distinct keys; None where the table has no such row. Key columns by their source names."""
    if table.schema is None or not keys:
        return [None] * len(keys)
    columns = own_columns(table, primary_key)
    stored = StoredRows(table, table.snapshot(), columns, columns.stored(primary_key))
    places, typed = typed_keys(stored.key, keys)
    orders: list[int | None] = [None] * len(keys)
    with engine(budget or Budget()) as connection:
        numbered = typed.append_column(pa.field(ID, pa.int64()), pa.array(places, pa.int64()))
        connection.register("incoming", numbered)
        numbers = files_with(connection, stored.publishing, "incoming", stored.key.names)
        files = stored.publishing.target_files(numbers)
        connection.register("stored", numbered_rows(table.store, files, stored.key.append(SYNC_ORDER_FIELD)))
        found = connection.sql(
            f"select incoming.{ID}, stored.{SYNC_ORDER} from stored join incoming "
            f"on {same(stored.key.names, 'stored', 'incoming')}"
        )
        for place, order in found.fetchall():
            orders[place] = order
    return orders


def oldest_order(table: OpenTable) -> int | None:
    """Of all rows; None where there is none."""
    schema = pa.schema([SYNC_ORDER_FIELD])
    oldest = [
        pc.min(rows.column(0)).as_py()
        for file in table.snapshot().files.values()
        for _, rows in stored_batches(table.store, f"{table.root}/{file.path}", schema)
    ]
    return min((order for order in oldest if order is not None), default=None)


def stored_rows(
    table: OpenTable, primary_key: Sequence[str], keys: Sequence[Key], budget: Budget | None = None
) -> dict[Key, dict[str, Any]]:
    """The stored rows with these distinct keys, by the source's names and without columns of our own. For few keys."""
    if table.schema is None or not keys:
        return {}
    columns = own_columns(table, primary_key)
    stored = StoredRows(table, table.snapshot(), columns, columns.stored(primary_key))
    places, typed = typed_keys(stored.key, keys)
    found = stored.find(typed.to_batches(), len(places), budget or Budget())
    numbered = zip(found.files.tolist(), found.rows.tolist(), places, strict=True)
    at = sorted(each for each in numbered if each[0] >= 0)
    numbers = {file: pa.array([row for other, row, _ in at if other == file], pa.int64()) for file, _, _ in at}
    schema = pa.schema([column for column in table.schema if not is_own(column.name)])
    files = stored.publishing.target_files(list(numbers))
    rows = chosen_rows(table.store, files, numbers, schema).read_all()
    values = rows.rename_columns([source_name(column) for column in schema]).to_pylist()
    return {keys[place]: row for (_, _, place), row in zip(at, values, strict=True)}


def typed_keys(schema: pa.Schema, keys: Sequence[Key]) -> tuple[list[int], pa.Table]:
    """The keys in the types of the stored ones, with their places among all. No row has one that is no such value."""
    columns = [pa.array(values, pa.string()) for values in zip(*keys, strict=True)]
    try:
        typed = [column.cast(field.type) for column, field in zip(columns, schema, strict=True)]
        return list(range(len(keys))), pa.Table.from_arrays(typed, schema=schema)
    except pa.ArrowInvalid:
        places = [place for place, key in enumerate(keys) if _is_of(schema, key)]
        if len(places) == len(keys):
            raise
        return (
            (places, typed_keys(schema, [keys[place] for place in places])[1]) if places else ([], schema.empty_table())
        )


def _is_of(schema: pa.Schema, key: Key) -> bool:
    try:
        for value, field in zip(key, schema, strict=True):
            pa.scalar(value, pa.string()).cast(field.type)
    except pa.ArrowInvalid:
        return False
    return True
