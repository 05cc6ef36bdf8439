"""Large files and many files: memory does not depend on either."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.connectors.files.test_bucket import Prefix
from tests.kit.servers import RunningStore

MOST_MB = 250
"""Above what the process takes before it reads."""
FLAT_MB = 60
LARGE_BYTES = int(os.environ.get("SYNCLINE_TEST_LARGE_FILE_BYTES", 2 * 2**30))


def measured(folder: Path, files: str, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    given = {"location": str(folder), "tables": {"t": files}, **(inputs or {})}
    done = subprocess.run(
        [sys.executable, "-m", "tests.connectors.files.measured_process"],
        input=json.dumps({"inputs": given, "folder": str(folder)}) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    print(files, found)
    return found


def lines(size_bytes: int) -> Iterator[str]:
    """Blocks of rows with every kind of column, each row's ``id`` its number."""
    number = written = 0
    while written < size_bytes:
        block = "".join(
            f'{n},"name ""{n % 1000}"", of many",{n % 100_000 / 100:.2f},2026-01-{n % 28 + 1:02},'
            f"2026-01-31 12:{n % 60:02}:00,{'true' if n % 2 else 'false'},some longer text that is the note of {n}\n"
            for n in range(number, number + 10_000)
        )
        number += 10_000
        written += len(block)
        yield block


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_one_large_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    most = {}
    for name, size_bytes in (("small", LARGE_BYTES // 16), ("large", LARGE_BYTES)):
        rows = 0
        with (tmp_path / f"{name}.csv").open("w") as plain, gzip.open(tmp_path / f"{name}.csv.gz", "wt", 1) as packed:
            for file in (plain, packed):
                file.write("id,name,price,day,at,flag,note\n")
            for block in lines(size_bytes):
                plain.write(block)
                packed.write(block)
                rows += 10_000
        for file_name in (f"{name}.csv", f"{name}.csv.gz"):
            found = measured(tmp_path, file_name)
            assert (found["rows"], found["total"]) == (rows, rows * (rows - 1) // 2)
            assert found["most_mb"] - found["before_mb"] < MOST_MB
            most[file_name] = found["most_mb"]
    assert most["large.csv"] - most["small.csv"] < FLAT_MB
    assert most["large.csv.gz"] - most["small.csv.gz"] < FLAT_MB


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_small_files(tmp_path: Path, object_store: RunningStore, lake_url: str) -> None:
    for number in range(10_000):
        (tmp_path / f"{number:05}.csv").write_text(f"id,v\n{number},{number}.5\n")
    expected = (10_000, 10_000 * 9_999 // 2)
    found = measured(tmp_path, "*.csv")
    assert (found["rows"], found["total"]) == expected
    assert found["most_mb"] - found["before_mb"] < MOST_MB
    prefix = Prefix(object_store, lake_url)
    client, key = prefix.client, lake_url.removeprefix(f"s3://{object_store.bucket}/")

    def put(number: int) -> None:
        body = f"id,v\n{number},{number}.5\n".encode()
        client.put_object(Bucket=object_store.bucket, Key=f"{key}/{number:05}.csv", Body=body)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, range(10_000)))
    stored = measured(
        tmp_path,
        "*.csv",
        {
            "location": lake_url,
            "endpoint": object_store.endpoint,
            "region": object_store.region,
            "access_key_id": object_store.access_key_id,
            "secret_access_key": object_store.secret_access_key,
        },
    )
    assert (stored["rows"], stored["total"]) == expected
    assert stored["most_mb"] - stored["before_mb"] < MOST_MB


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_wide_and_large_parquet_file(tmp_path: Path) -> None:
    """500 columns, row groups of 100,000 rows: some 400 MB each, were they read as a whole."""
    schema = pa.schema([pa.field("id", pa.int64()), *(pa.field(f"c{number}", pa.int64()) for number in range(499))])
    with pq.ParquetWriter(tmp_path / "wide.parquet", schema) as writer:
        for group in range(4):
            ids = pa.array(range(group * 100_000, (group + 1) * 100_000))
            writer.write_table(pa.table([ids] * 500, schema=schema), row_group_size=100_000)
    found = measured(tmp_path, "wide.parquet")
    assert (found["rows"], found["total"]) == (400_000, 400_000 * 399_999 // 2)
    assert found["most_mb"] - found["before_mb"] < MOST_MB
