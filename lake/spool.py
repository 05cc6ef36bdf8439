"""Rows set aside on the local disk, to be taken from there in any order: memory holds what is being taken."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake.changes import Numbers

GATHERED_BYTES = 4 * 1024 * 1024
FIXED_BYTES = 8
"""About what a value takes that is neither text nor bytes."""


class Spool:
    """Rows are numbered as they come. ``sizes`` says of each about how many bytes it has."""

    def __init__(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        self._starts = [0]
        sizes = [np.empty(0, np.int64)]
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in _gathered(batches):
                writer.write_batch(batch)
                sizes.append(_sizes(batch))
                self._starts.append(self._starts[-1] + batch.num_rows)
        self.sizes = np.concatenate(sizes)
        self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._batches = [self._reader.get_batch(number) for number in range(self._reader.num_record_batches)]

    def take(self, column: str, rows: Numbers) -> pa.Array:
        """Values of a column, in the order of the given rows."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        cuts = np.searchsorted(ascending, self._starts)
        pieces = [
            self._batches[number].column(column).take(pa.array(ascending[begin:end] - self._starts[number]))
            for number, (begin, end) in enumerate(pairwise(cuts))
            if begin < end
        ]
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        return pa.concat_arrays(pieces).take(pa.array(back))


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= GATHERED_BYTES:
            yield pa.concat_batches(held)
            held, size = [], 0
    if held:
        yield pa.concat_batches(held)


def _sizes(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    total = np.zeros(batch.num_rows, np.int64)
    for values in batch.columns:
        if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
            total += pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
        else:
            total += FIXED_BYTES
    return total
