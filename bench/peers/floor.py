"""The least that a copy from PostgreSQL can cost: one script, one connection, one table after the other.

``python -m bench.peers.floor`` with ``{"url", "tables", "store", "target"}`` as JSON on standard input. DuckDB's
``postgres_query`` reads, ``bench.peers.parquet`` writes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_postgres_scanner
import pyarrow as pa

from bench.peers.parquet import write
from bench.peers.spent import report_spent

CHUNK_ROWS = 122_880
_EXTENSION = next(
    (Path(duckdb_extension_postgres_scanner.__path__[0]) / "extensions" / f"v{duckdb.__version__}").glob(
        "postgres_scanner.duckdb_extension*"
    )
)


def connect(url: str) -> duckdb.DuckDBPyConnection:
    """DuckDB with the database attached as ``source``."""
    connection = duckdb.connect()
    connection.execute(f"LOAD '{_EXTENSION}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"ATTACH '{url}' AS source (TYPE postgres, READ_ONLY)")
    return connection


def read(connection: duckdb.DuckDBPyConnection, query: str) -> pa.RecordBatchReader:
    """The answer to a query that PostgreSQL computes."""
    return connection.execute("SELECT * FROM postgres_query('source', ?)", [query]).to_arrow_reader(CHUNK_ROWS)


def main() -> None:
    task: dict[str, Any] = json.load(sys.stdin)
    with report_spent(), connect(task["url"]) as connection:
        for table in task["tables"]:
            write(task["store"], f"{task['target']}/{table}.parquet", read(connection, f'SELECT * FROM "{table}"'))


if __name__ == "__main__":
    main()
