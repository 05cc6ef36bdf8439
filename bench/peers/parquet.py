"""Where the floor scripts write to: one Parquet file for each table on S3, without a schedule, a retry or a commit.

Only pyarrow: some of them run in the peers' environment.
"""

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import S3FileSystem


def write(store: dict[str, str], place: str, reader: pa.RecordBatchReader) -> None:
    with (
        file_system(store).open_output_stream(place) as stream,
        pq.ParquetWriter(stream, reader.schema, compression="zstd") as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)


def file_system(store: dict[str, str]) -> S3FileSystem:
    scheme, _, address = store["endpoint"].partition("://")
    return S3FileSystem(
        access_key=store["access_key_id"],
        secret_key=store["secret_access_key"],
        endpoint_override=address,
        scheme=scheme,
        region=store["region"],
    )
