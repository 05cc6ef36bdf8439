"""The least that a copy can cost: one script, one connection, one table after the other, no platform around it.

``python -m bench.peers.floor`` with ``{"dsn", "tables", "store", "target"}`` as JSON on standard input. DuckDB's
``postgres_query`` reads, pyarrow writes one Parquet file for each table to S3. No schedule, no retry, no commit.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_postgres_scanner
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import S3FileSystem

from bench.peers.spent import report_spent

CHUNK_ROWS = 122_880
_EXTENSION = next(
    (Path(duckdb_extension_postgres_scanner.__path__[0]) / "extensions" / f"v{duckdb.__version__}").glob(
        "postgres_scanner.duckdb_extension*"
    )
)


def connect(dsn: str) -> duckdb.DuckDBPyConnection:
    """DuckDB with the database attached as ``source``."""
    connection = duckdb.connect()
    connection.execute(f"LOAD '{_EXTENSION}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"ATTACH '{dsn}' AS source (TYPE postgres, READ_ONLY)")
    return connection


def read(connection: duckdb.DuckDBPyConnection, query: str) -> pa.RecordBatchReader:
    """The answer to a query that PostgreSQL computes."""
    return connection.execute("SELECT * FROM postgres_query('source', ?)", [query]).to_arrow_reader(CHUNK_ROWS)


def file_system(store: dict[str, str]) -> S3FileSystem:
    scheme, _, address = store["endpoint"].partition("://")
    return S3FileSystem(
        access_key=store["access_key_id"],
        secret_key=store["secret_access_key"],
        endpoint_override=address,
        scheme=scheme,
        region=store["region"],
    )


def main() -> None:
    task: dict[str, Any] = json.load(sys.stdin)
    files = file_system(task["store"])
    with report_spent(), connect(task["dsn"]) as connection:
        for table in task["tables"]:
            reader = read(connection, f'SELECT * FROM "{table}"')
            with (
                files.open_output_stream(f"{task['target']}/{table}.parquet") as stream,
                pq.ParquetWriter(stream, reader.schema, compression="zstd") as writer,
            ):
                for batch in reader:
                    writer.write_batch(batch)


if __name__ == "__main__":
    main()
