"""CSV and TSV, by Arrow's reader, as texts of which the types are inferred."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from connectors.files.contents import Framed, Opener, Readable, texts
from connectors.files.dialect import END, dialect_of, first_line, head_of, ragged_line, undecodable_line
from connectors.files.errors import BadFileError, changed
from connectors.files.pieces import BadLine, Shape, Wanted, is_ours, public_names
from connectors.inference.kinds import EMPTY, TEXT, inferred

BLOCK_BYTES = (2**20, 2**23, 2**26)
"""What is parsed at once; the larger ones for files with lines that are longer."""


class _LongLineError(Exception):
    """A line is longer than a block."""


@dataclass
class _Open:
    """A file that is read, with what was seen of it."""

    names: list[str]
    reader: Any
    bad: "_BadLines"


@dataclass
class _BadLines:
    """Lines with more or fewer fields than there are columns. Where they are kept, somebody takes them out in turn."""

    skips: bool
    keeps: bool = False
    count: int = 0
    first: Any = field(default=None)
    kept: list[BadLine] = field(default_factory=list)

    def __call__(self, row: Any) -> str:
        self.first = self.first or row
        self.count += 1
        if self.keeps:
            # The first line is ours.
            self.kept.append(BadLine(row.number - 1, row.text, _problem(row)))
        return "skip" if self.skips else "error"

    def taken(self) -> list[BadLine]:
        taken, self.kept = self.kept, []
        return taken


def _problem(row: Any) -> str:
    return f"{row.actual_columns} fields in place of {row.expected_columns}"


class Delimited:
    """``connectors.files.pieces.Format``."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter

    def shape(self, opener: Opener, wanted: Wanted) -> Shape:
        for block_bytes in BLOCK_BYTES:
            try:
                return self._shape(opener, wanted, block_bytes)
            except _LongLineError:
                continue
        raise BadFileError(
            f"The file {opener.entry.name} has a line of more than {BLOCK_BYTES[-1] >> 20} MB: is a quote in it never "
            "closed, or is the option quote another?"
        )

    def pieces(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[pa.RecordBatch]:
        try:
            with self._opened(opener, wanted, shape.block_bytes) as opened:
                yield from self._rows(opener, wanted, opened)
        except _LongLineError as error:
            raise changed(opener.entry.name) from error

    def bad_lines(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[BadLine]:
        try:
            with self._opened(opener, wanted, shape.block_bytes, keeps=True) as opened:
                for _ in self._rows(opener, wanted, opened):
                    yield from opened.bad.taken()
                yield from opened.bad.taken()
        except _LongLineError as error:
            raise changed(opener.entry.name) from error

    def _shape(self, opener: Opener, wanted: Wanted, block_bytes: int) -> Shape:
        rows = 0
        with self._opened(opener, wanted, block_bytes) as opened:
            types = {name: EMPTY for name in opened.names if wanted.has(name)}
            for piece in self._rows(opener, wanted, opened):
                rows += piece.num_rows
                for name in types:
                    known = TEXT if name in wanted.verbatim else types[name]
                    types[name] = inferred(known, piece.column(name))
        return Shape(types, rows, opened.bad.count, block_bytes, inferred=True)

    @contextmanager
    def _opened(self, opener: Opener, wanted: Wanted, block_bytes: int, *, keeps: bool = False) -> Iterator[_Open]:
        options, name = wanted.table.delimited, opener.entry.name
        delimiter = options.delimiter or self._delimiter
        dialect = dialect_of(wanted, delimiter)
        with texts(opener, wanted.table.encoding) as contents:
            head = head_of(contents, wanted.sample_bytes)
            first, length = first_line(head, dialect, name)
            if options.header is True:
                names, head = public_names(first, name), head[length:]
            elif options.header is False:
                names = [f"column_{number}" for number in range(1, len(first) + 1)]
            else:
                names = public_names(options.header, name)
            if not names:
                yield _Open([], None, _BadLines(skips=True))
                return
            sampled = wanted.sample_bytes is not None
            bad = _BadLines(skips=sampled or wanted.table.skips_bad_lines, keeps=keeps)
            end = delimiter.join([END] * len(names)).encode() + b"\n"
            rest: Readable = io.BytesIO() if sampled else contents
            # Arrow passes over all that is bad before its first row: with one of ours that is no more than a block.
            before = end if keeps else b""
            framed = Framed(before + head, rest, lambda last: end if last in (b"\n", b"\r", b"") else b"\n" + end)
            reader = _reader(framed, names, wanted, delimiter, block_bytes, bad)
            yield _Open(names, reader, bad)

    def _rows(self, opener: Opener, wanted: Wanted, opened: _Open) -> Iterator[pa.RecordBatch]:
        """Each piece is held back until the next is there: the last line of all is ours."""
        if opened.reader is None:
            return
        held: pa.RecordBatch | None = None
        with _failures(opener, wanted, opened, self._delimiter):
            while True:
                try:
                    piece = opened.reader.read_next_batch()
                except StopIteration:
                    break
                if not piece.num_rows:
                    yield piece
                    continue
                if held is not None:
                    yield held
                held = piece
        if wanted.sample_bytes is None and (held is None or not _is_end(held)):
            raise BadFileError(
                f"The file {opener.entry.name} ends within quotes: a quote in it is never closed, or the option "
                "quote is another."
            )
        if held is None:
            return
        yield held.slice(0, held.num_rows - 1)


def _reader(framed: Framed, names: list[str], wanted: Wanted, delimiter: str, block_bytes: int, bad: _BadLines) -> Any:
    options = wanted.table.delimited
    chosen = [name for name in names if wanted.has(name)] or names[:1]
    return _Lazy(
        lambda: arrow_csv.open_csv(
            pa.PythonFile(_WholeBreaks(framed), "r"),
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=block_bytes, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter,
                quote_char=options.quote or False,
                escape_char=options.escape or False,
                double_quote=True,
                newlines_in_values=True,
                # Of a single column an empty line is a null, as databases write it.
                ignore_empty_lines=len(names) > 1,
                invalid_row_handler=bad,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, TEXT),
                include_columns=chosen,
                null_values=list(options.nulls),
                strings_can_be_null=bool(options.nulls),
                quoted_strings_can_be_null=False,
            ),
        )
    )


