"""Batches of a good size, of pieces of any size."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

MOST_ROWS = 500_000
MOST_HELD = 256
"""Pieces of small files: each takes more memory than its values."""


def gathered(pieces: Iterable[pa.RecordBatch], size_bytes: int) -> Iterator[pa.RecordBatch]:
    """Small pieces put together, large ones cut."""
    held: list[pa.RecordBatch] = []
    size = rows = 0
    for piece in pieces:
        for part in _parts(piece, size_bytes):
            if held and (size + part.nbytes > size_bytes or rows + part.num_rows > MOST_ROWS):
                yield _joined(held)
                held, size, rows = [], 0, 0
            held.append(part)
            size, rows = size + part.nbytes, rows + part.num_rows
            if len(held) >= MOST_HELD:
                held = [_joined(held)]
    if held:
        yield _joined(held)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _parts(piece: pa.RecordBatch, size_bytes: int) -> Iterator[pa.RecordBatch]:
    if piece.nbytes <= size_bytes or piece.num_rows <= 1:
        if piece.num_rows:
            yield piece
        return
    half = piece.num_rows // 2
    yield from _parts(piece.slice(0, half), size_bytes)
    yield from _parts(piece.slice(half), size_bytes)
