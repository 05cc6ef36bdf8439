"""The records of a stream, kept outside of memory until the tap has ended well and all their types are known."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.inference.kinds import EMPTY, TEXT, common, inferred
from connectors.inference.objects import column_of
from connectors.singer.keys import Keys
from connectors.singer.schema import Property
from connectors.singer.values import fitting

PIECE_ROWS = 8192
PIECE_BYTES = 4 * 2**20
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Spool(AbstractContextManager["Spool"]):
    """Records go in, their columns come out as texts, with the types that hold all of them.

    Of records with one key the one that came last is kept.
    """

    def __init__(self, verbatim: frozenset[str], wanted: Sequence[str] | None) -> None:
        """``verbatim``: columns for which no type is to be found. ``wanted``: None for all there are."""
        self.types: dict[str, pa.DataType] = {}
        self.rows = 0
        """That will be given; known at the end."""
        self._declared: dict[str, Property] = {}
        self._verbatim = verbatim
        self._wanted = None if wanted is None else frozenset(wanted)
        self._file = tempfile.TemporaryFile(prefix="syncline-records-")  # noqa: SIM115 - it is closed with the spool
        self._keys = Keys()
        self._places: list[tuple[int, int]] = []
        self._waiting: list[Mapping[str, Any]] = []
        self._waiting_keys: list[tuple[Any, ...]] = []
        self._waiting_bytes = 0
        self._versions: list[tuple[int, Any]] = []
        """From which row on the records were of which version of the table."""
        self._given_up: list[tuple[int, int]] = []
        self._flushed = 0
        self._left_out: npt.NDArray[np.bool_] = np.zeros(0, bool)

    def __exit__(self, *_: object) -> None:
        # What did not fit on the disk does not when the file is closed either.
        with suppress(OSError):
            self._file.close()
        self._keys.__exit__()

    @property
    def has_rows(self) -> bool:
        return self._count() > 0

    def declare(self, properties: Mapping[str, Property]) -> None:
        """What the records from here on are; a column that was declared before is of both."""
        self._flush()
        for name, found in properties.items():
            if not self._has(name):
                continue
            known = self._declared.get(name)
            self._declared[name] = found if known is None else known.or_else(found)
            kind = TEXT if name in self._verbatim else found.kind
            self.types[name] = kind if name not in self.types else common((self.types[name], kind))

    def add(self, record: Mapping[str, Any], key: tuple[Any, ...], size_bytes: int, version: Any) -> None:
        """``key``: empty where the stream has none."""
        if not self._versions or self._versions[-1][1] != version:
            self._versions.append((self._count(), version))
        if key:
            self._waiting_keys.append(key)
        self._waiting.append(record)
        self._waiting_bytes += size_bytes
        if len(self._waiting) >= PIECE_ROWS or self._waiting_bytes >= PIECE_BYTES:
            self._flush()

    def activate(self, version: Any) -> None:
        """Records of other versions of the table count no more."""
        following = [first for first, _ in self._versions[1:]]
        for (first, other), end in zip(self._versions, [*following, self._count()], strict=False):
            if other is not None and other != version:
                self._given_up.append((first, end))

    def end(self) -> None:
        """After the last record, and before the first piece."""
        self._flush()
        self._file.flush()
        rows = self._count()
        gone = np.zeros(rows, bool)
        for first, end in self._given_up:
            gone[first:end] = True
        self._left_out = self._keys.replaced(gone) if self._keys.rows == rows else gone
        self.rows = rows - int(self._left_out.sum())

    def pieces(self) -> Iterator[pa.RecordBatch]:
        """In the order in which they came."""
        for place, first in self._places:
            self._file.seek(place)
            with pa.ipc.open_stream(pa.PythonFile(self._file, "r")) as stream:
                piece = stream.read_next_batch()
            left_out = self._left_out[first : first + piece.num_rows]
            if left_out.any():
                piece = piece.filter(pa.array(~left_out))
            if piece.num_rows:
                yield piece

    def _count(self) -> int:
        return self._flushed + len(self._waiting)

    def _flush(self) -> None:
        if not self._waiting:
            return
        self._keys.add(self._waiting_keys)
        records, self._waiting, self._waiting_keys, self._waiting_bytes = self._waiting, [], [], 0
        names = [name for name in dict.fromkeys(name for each in records for name in each) if self._has(name)]
        columns = [self._column(name, records) for name in names]
        piece = pa.RecordBatch.from_arrays(columns or [pa.nulls(len(records))], names or [""])
        place = self._file.seek(0, 2)
        with pa.ipc.new_stream(pa.PythonFile(self._file, "w"), piece.schema, options=_OPTIONS) as stream:
            stream.write_batch(piece)
        self._places.append((place, self._flushed))
        self._flushed += piece.num_rows

    def _column(self, name: str, records: Sequence[Mapping[str, Any]]) -> pa.Array:
        values, candidates = column_of(name, records)
        if name in self._verbatim:
            self.types[name] = TEXT
        elif name in self._declared:
            self.types[name] = fitting(self.types[name], values)
        else:
            self.types[name] = inferred(self.types.get(name, EMPTY), values, candidates)
        return values

    def _has(self, name: str) -> bool:
        return self._wanted is None or name in self._wanted
