"""What a table holds, as a number of rows and a checksum that does not depend on their order.

Each side is computed from what its own reader gives: PostgreSQL makes the canonical text of a row and its MD5 by
itself; on the other side the Delta table is read by delta-rs and hashed here. The checksum is the sum of the first
64 bits of every row's MD5: a row that is missing, doubled or altered changes it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from psycopg import sql

_SEPARATOR = "\x1f"
_NULL = "\\N"
_TIMESTAMPTZ_OID = 1184
_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Contents:
    rows: int
    checksum: str


def source_contents(connection: psycopg.Connection[Any], table: str) -> Contents:
    """Of a PostgreSQL table with all its columns."""
    name = sql.Identifier(table)
    description = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(name)).description or []
    texts = [_source_text(column.name, column.type_code) for column in description]
    row = sql.SQL("concat_ws({}, {})").format(_SEPARATOR, sql.SQL(", ").join(texts))
    counted = connection.execute(
        sql.SQL(
            "SELECT count(*), coalesce(sum(('x' || left(md5({}), 16))::bit(64)::bigint::numeric), 0) FROM {}"
        ).format(row, name)
    ).fetchone()
    assert counted
    return Contents(counted[0], _as_hex(int(counted[1])))


def lake_contents(url: str, storage_options: Mapping[str, str], columns: Sequence[str]) -> Contents:
    """Of those columns of a Delta table, in the source's order."""
    table = DeltaTable(url, storage_options=dict(storage_options))
    return dataset_contents(table.to_pyarrow_dataset(), columns)


def dataset_contents(dataset: ds.Dataset, columns: Sequence[str]) -> Contents:
    rows = total = 0
    for batch in dataset.scanner(columns=list(columns), batch_size=_BATCH_ROWS).to_batches():
        if batch.num_rows:
            rows += batch.num_rows
            total += sum(map(_hash, _row_texts(batch)))
    return Contents(rows, _as_hex(total))


def source_columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    query = sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(table))
    return [column.name for column in connection.execute(query).description or []]


def _source_text(name: str, type_oid: int) -> sql.Composable:
    column = sql.Identifier(name)
    if type_oid == _TIMESTAMPTZ_OID:
        text = sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint::text").format(column)
    else:
        text = sql.SQL("{}::text").format(column)
    return sql.SQL("coalesce({}, {})").format(text, _NULL)


def _row_texts(batch: pa.RecordBatch) -> list[str]:
    texts = [pc.fill_null(_lake_text(column), _NULL) for column in batch.columns]
    joined: list[str] = pc.binary_join_element_wise(*texts, _SEPARATOR).to_pylist()
    return joined


def _lake_text(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return column.cast(pa.string())


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8], "big")


def _as_hex(total: int) -> str:
    """PostgreSQL sums signed numbers, Python unsigned ones: modulo 2^64 they are the same."""
    return f"{total % 2**64:016x}"
