"""How many rows to take at once."""

from collections.abc import Iterator

import pyarrow as pa

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
