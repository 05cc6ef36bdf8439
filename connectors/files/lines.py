"""JSON lines: an object a line, as texts of which the types are inferred.

Numbers are taken as they are written, nested values become JSON text. Arrow's own reader would round the one and
refuse what changes from line to line.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.files.contents import Opener, Readable, texts
from connectors.files.errors import BadFileError
from connectors.files.kinds import BOOLEAN, EMPTY, NUMBERS, TEXT, TIMES, inferred
from connectors.files.pieces import BadLine, Shape, Wanted, public_names
from connectors.files.texts import Literal, json_text, plain_literal

PIECE_ROWS = 8192
PIECE_BYTES = 4 * 2**20
MOST_LINE_BYTES = 2**26
_READ_BYTES = 2**18
_CANDIDATES: dict[type, tuple[pa.DataType, ...]] = {Literal: NUMBERS, bool: (BOOLEAN,), str: TIMES}
"""What values of one JSON type may be. A number in quotes is a text."""


class _BadLineError(ValueError):
    """The line is none of an object."""


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
                    yield _row(line), len(line)
                except _BadLineError as error:
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
                values, candidates = _column(name, rows)
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
                columns = [_column(name, rows)[0] for name, _ in kept]
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


def _row(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise _BadLineError("bytes that are no valid utf-8") from error
    try:
        found = _DECODER.decode(text.strip())
    except (json.JSONDecodeError, RecursionError) as error:
        raise _BadLineError("what is no JSON") from error
    if not isinstance(found, dict):
        raise _BadLineError("what is no JSON object")
    if "\\u" in text and not _is_whole(found):
        raise _BadLineError("half of a character")
    return found


def _is_whole(value: Any) -> bool:
    """A surrogate without its other half is no character, and no UTF-8."""
    try:
        json_text(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _BadLineError("an object with two members of one name")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_int=Literal, parse_float=Literal, parse_constant=Literal)


def _column(name: str, rows: Sequence[dict[str, Any]]) -> tuple[pa.Array, Sequence[pa.DataType]]:
    """The values of a piece as texts, and what these may be."""
    values = [row.get(name) for row in rows]
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {str}:
        return pa.array(values, TEXT), TIMES
    if kinds == {Literal}:
        return pa.array([None if value is None else plain_literal(value) for value in values], TEXT), NUMBERS
    candidates = _CANDIDATES.get(next(iter(kinds)), ()) if len(kinds) == 1 else ()
    return pa.array([_text(value) for value in values], TEXT), candidates


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and not isinstance(value, Literal)):
        return value
    return plain_literal(value) if isinstance(value, Literal) else json_text(value)
