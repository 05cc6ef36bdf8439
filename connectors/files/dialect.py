"""A file of CSV as Python's own reader sees it, which knows lines: the first one, and the one that is broken."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from connectors.files.contents import Opener, Readable, texts
from connectors.files.errors import BadFileError
from connectors.files.pieces import Wanted

# By itself the reader takes no field of more than 128 kB; it is one for the whole process.
csv.field_size_limit(2**31 - 1)

HEAD_BYTES = 2**20
"""Of which the first line is a part."""
END = "\x1eend of the file\x1e"
"""A line of our own behind the last: a quote that is never closed takes it in, and so is found."""


def head_of(contents: Readable, sample_bytes: int | None) -> bytes:
    """Enough for the first line; of a sample all of it, cut where a line ends."""
    size = sample_bytes or HEAD_BYTES
    head = bytearray()
    while len(head) < size and (chunk := contents.read(size - len(head))):
        head += chunk
    if sample_bytes is not None and len(head) >= size:
        del head[head.rfind(b"\n") + 1 :]
    return bytes(head)


def first_line(head: bytes, dialect: dict[str, Any], name: str) -> tuple[list[str], int]:
    """Its fields, and how many bytes there are up to its end, with empty lines before it."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in io.StringIO(head.decode("utf-8", "surrogateescape"), newline=""):
            taken += len(line.encode("utf-8", "surrogateescape"))
            yield line
        yield END

    try:
        fields = next((fields for fields in csv.reader(lines(), **dialect) if fields), [])
    except csv.Error as error:
        raise BadFileError(f"The first line of the file {name} is no line of columns.") from error
    if fields == [END]:
        return [], taken
    if fields and fields[-1].endswith(END):
        raise BadFileError(
            f"The first line of the file {name} has a quote that is never closed, or the option quote is another."
        )
    if taken >= HEAD_BYTES and not head.endswith((b"\n", b"\r")):
        raise BadFileError(f"The first line of the file {name} has more than {HEAD_BYTES >> 20} MB.")
    if any(not _is_valid(each) for each in fields):
        raise BadFileError(
            f"The file {name} is no valid utf-8 in its first line: set the option encoding of its table."
        )
    return fields, taken


def dialect_of(wanted: Wanted, delimiter: str) -> dict[str, Any]:
    """As Python's own reader has it, which tells the lines."""
    options = wanted.table.delimited
    return {
        "delimiter": delimiter,
        "quotechar": options.quote or None,
        "quoting": csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
        "escapechar": options.escape or None,
    }


def undecodable_line(opener: Opener, wanted: Wanted) -> int | None:
    with texts(opener, wanted.table.encoding) as contents:
        return next((number for number, line in enumerate(_lines(contents), 1) if not _decodes(line)), None)


def ragged_line(opener: Opener, wanted: Wanted, delimiter: str, columns: int) -> int | None:
    """Found by Python's own reader, which knows where each row begins; None where it reads the file otherwise."""
    with texts(opener, wanted.table.encoding) as contents:
        rows = csv.reader(
            (line.decode("utf-8", "replace") for line in _lines(contents)), **dialect_of(wanted, delimiter)
        )
        begun = 1
        try:
            for fields in rows:
                if fields and len(fields) != columns:
                    return begun
                begun = rows.line_num + 1
        except csv.Error:
            pass
    return None


def _lines(contents: Readable) -> Iterator[bytes]:
    rest = b""
    while chunk := contents.read(2**16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_valid(text: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in text)
