"""Bad lines as a table of their own: what a table leaves out, with where it lies and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pyarrow as pa

from connectors.files.contents import Opener
from connectors.files.pieces import BadLine, Format, Shape, Wanted
from connectors.inference.kinds import TEXT

COLUMNS = {"record": pa.int64(), "text": TEXT, "problem": TEXT}
PIECE_LINES = 1024
"""A line may be of megabytes, but lines like that are few."""


class BadLines:
    """``connectors.files.pieces.Format``: of the files of another format, the lines that are none of its rows."""

    def __init__(self, of: Format) -> None:
        self._of = of

    def shape(self, opener: Opener, wanted: Wanted) -> Shape:
        found = self._of.shape(opener, replace(wanted, columns=()))
        types = {name: kind for name, kind in COLUMNS.items() if wanted.has(name)}
        return Shape(types, found.bad_lines, block_bytes=found.block_bytes)

    def pieces(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[pa.RecordBatch]:
        lines = self._of.bad_lines(opener, replace(wanted, columns=()), shape)
        while piece := list(islice(lines, PIECE_LINES)):
            columns = {name: pa.array([getattr(line, name) for line in piece], kind) for name, kind in COLUMNS.items()}
            kept = {name: columns[name] for name in shape.types} or {"": pa.nulls(len(piece))}
            yield pa.RecordBatch.from_arrays(list(kept.values()), list(kept))

    def bad_lines(self, opener: Opener, wanted: Wanted, shape: Shape) -> Iterator[BadLine]:
        """Of bad lines none is bad."""
        return iter(())
