"""The least that a copy of one table can cost: one script, one connection, no platform around it.

``python -m bench.floor <dsn> <table> <bucket/key>`` with the store's address and keys in the environment: DuckDB's
``postgres_query`` reads, pyarrow writes one Parquet file to S3. No schedule, no retry, no commit.
Prints what the copy itself took: starting Python and its imports do not count.
"""

import json
import os
import sys
import time
from pathlib import Path

import duckdb
import duckdb_extension_postgres_scanner
import pyarrow.parquet as pq
from pyarrow.fs import S3FileSystem

_EXTENSION = next(
    (Path(duckdb_extension_postgres_scanner.__path__[0]) / "extensions" / f"v{duckdb.__version__}").glob(
        "postgres_scanner.duckdb_extension*"
    )
)
_CHUNK_ROWS = 122_880


def copy_table(dsn: str, table: str, target: str, store: S3FileSystem) -> int:
    """Write the table to one object; the number of rows."""
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{_EXTENSION}'")
        connection.execute(f"ATTACH '{dsn}' AS source (TYPE postgres, READ_ONLY)")
        query = "SELECT * FROM postgres_query('source', ?)"
        reader = connection.execute(query, [f"SELECT * FROM {table}"]).to_arrow_reader(_CHUNK_ROWS)
        rows = 0
        with (
            store.open_output_stream(target) as stream,
            pq.ParquetWriter(stream, reader.schema, compression="zstd") as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
    return rows


def main() -> None:
    store = S3FileSystem(
        access_key=os.environ["BENCH_ACCESS_KEY_ID"],
        secret_key=os.environ["BENCH_SECRET_ACCESS_KEY"],
        endpoint_override=os.environ["BENCH_ENDPOINT"],
        scheme="http",
    )
    started, cpu = time.monotonic(), time.process_time()
    dsn, table, target = sys.argv[1:]
    rows = copy_table(dsn, table, target, store)
    spent = {"wall_seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({"rows": rows, **spent}))


if __name__ == "__main__":
    main()
