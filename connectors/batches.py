"""Chunks as they come from a driver, made into batches of an even size."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

MAXIMUM_ROWS = 131_072
GATHERED_BYTES = 4 * 1024 * 1024
"""Small chunks are put together up to this: several batches are on their way at once, and larger ones gain nothing."""


def ahead(items: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Fetch the next item on a thread of its own while the last one is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="syncline-read") as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item


def joined(chunks: Iterator[pa.RecordBatch], size_bytes: int) -> Iterator[pa.RecordBatch]:
    """Chunks put together, or cut, to batches that hold no more than so much, or a single row."""
    gathered: list[pa.RecordBatch] = []
    size = rows = 0
    for chunk in chunks:
        if gathered and (size + chunk.nbytes > size_bytes or rows + chunk.num_rows > MAXIMUM_ROWS):
            yield pa.concat_batches(gathered)
            gathered, size, rows = [], 0, 0
        if chunk.nbytes > size_bytes:
            yield from _cut(chunk, size_bytes)
            continue
        gathered.append(chunk)
        size += chunk.nbytes
        rows += chunk.num_rows
    if gathered:
        yield pa.concat_batches(gathered)


def _cut(chunk: pa.RecordBatch, size_bytes: int) -> Iterator[pa.RecordBatch]:
    if chunk.nbytes <= size_bytes or chunk.num_rows == 1:
        yield chunk
        return
    half = chunk.num_rows // 2
    yield from _cut(chunk.slice(0, half), size_bytes)
    yield from _cut(chunk.slice(half), size_bytes)