class _WholeBreaks:
    """Contents no read of which ends between the two bytes of a line break, where there are more.

    Arrow takes a line feed at the beginning of a block for the rest of the break before it, also within quotes, and
    leaves it out.
    """

    closed = False

    def __init__(self, contents: Readable) -> None:
        self._contents = contents
        self._held = b""

    def close(self) -> None:
        """Whoever opened the contents closes them."""

    def read(self, size: int, /) -> bytes:
        found, self._held = self._held, b""
        while found in (b"", b"\r") and (more := self._contents.read(size - len(found))):
            found += more
        if len(found) > 1 and found.endswith(b"\r"):
            found, self._held = found[:-1], b"\r"
        return found


class _Lazy:
    """A reader that looks at the first block when it is first asked, so that its failures are those of reading."""

    def __init__(self, opening: Any) -> None:
        self._opening = opening
        self._reader: Any = None

    def read_next_batch(self) -> pa.RecordBatch:
        if self._reader is None:
            self._reader = self._opening()
        return self._reader.read_next_batch()


def _is_end(piece: pa.RecordBatch) -> bool:
    return bool(piece.column(0)[-1].as_py() == END)


@contextmanager
def _failures(opener: Opener, wanted: Wanted, opened: _Open, delimiter: str) -> Iterator[None]:
    name = opener.entry.name
    try:
        yield
    except pa.ArrowInvalid as error:
        told = str(error)
        if "straddling object" in told:
            raise _LongLineError from error
        # Of a bad line that is no text the handler never comes to hear.
        undecodable = undecodable_line(opener, wanted) if opened.bad.first is None else None
        if undecodable is not None or "invalid UTF8" in told:
            raise BadFileError(
                f"The file {name} is no valid utf-8{_at(undecodable)}: set the option encoding of its table."
            ) from error
        if opened.bad.first is not None:
            row = opened.bad.first
            line = ragged_line(opener, wanted, wanted.table.delimited.delimiter or delimiter, len(opened.names))
            raise BadFileError(
                f"The file {name} has {_problem(row)}{_at(line or row.number)}: mend it, or set the option bad_lines "
                "of its table to skip or to keep."
            ) from error
        raise BadFileError(f"The file {name} cannot be read as CSV.") from error
    except Exception as error:
        if ours := is_ours(error):
            raise ours from error
        raise


def _at(line: int | None) -> str:
    return f" at line {line}" if line else ""
