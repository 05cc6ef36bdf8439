"""What the formats have in common: a file's shape is found first, then its rows come in pieces.

Both go through the whole file, so that no value is a surprise once rows are on their way.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from connectors.errors import SourceError
from connectors.files.contents import Opener
from connectors.files.errors import BadFileError
from connectors.files.tables import FileTable

OWN = ("_file", "_row", "_file_modified_at")
"""Columns that each row has beside those of its file."""


@dataclass(frozen=True)
class Shape:
    """What a whole file holds: the types of its columns, in order, and how many rows."""

    types: dict[str, pa.DataType]
    rows: int
    bad_lines: int = 0
    """That were skipped."""
    block_bytes: int = 0
    """The reader's own."""
    inferred: bool = False
    """The types were inferred of texts, as which the values come."""


@dataclass(frozen=True)
class Wanted:
    """What of a file is to be read."""

    table: FileTable
    columns: Collection[str] | None = None
    verbatim: frozenset[str] = field(default_factory=frozenset)
    """Columns whose texts are needed as they are: no type is inferred for them."""
    batch_bytes: int = 16 * 2**20
    sample_bytes: int | None = None
    """How much of the beginning is enough; None for all of it."""

    def has(self, column: str) -> bool:
        return self.columns is None or column in self.columns


@dataclass(frozen=True)
class BadLine:
    """What is no row of its table."""

    record: int
    """Its number in the file, from 1, among good and bad ones; neither empty lines nor the names of columns count."""
    text: str
    problem: str


class Format(Protocol):
    """Raises ``SourceError`` only."""

    def shape(self, opener: Opener, wanted: Wanted) -> Shape: ...

    def pieces(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[pa.RecordBatch]:
        """All rows, in order: the wanted columns that the file has, as texts or in the types of the shape."""

    def bad_lines(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[BadLine]:
        """Those that ``shape`` counted and ``pieces`` leaves out, in order."""


def public_names(names: Collection[str], file: str) -> list[str]:
    """The columns' names: those that every row has a column of are given ``source`` in front."""
    found = [f"source{name}" if name.casefold() in OWN else name for name in names]
    for number, name in enumerate(found, 1):
        if not name:
            raise BadFileError(
                f"Column {number} of the file {file} has no name: mend its first line, or set the option header."
            )
        if name in found[: number - 1]:
            raise BadFileError(
                f"The file {file} has two columns {name}: mend its first line, or set the option header."
            )
    return found


def is_ours(error: BaseException | None) -> SourceError | None:
    """The error of a file's bytes that a reader raised something else from."""
    while error is not None:
        if isinstance(error, SourceError):
            return error
        error = error.__cause__ or error.__context__
    return None
