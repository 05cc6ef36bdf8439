"""The pages of a batch, kept outside of memory until it is known what their columns hold."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

import pyarrow as pa

from connectors.inference.kinds import EMPTY, TEXT, inferred
from connectors.inference.objects import column_of

PIECE_ROWS = 4096
PIECE_BYTES = 2**22
"""Of answers, whose objects are put away together: many are of some rows only."""


class Spool(AbstractContextManager["Spool"]):
    """Objects go in, their columns come out as texts, with the types that hold all of them. Of objects with one key the
    one that came last is kept.
    """

    def __init__(self, key: Sequence[str], verbatim: frozenset[str], wanted: Sequence[str] | None) -> None:
        """``verbatim``: columns for which no type is to be inferred. ``wanted``: None for all there are."""
        self._types: dict[str, pa.DataType] = {}
        self._rows = 0
        self._size_bytes = 0
        self._pending: list[Mapping[str, Any]] = []
        self._pending_bytes = 0
        self._key = key
        self._verbatim = verbatim
        self._wanted = None if wanted is None else frozenset(wanted)
        self._file = tempfile.TemporaryFile(prefix="syncline-pages-")  # noqa: SIM115 - it is closed with the spool
        self._places: list[int] = []
        self._last: dict[tuple[Any, ...], tuple[int, int]] = {}
        self._replaced: dict[int, set[int]] = {}

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        self.flush()
        return self._types

    @property
    def rows(self) -> int:
        """At the most, until what is pending is put away."""
        return self._rows + len(self._pending)

    @property
    def size_bytes(self) -> int:
        """About."""
        return self._size_bytes + self._pending_bytes

    def add(self, records: Sequence[Mapping[str, Any]], size_bytes: int = 0) -> None:
        """``size_bytes``: of the answer that they came in."""
        self._pending += records
        self._pending_bytes += size_bytes
        if len(self._pending) >= PIECE_ROWS or self._pending_bytes >= PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        for first in range(0, len(pending), PIECE_ROWS):
            self._add(pending[first : first + PIECE_ROWS])

    def pieces(self) -> Iterator[pa.RecordBatch]:
        """In the order in which they came."""
        self.flush()
        for number, place in enumerate(self._places):
            self._file.seek(place)
            with pa.ipc.open_stream(pa.PythonFile(self._file, "r")) as stream:
                piece = stream.read_next_batch()
            replaced = self._replaced.get(number)
            if replaced:
                piece = piece.filter(pa.array([row not in replaced for row in range(piece.num_rows)]))
            if piece.num_rows:
                yield piece

    def _add(self, records: Sequence[Mapping[str, Any]]) -> None:
        names = [name for name in dict.fromkeys(chain.from_iterable(records)) if self._has(name)]
        columns = []
        for name in names:
            values, candidates = column_of(name, records)
            known = TEXT if name in self._verbatim else self._types.get(name, EMPTY)
            self._types[name] = inferred(known, values, candidates)
            columns.append(values)
        piece = pa.RecordBatch.from_arrays(columns or [pa.nulls(len(records))], names or [""])
        self._find_replaced(piece)
        place = self._file.seek(0, 2)
        with pa.ipc.new_stream(pa.PythonFile(self._file, "w"), piece.schema) as stream:
            stream.write_batch(piece)
        self._places.append(place)
        self._rows += piece.num_rows
        self._size_bytes += piece.nbytes

    def _has(self, name: str) -> bool:
        return self._wanted is None or name in self._wanted

    def _find_replaced(self, piece: pa.RecordBatch) -> None:
        """Objects that moved while the pages were turned come twice."""
        if not self._key or any(name not in piece.schema.names for name in self._key):
            return
        number = len(self._places)
        for row, key in enumerate(zip(*(piece.column(name).to_pylist() for name in self._key), strict=True)):
            if None in key:
                continue
            if before := self._last.get(key):
                self._replaced.setdefault(before[0], set()).add(before[1])
                self._rows -= 1
            self._last[key] = (number, row)
