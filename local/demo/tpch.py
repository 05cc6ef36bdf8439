"""TPC-H tables in a PostgreSQL database: the sample data of the demo and of the benchmark."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from local.binaries import find_program

CURSOR = "updated_at"
"""Of the tables that grow: when a row was last written."""

_CURSOR_COLUMN = f", {CURSOR} timestamptz NOT NULL DEFAULT clock_timestamp()"
"""Each row of a load gets its own time: ``clock_timestamp`` goes on within a statement."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class TpchTable:
    name: str
    columns: str
    """As ``CREATE TABLE`` takes them, in the generator's order."""
    primary_key: tuple[str, ...]
    has_cursor: bool = False


TABLES = (
    TpchTable("region", "r_regionkey int, r_name text, r_comment text", ("r_regionkey",)),
    TpchTable("nation", "n_nationkey int, n_name text, n_regionkey int, n_comment text", ("n_nationkey",)),
    TpchTable(
        "supplier",
        "s_suppkey int, s_name text, s_address text, s_nationkey int, s_phone text, s_acctbal numeric(15,2), "
        "s_comment text",
        ("s_suppkey",),
    ),
    TpchTable(
        "customer",
        "c_custkey int, c_name text, c_address text, c_nationkey int, c_phone text, c_acctbal numeric(15,2), "
        "c_mktsegment text, c_comment text",
        ("c_custkey",),
    ),
    TpchTable(
        "part",
        "p_partkey int, p_name text, p_mfgr text, p_brand text, p_type text, p_size int, p_container text, "
        "p_retailprice numeric(15,2), p_comment text",
        ("p_partkey",),
    ),
    TpchTable(
        "partsupp",
        "ps_partkey int, ps_suppkey int, ps_availqty int, ps_supplycost numeric(15,2), ps_comment text",
        ("ps_partkey", "ps_suppkey"),
    ),
    TpchTable(
        "orders",
        "o_orderkey bigint, o_custkey int, o_orderstatus varchar(1), o_totalprice numeric(15,2), o_orderdate date, "
        "o_orderpriority text, o_clerk text, o_shippriority int, o_comment text",
        ("o_orderkey",),
        has_cursor=True,
    ),
    TpchTable(
        "lineitem",
        "l_orderkey bigint, l_partkey int, l_suppkey int, l_linenumber int, l_quantity numeric(15,2), "
        "l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag varchar(1), "
        "l_linestatus varchar(1), l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct text, "
        "l_shipmode text, l_comment text",
        ("l_orderkey", "l_linenumber"),
        has_cursor=True,
    ),
)


def load(
    connection: psycopg.Connection[Any], scale: float, tables: Sequence[TpchTable] = TABLES, *, cursor: bool = True
) -> dict[str, int]:
    """Make the tables and fill them; the rows of each. Without ``cursor`` they have TPC-H's own columns only."""
    return {table.name: _load_table(connection, table, scale, cursor=cursor) for table in tables}


def _load_table(connection: psycopg.Connection[Any], table: TpchTable, scale: float, *, cursor: bool) -> int:
    with_cursor = cursor and table.has_cursor
    names = ", ".join(column.split(" ")[0] for column in table.columns.split(", "))
    connection.execute(_raw(f"CREATE TABLE {table.name} ({table.columns}{_CURSOR_COLUMN if with_cursor else ''})"))
    copy_in = _raw(f"COPY {table.name} ({names}) FROM STDIN (FORMAT csv, HEADER)")
    with connection.cursor() as rows:
        with rows.copy(copy_in) as copy:
            for chunk in _generated(table, scale):
                copy.write(chunk)
        count = rows.rowcount
    connection.execute(_raw(f"ALTER TABLE {table.name} ADD PRIMARY KEY ({', '.join(table.primary_key)})"))
    if with_cursor:
        connection.execute(_raw(f"CREATE INDEX ON {table.name} ({CURSOR})"))
    connection.execute(_raw(f"ANALYZE {table.name}"))
    return count


def _generated(table: TpchTable, scale: float) -> Iterator[bytes]:
    """The rows as CSV with a header line."""
    program = str(find_program("tpchgen-cli", "tpchgen-cli"))
    argv = [program, "csv", f"--scale-factor={scale}", f"--tables={table.name}", "--stdout", "--quiet"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        while chunk := process.stdout.read(_CHUNK_BYTES):
            yield chunk
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)


def _raw(text: str) -> sql.SQL:
    """Text of this module as SQL."""
    return sql.SQL(text)
