"""JSON lines: an object a line, as texts of which the types are inferred.

Numbers are taken as they are written, nested values become JSON text. Arrow's own reader would round the one and
refuse what changes from line to line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.files.contents import Opener, Readable, texts
from connectors.files.errors import BadFileError
from connectors.files.pieces import BadLine, Shape, Wanted, public_names
from connectors.inference.kinds import EMPTY, TEXT, inferred
from connectors.inference.objects import NoObjectError, column_of, parsed_object

PIECE_ROWS = 8192
PIECE_BYTES = 4 * 2**20
MOST_LINE_BYTES = 2**26
_READ_BYTES = 2**18


@dataclass
class _Lines:
    """The objects of a file in pieces, and what was skipped."""

    opener: Opener
    wanted: Wanted
    bad: int = 0

    def pieces(self) -> Iterator[list[dict[str, Any]]]:
        rows: list[dict[str, Any]] = []
        size = 0
        for row, length in self._records():
            if isinstance(row, BadLine):
                self.bad += 1
                continue
            rows.append(row)
            size += length
            if len(rows) >= PIECE_ROWS or size >= PIECE_BYTES:
                yield rows
                rows, size = [], 0
        if rows:
            yield rows

    def skipped(self) -> Iterator[BadLine]:
        return (row for row, _ in self._records() if isinstance(row, BadLine))

    def _records(self) -> Iterator[tuple[dict[str, Any] | BadLine, int]]:
        """What each line holds, with its length."""
        name, record = self.opener.entry.name, 0
        with texts(self.opener, self.wanted.table.encoding) as contents:
            for number, line in enumerate(_lines(contents, name, self.wanted.sample_bytes), 1):
                if not line or line.isspace():
                    continue
                record += 1
                try:
                    yield parsed_object(line), len(line)
                except NoObjectError as error:
                    if not self.wanted.table.skips_bad_lines:
                        raise BadFileError(
                            f"The file {name} has {error} at line {number}: mend it, or set the option bad_lines of "
                            "its table to skip or to keep."
                        ) from error
                    yield BadLine(record, line.decode(errors="backslashreplace"), str(error)), len(line)


class JsonLines:
    """``connectors.files.pieces.Format``."""

    def shape(self, opener: Opener, wanted: Wanted) -> Shape:
        types: dict[str, pa.DataType] = {}
        lines, count = _Lines(opener, wanted), 0
        for rows in lines.pieces():
            count += len(rows)
            names = list(dict.fromkeys(name for row in rows for name in row))
            for name, public in zip(names, public_names(names, opener.entry.name), strict=True):
                if not wanted.has(public):
                    continue
                values, candidates = column_of(name, rows)
                known = TEXT if public in wanted.verbatim else types.get(public, EMPTY)
                types[public] = inferred(known, values, candidates)
        public_names(list(types), opener.entry.name)
        return Shape(types, count, lines.bad, inferred=True)

    def pieces(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[pa.RecordBatch]:
        for rows in _Lines(opener, wanted).pieces():
            names = list(dict.fromkeys(name for row in rows for name in row))
            public = public_names(names, opener.entry.name)
            kept = [(name, given) for name, given in zip(names, public, strict=True) if given in shape.types]
            if kept:
                columns = [column_of(name, rows)[0] for name, _ in kept]
                yield pa.RecordBatch.from_arrays(columns, [given for _, given in kept])
            else:
                yield pa.RecordBatch.from_arrays([pa.nulls(len(rows))], [""])

    def bad_lines(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[BadLine]:
        return _Lines(opener, wanted).skipped()


def _lines(contents: Readable, name: str, sample_bytes: int | None) -> Iterator[bytes]:
    """Lines without their ends; of a sample those that are whole."""
    rest, taken = b"", 0
    while chunk := contents.read(_READ_BYTES):
        taken += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > MOST_LINE_BYTES:
            raise BadFileError(f"The file {name} has a line of more than {MOST_LINE_BYTES >> 20} MB.")
        if sample_bytes is not None and taken >= sample_bytes:
            return
    if rest:
        yield rest
