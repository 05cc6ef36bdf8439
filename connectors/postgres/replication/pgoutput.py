"""The messages of ``pgoutput``, protocol 1, taken apart many at a time.

Formats: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html. Nothing here knows what a
value means; ``decoding.py`` does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

HEADER_BYTES = 25
"""Before each message in the stream: ``w``, two positions and the time, which the messages themselves say better."""
BEGIN, COMMIT, RELATION, INSERT, UPDATE, DELETE, TRUNCATE, MESSAGE = b"BCRIUDTM"
TRANSACTIONAL = 1
"""Flag of a message that is part of its transaction."""
KEY, OLD, NEW = b"KON"
NULL, UNCHANGED, TEXT = b"nut"
POSTGRES_EPOCH_MICROSECONDS = 946_684_800_000_000

_PADDING = bytes(8)
"""Behind the last message, so that a number may be read where a value's bytes would be."""


@dataclass(frozen=True)
class RelationMessage:
    """A table as it was when the changes behind this message were made: its columns as (name, type, modifier)."""

    oid: int
    schema: str
    table: str
    columns: tuple[tuple[str, int, int], ...]


class Messages:
    """Some messages in the order of the stream. Each begins in ``data`` where ``starts`` says, with its kind."""

    def __init__(self, raw: Sequence[bytes]) -> None:
        self.data = b"".join([*raw, _PADDING])
        lengths = np.fromiter(map(len, raw), np.int64, len(raw))
        self.starts: Numbers = np.cumsum(lengths) - lengths + HEADER_BYTES
        self.bytes: Bytes = np.frombuffer(self.data, np.uint8)
        self._words = np.ndarray(len(self.data) - 3, ">u4", self.data, 0, (1,))
        self._longs = np.ndarray(len(self.data) - 7, ">i8", self.data, 0, (1,))
        self.kinds: Bytes = self.bytes[self.starts]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def alone(self) -> Mask:
        """Messages that belong to no transaction, and stand between two."""
        found: Mask = (self.kinds == MESSAGE) & (self.bytes[self.starts + 1] & TRANSACTIONAL == 0)
        return found

    def words(self, places: npt.NDArray[np.integer]) -> Numbers:
        """Four bytes at each place as a number."""
        found: Numbers = self._words[places].astype(np.int64)
        return found

    def longs(self, places: npt.NDArray[np.integer]) -> Numbers:
        found: Numbers = self._longs[places].astype(np.int64)
        return found

    def committed(self, place: int) -> int:
        """Where the transaction lies that ends with this message."""
        return int(self._longs[self.starts[place] + 10])

    def relations(self, end: int) -> Iterator[tuple[int, RelationMessage]]:
        """Before that place, with their own."""
        for place in np.flatnonzero(self.kinds[:end] == RELATION):
            yield int(place), self._relation(int(self.starts[place]))

    def truncated(self, place: int) -> list[int]:
        """The relations of a truncate."""
        start = int(self.starts[place])
        count = int(self._words[start + 1])
        return [int(oid) for oid in self.words(start + 6 + 4 * np.arange(count))]

    def _relation(self, start: int) -> RelationMessage:
        oid, at = int(self._words[start + 1]), start + 5
        schema, at = self._text(at)
        table, at = self._text(at)
        count, at = int.from_bytes(self.data[at + 1 : at + 3], "big"), at + 3
        columns = []
        for _ in range(count):
            name, at = self._text(at + 1)
            typmod = int.from_bytes(self.data[at + 4 : at + 8], "big", signed=True)
            columns.append((name, int(self._words[at]), typmod))
            at += 8
        # The schema of what the system itself brings is sent as nothing.
        return RelationMessage(oid, schema or "pg_catalog", table, tuple(columns))

    def _text(self, at: int) -> tuple[str, int]:
        end = self.data.index(0, at)
        return self.data[at:end].decode(errors="replace"), end + 1

    def walk(self, first: Numbers, columns: int, places: Sequence[int]) -> "Tuples":
        """The values of tuples of so many columns, of which ``first`` says where the first columns stand."""
        tuples = Tuples.empty(len(places), len(first))
        rows = {place: row for row, place in enumerate(places)}
        at = first
        for place in range(columns):
            kinds = self.bytes[at]
            sent = kinds == TEXT
            lengths = np.where(sent, self.words(at + 1), 0)
            begins = at + np.where(sent, 5, 1)
            if place in rows:
                row = rows[place]
                tuples.kinds[row], tuples.begins[row], tuples.lengths[row] = kinds, begins, lengths
            at = begins + lengths
        tuples.ends = at
        return tuples

    def texts(self, tuples: "Tuples", column: int, prefix: int = 0) -> pa.Array:
        """The values of a column as they came, less a prefix of so many bytes, as binary; null where there is none."""
        begins, lengths = tuples.begins[column], tuples.lengths[column]
        sent = tuples.kinds[column] == TEXT
        count = len(sent)
        # Every other of these is a value, and what lies between them the others.
        offsets = np.empty(2 * count + 1, np.int32)
        offsets[0] = 0
        offsets[1::2] = begins + prefix * sent if prefix else begins
        offsets[2::2] = begins + lengths
        both = pa.Array.from_buffers(
            pa.binary(), 2 * count, [None, pa.py_buffer(offsets), pa.py_buffer(self.data)], null_count=0
        )
        values = both.take(pa.array(np.arange(1, 2 * count, 2, dtype=np.int32)))
        if sent.all():
            return values
        _, ends, data = values.buffers()
        return pa.Array.from_buffers(pa.binary(), count, [bitmap(sent), ends, data])


@dataclass
class Tuples:
    """Where the values of some columns (first axis) of some tuples (second axis) lie among the messages."""

    kinds: Bytes
    begins: Offsets
    lengths: Offsets
    ends: Numbers

    @classmethod
    def empty(cls, columns: int, count: int) -> "Tuples":
        """Of nulls."""
        shape = (columns, count)
        return cls(
            np.full(shape, NULL, np.uint8), np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(0, np.int64)
        )

    def take(self, order: npt.NDArray[np.integer]) -> "Tuples":
        return Tuples(self.kinds[:, order], self.begins[:, order], self.lengths[:, order], self.ends)

    def insert(self, before: npt.NDArray[np.integer], other: "Tuples") -> "Tuples":
        """With the other tuples, each before the one that is at that place now."""
        return Tuples(
            np.insert(self.kinds, before, other.kinds, axis=1),
            np.insert(self.begins, before, other.begins, axis=1),
            np.insert(self.lengths, before, other.lengths, axis=1),
            self.ends,
        )

    def fill(self, rows: npt.NDArray[np.integer], old: "Tuples") -> None:
        """Values that were not sent with these tuples, but with the old ones of the same rows."""
        known = (self.kinds[:, rows] == UNCHANGED) & (old.kinds == TEXT)
        columns, places = np.nonzero(known)
        there = rows[places]
        self.kinds[columns, there] = TEXT
        self.begins[columns, there] = old.begins[columns, places]
        self.lengths[columns, there] = old.lengths[columns, places]


def concatenated(tuples: Sequence[Tuples]) -> Tuples:
    return Tuples(
        np.concatenate([each.kinds for each in tuples], axis=1),
        np.concatenate([each.begins for each in tuples], axis=1),
        np.concatenate([each.lengths for each in tuples], axis=1),
        tuples[0].ends,
    )


def bitmap(mask: Mask) -> pa.Buffer:
    """As Arrow has its nulls."""
    return pa.py_buffer(np.packbits(mask, bitorder="little"))
