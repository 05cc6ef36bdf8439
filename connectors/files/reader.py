"""Reading a table: the second way through its files, of which each row is given once.

Rows come by the times at which their files were last modified, then by the files' names. A file that is read again
gives the same rows, unless a column of it has become text meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from connectors.base import DiscoveredTable, ReadReport, ReadRequest
from connectors.errors import SchemaChangedError
from connectors.files.config import FilesConfig
from connectors.files.discovery import FILE, MODIFIED_AT, ROW, described
from connectors.files.entry import FileEntry, Place
from connectors.files.errors import changed
from connectors.files.inspection import Contents, format_of
from connectors.files.pieces import Shape
from connectors.files.place import location_of, opened_place
from connectors.files.planning import Plan, planned
from connectors.inference.columns import Conversion
from connectors.inference.filters import filtered
from connectors.inference.gathering import gathered
from connectors.inference.kinds import TEXT


@contextmanager
def open_read(config: FilesConfig, request: ReadRequest) -> Iterator["FilesRead"]:
    """Look through the files that are to be read, and be ready to give their rows."""
    table = config.table(request.table)
    if table is None:
        raise SchemaChangedError(
            f"The source has no table {request.table} any more: its field tables names it no longer."
        )
    with opened_place(config.place) as place:
        contents = Contents(place)
        plan = planned(place, contents, table, request, location_of(config.place))
        yield FilesRead(place, contents, plan, request)


class FilesRead:
    """An open read: ``connectors.base.TableRead``."""

    def __init__(self, place: Place, contents: Contents, plan: Plan, request: ReadRequest) -> None:
        self._place = place
        self._contents = contents
        self._plan = plan
        self._filters = request.row_filters
        self._batch_bytes = plan.wanted.batch_bytes
        self._conversion = Conversion(plan.chosen)
        self.schema = plan.schema
        self.table: DiscoveredTable | None = described(plan.table, plan.schema, None) if plan.files else None
        self.report = ReadReport()

    @property
    def row_estimate(self) -> int | None:
        return None if self._filters else sum(shape.rows for _, shape in self._plan.files)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in gathered(self._rows(), self._batch_bytes):
            yield filtered(batch, self._filters)
        self.report.warnings += [*self._conversion.warnings(), *self._plan.warnings]
        self.report.more = self._plan.more
        self.report.whole_groups = self._plan.whole_groups
        self.report.state = self._plan.state

    def _rows(self) -> Iterator[pa.RecordBatch]:
        by_entry = dict(self._plan.files)
        for opener in self._contents.openers(by_entry):
            entry, shape, rows = opener.entry, by_entry[opener.entry], 0
            for piece in format_of(self._plan.table, entry).pieces(opener, self._plan.wanted, shape):
                yield self._converted(piece, entry, shape, rows)
                rows += piece.num_rows
            if rows != shape.rows:
                raise changed(entry.name)
            self._place.check_unchanged(entry)

    def _converted(self, piece: pa.RecordBatch, entry: FileEntry, shape: Shape, before: int) -> pa.RecordBatch:
        """A piece of a file as rows of the table."""
        own = _own(entry, before, piece.num_rows)
        columns = []
        for column in self.schema:
            name = column.name
            if name in own:
                values, file_kind = own[name], own[name].type
            elif name in piece.schema.names:
                values, file_kind = piece.column(name), shape.types[name]
            else:
                columns.append(pa.nulls(piece.num_rows, column.type))
                continue
            try:
                columns.append(self._conversion.converted(column, values, file_kind))
            except pa.ArrowInvalid as error:
                raise changed(entry.name) from error
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _own(entry: FileEntry, before: int, rows: int) -> dict[str, pa.Array]:
    return {
        FILE: pa.repeat(pa.scalar(entry.name, TEXT), rows),
        ROW: pa.array(np.arange(before + 1, before + rows + 1, dtype=np.int64)),
        MODIFIED_AT: pa.repeat(pa.scalar(entry.modified_at, pa.timestamp("us", "UTC")), rows),
    }
