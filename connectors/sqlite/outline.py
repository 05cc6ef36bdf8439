"""A database's pages that say what it holds: its schema and its statistics, and none of its rows.

They are found as SQLite finds them, from the root of a table down: https://www.sqlite.org/fileformat2.html.
"""

import os

from connectors.deadline import remaining
from connectors.s3 import piece
from connectors.sqlite.errors import no_database
from connectors.sqlite.stored import HEADER_BYTES, StoredDatabase

BLOCK_BYTES = 2**17
"""Fetched by one request: some pages of any size."""
SCHEMA_ROOT = 1
_INNER, _LEAF = 5, 13
_LONGEST_VARINT = 9


class Outline:
    """Puts pages of the database where they belong in a file that is as large and has nothing in it.

    SQLite takes a page that was never fetched for a damaged one.
    """

    def __init__(self, database: StoredDatabase, descriptor: int) -> None:
        self._database = database
        self._descriptor = descriptor
        self._blocks: set[int] = set()
        self._visited: set[int] = set()

    def add_table(self, root: int) -> None:
        """All pages of a table. ``ConfigurationError`` where they do not fit together."""
        ahead = [root]
        while ahead:
            number = ahead.pop()
            page = self._page(number)
            head = HEADER_BYTES if number == SCHEMA_ROOT else 0
            kind = page[head]
            first = head + (12 if kind == _INNER else 8)
            cells = [_number(page, first + 2 * place, 2) for place in range(_number(page, head + 3, 2))]
            if kind == _INNER:
                ahead += [_number(page, cell, 4) for cell in cells]
                ahead.append(_number(page, head + 8, 4))
            elif kind == _LEAF:
                for cell in cells:
                    self._add_overflow(page, cell)
            else:
                raise no_database()

    def _add_overflow(self, page: bytes, cell: int) -> None:
        """The pages with the rest of a row that is too long for its own."""
        usable = self._database.usable_bytes
        size, place = _varint(page, cell)
        _, place = _varint(page, place)
        most, least = usable - 35, (usable - 12) * 32 // 255 - 23
        if size <= most:
            return
        local = least + (size - least) % (usable - 4)
        number = _number(page, place + (local if local <= most else least), 4)
        while number:
            number = _number(self._page(number), 0, 4)

    def _page(self, number: int) -> bytes:
        size = self._database.page_bytes
        position = (number - 1) * size
        if number in self._visited or not 0 <= position <= self._database.stored.size - size:
            raise no_database()
        self._visited.add(number)
        block = position // BLOCK_BYTES
        if block not in self._blocks:
            remaining()
            found = piece(self._database.client, self._database.stored, block * BLOCK_BYTES, BLOCK_BYTES)
            os.pwrite(self._descriptor, found, block * BLOCK_BYTES)
            self._blocks.add(block)
        return os.pread(self._descriptor, size, position)


def _number(page: bytes, place: int, size: int) -> int:
    return int.from_bytes(page[place : place + size], "big")


def _varint(page: bytes, place: int) -> tuple[int, int]:
    """The number, and the place behind it. Each byte has seven bits of it, but the ninth, which has eight."""
    value = 0
    for count, byte in enumerate(page[place : place + _LONGEST_VARINT], 1):
        if count == _LONGEST_VARINT:
            return value << 8 | byte, place + count
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count
    raise no_database()
