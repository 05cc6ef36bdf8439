"""A result as the server sends it, taken apart a column at a time.

The server writes each row as one packet, each value in it as a length and a text, and the end of the rows as a packet
of its own. Rows are found one after the other, for each begins where the one before it ends; their values are found by
numpy in all rows at once, and gathered by Arrow. So a row costs little more than one turn of a loop, and what is held
in memory is what is on its way, whatever the size of the table.

The protocol: https://mariadb.com/kb/en/clientserver-protocol/
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pymysql
from pymysql.constants import COMMAND, CR
from pymysql.err import raise_mysql_exception

LARGEST = 0xFFFFFF
"""The content of a packet of this size goes on in the next one."""
_NULL, _TWO_BYTES, _END, _ERROR = 0xFB, 0xFC, 0xFE, 0xFF
_SHORTEST_LONG_VALUE = 9
_LONGER_LENGTHS = ((_TWO_BYTES, 2), (0xFD, 3), (0xFE, 8))
"""First bytes of lengths that have more bytes, and how many."""
_header = struct.Struct("<I").unpack_from

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Some rows of a result: ``data``, and where in it each begins. Valid until the next ones are asked for."""

    data: bytearray
    starts: Sequence[int]

    def columns(self, kinds: Sequence[pa.DataType]) -> Iterator[pa.Array]:
        """Each column's values, as strings or bytes. Whether strings are valid ones is not looked at."""
        data, buffer = np.frombuffer(self.data, np.uint8), pa.py_buffer(self.data)
        place = np.array(self.starts, np.int64)
        every_second = np.arange(0, 2 * len(place), 2)
        for kind in kinds:
            start, place, null = _values(data, place)
            # Values, and what lies between them, in turns.
            offsets = np.empty(2 * len(place), np.int32)
            offsets[0::2], offsets[1::2] = start, place
            both = pa.Array.from_buffers(kind, len(offsets) - 1, [None, pa.py_buffer(offsets), buffer])
            yield both.take(pa.array(every_second, mask=null))


def stream(connection: Any, sql: str, size_bytes: int) -> Iterator[Rows]:
    """The rows of a query over PyMySQL's connection, as many at once as ``size_bytes`` hold, or one.

    Raises PyMySQL's errors and ``OSError``. A connection whose rows were not read to their end is good for nothing but
    to be closed.
    """
    connection._execute_command(COMMAND.COM_QUERY, sql)
    packets = _Packets(connection._sock, size_bytes)
    for _ in range(_count(packets.one()) + 1):
        packets.one()
    yield from packets.rows()


def _count(packet: bytes) -> int:
    """Of the columns, whose descriptions follow."""
    count = int.from_bytes(packet[1:3], "little") if packet[0] == _TWO_BYTES else packet[0]
    if not count or packet[0] == _NULL:
        raise pymysql.InterfaceError("The server answers a query with something else than rows.")
    return count


class _Packets:
    """The packets of an answer. PyMySQL's own reader of the same socket has read no byte of it."""

    def __init__(self, source: Any, size_bytes: int) -> None:
        self._source = source
        self._sequence = 1
        self._size_bytes = size_bytes
        self._data = bytearray(size_bytes)
        self._filled = 0
        self._ended = False

    def one(self) -> bytes:
        """The content of the next one."""
        self._read_up_to(4)
        end = 4 + (_header(self._data, 0)[0] & LARGEST)
        self._read_up_to(end)
        self._look_for_end(4, end)
        content = bytes(self._data[4:end])
        self._check_order([4])
        self._keep_from(end)
        return content

    def rows(self) -> Iterator[Rows]:
        """All that follow, up to the one that ends them."""
        self._ended = False
        while not self._ended:
            starts, end = self._gather()
            if self._ended:
                starts.pop()
            if starts:
                yield Rows(self._data, starts)
            self._keep_from(end)

    def _gather(self) -> tuple[list[int], int]:
        """Where the contents of packets begin, and where the last one ends: all that fit, at least one."""
        starts: list[int] = []
        end = self._scan(starts, 0)
        while not self._ended and not (starts and (self._filled == len(self._data) or self._goes_on(end))):
            if self._goes_on(end):
                return self._long_row()
            self._read()
            end = self._scan(starts, end)
        self._check_order(starts)
        return starts, end

    def _scan(self, starts: list[int], end: int) -> int:
        """Go on over the packets that are whole."""
        data, filled, header, add = self._data, self._filled, _header, starts.append
        while end + 4 <= filled:
            size = header(data, end)[0] & LARGEST
            if end + 4 + size > filled or size == LARGEST:
                break
            add(end + 4)
            end += 4 + size
        if starts:
            self._look_for_end(starts[-1], end)
        return end

    def _look_for_end(self, start: int, end: int) -> None:
        first = self._data[start]
        if first == _ERROR:
            raise_mysql_exception(bytes(self._data[start:end]))
        self._ended = first == _END and end - start < _SHORTEST_LONG_VALUE

    def _check_order(self, starts: list[int]) -> None:
        """Packets are numbered: whoever loses the thread in a result notices it here."""
        numbers = np.frombuffer(self._data, np.uint8)[np.array(starts, np.int64) - 1]
        if not np.array_equal(numbers, (self._sequence + np.arange(len(starts))) & 0xFF):
            raise pymysql.InternalError("The packets of a result are out of order.")
        self._sequence += len(starts)

    def _goes_on(self, end: int) -> bool:
        """Whether the next packet is not the whole row."""
        return self._filled >= end + 4 and _header(self._data, end)[0] & LARGEST == LARGEST

    def _long_row(self) -> tuple[list[int], int]:
        """Put a row of several packets, with which the data begin, together."""
        row, taken, size = bytearray(4), 0, LARGEST
        while size == LARGEST:
            self._read_up_to(taken + 4)
            size = _header(self._data, taken)[0] & LARGEST
            self._read_up_to(taken + 4 + size)
            row += self._data[taken + 4 : taken + 4 + size]
            taken += 4 + size
            self._sequence += 1
        end = len(row)
        self._data = row + self._data[taken : self._filled]
        self._filled = len(self._data)
        return [4], end

    def _read_up_to(self, size: int) -> None:
        while self._filled < size:
            self._read()

    def _read(self) -> None:
        """What there is, at least a byte."""
        if self._filled == len(self._data):
            self._data = self._data + bytearray(len(self._data))
        count = self._source.recv_into(memoryview(self._data)[self._filled :])
        if not count:
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, "The connection ended in the middle of a result.")
        self._filled += count

    def _keep_from(self, end: int) -> None:
        """Make room: what is behind is the beginning of what comes."""
        rest = self._data[end : self._filled]
        if len(self._data) != self._size_bytes:
            self._data = bytearray(max(self._size_bytes, len(rest)))
        self._data[: len(rest)] = rest
        self._filled = len(rest)


def _values(data: npt.NDArray[np.uint8], place: Places) -> tuple[Places, Places, npt.NDArray[np.bool_] | None]:
    """Of the values whose lengths stand at these places: where they begin and end, and which are null, if any is."""
    first = data[place]
    if not len(first) or first.max() < _NULL:
        start = place + 1
        return start, start + first, None
    length, start = first.astype(np.int64), place + 1
    null = first == _NULL
    length[null] = 0
    for mark, width in _LONGER_LENGTHS:
        rows = np.flatnonzero(first == mark)
        if len(rows):
            length[rows] = sum(data[place[rows] + 1 + byte].astype(np.int64) << 8 * byte for byte in range(width))
            start[rows] += width
    return start, start + length, null if null.any() else None
