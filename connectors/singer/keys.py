"""Which rows others with the same key have replaced, whatever the number of rows, in bounded memory."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from connectors.inference.texts import json_text

PASS_ROWS = 2_000_000
"""About so many are compared at once."""
_CHUNK_ROWS = 2**19
_BYTES = 16
_HALVES = np.dtype([("one", "<u8"), ("other", "<u8")])


class Keys(AbstractContextManager["Keys"]):
    """Keys go in row by row, as digests: two of 128 bits are never equal by chance."""

    def __init__(self) -> None:
        self.rows = 0
        self._file = tempfile.TemporaryFile(prefix="syncline-keys-")  # noqa: SIM115 - it is closed with the object

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._file.close()

    def add(self, keys: Iterable[tuple[Any, ...]]) -> None:
        digests = [hashlib.blake2b(json_text(key).encode(), digest_size=_BYTES).digest() for key in keys]
        self._file.seek(0, 2)
        self._file.write(b"".join(digests))
        self.rows += len(digests)

    def replaced(self, gone: npt.NDArray[np.bool_], pass_rows: int = PASS_ROWS) -> npt.NDArray[np.bool_]:
        """Rows with a key that a later row has too. Those that are ``gone`` replace nothing, and count as replaced."""
        found = gone.copy()
        passes = 1 + self.rows // pass_rows
        for number in range(passes):
            digests, rows = self._of_pass(number, passes, gone)
            order = np.lexsort((rows, digests["other"], digests["one"]))
            same = digests[order[1:]] == digests[order[:-1]]
            found[rows[order[:-1][same]]] = True
        return found

    def _of_pass(
        self, number: int, passes: int, gone: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        digests, rows = [np.empty(0, _HALVES)], [np.empty(0, np.int64)]
        for first, chunk in self._chunks():
            here = np.flatnonzero((chunk["one"] % passes == number) & ~gone[first : first + len(chunk)])
            digests.append(chunk[here])
            rows.append(here + first)
        return np.concatenate(digests), np.concatenate(rows)

    def _chunks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        self._file.seek(0)
        first = 0
        while content := self._file.read(_CHUNK_ROWS * _BYTES):
            chunk = np.frombuffer(content, _HALVES)
            yield first, chunk
            first += len(chunk)
