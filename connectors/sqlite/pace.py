"""How many rows to take at once, and what becomes a batch."""

from collections.abc import Iterator

import pyarrow as pa

MAXIMUM_BATCH_ROWS = 131_072
GATHERED_BYTES = 4 * 1024 * 1024
"""Small chunks are put together up to this; larger batches gain nothing."""
MOST_AT_ONCE = 1024
NARROW_AT_ONCE = 16
_GROWTH = 4


class Pace:
    """Numbers of rows: few at first, and then as many as their size allows.

    A row's size says little of the next one's, so there are never many on their way.
    """

    def __init__(self, budget_bytes: int, narrow: bool) -> None:
        self._budget_bytes = budget_bytes
        self._most = NARROW_AT_ONCE if narrow else MOST_AT_ONCE
        self._next = 1

    def __iter__(self) -> Iterator[int]:
        while True:
            yield self._next

    def saw(self, chunk: pa.RecordBatch) -> None:
        """Tell what the last rows were like."""
        fitting = self._budget_bytes * chunk.num_rows // max(chunk.nbytes, 1)
        self._next = max(1, min(self._next * _GROWTH, self._most, fitting))


def joined(chunks: Iterator[pa.RecordBatch], size_bytes: int) -> Iterator[pa.RecordBatch]:
    """Chunks put together, or cut, to batches that hold no more than so much, or a single row."""
    gathered: list[pa.RecordBatch] = []
    size = rows = 0
    for whole in chunks:
        for chunk in _cut(whole, size_bytes):
            if gathered and (size + chunk.nbytes > size_bytes or rows + chunk.num_rows > MAXIMUM_BATCH_ROWS):
                yield pa.concat_batches(gathered)
                gathered, size, rows = [], 0, 0
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
