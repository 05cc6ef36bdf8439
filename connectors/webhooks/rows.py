"""Objects of events as the rows of a read. What their columns hold is inferred, as of the objects of an API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from connectors.base import DiscoveredTable, ReadReport, ReadRequest
from connectors.inference.columns import Conversion, table_type
from connectors.inference.filters import check_filters, filtered
from connectors.inference.gathering import gathered
from connectors.inference.kinds import LONG
from connectors.inference.texts import Literal
from connectors.receiving import ORDER, ObjectChange
from connectors.rest.spool import Spool


@contextmanager
def rows_of(table: DiscoveredTable, request: ReadRequest, changes: Sequence[ObjectChange]) -> Iterator["EventRows"]:
    wanted = request.columns and (*request.columns, ORDER)
    with Spool(table.primary_key, frozenset(request.type_overrides), wanted) as spool:
        spool.add([_with_order(each) if request.ordered else each.record for each in changes])
        yield EventRows(table, request, spool)


class EventRows:
    """``connectors.base.TableRead``. A column without a value is left out: the lake knows its type, or will."""

    row_estimate: int | None = None

    def __init__(self, table: DiscoveredTable, request: ReadRequest, spool: Spool) -> None:
        self.table: DiscoveredTable | None = table
        self.report = ReadReport()
        self._request = request
        self._spool = spool
        self._conversion = Conversion(request.type_overrides)
        self.schema = self._schema()
        self._filters = tuple(each for each in request.row_filters if each.column in self.schema.names)
        check_filters(self.schema, self._filters)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in gathered(map(self._converted, self._spool.pieces()), self._request.batch_bytes):
            if self._may_satisfy():
                yield filtered(batch, self._filters)
        self.report.warnings += self._conversion.warnings()

    def _may_satisfy(self) -> bool:
        """Of a column that is left out all values are null."""
        return all(each.op == "is_null" for each in self._request.row_filters if each not in self._filters)

    def _schema(self) -> pa.Schema:
        request = self._request
        kinds = {
            name: table_type(name, given, request.type_overrides, request.text_columns, resumed=True)
            for name, given in self._spool.types.items()
            if name != ORDER
        }
        fields = [pa.field(name, kind) for name, kind in kinds.items() if kind is not None]
        return pa.schema([*fields, pa.field(ORDER, LONG)] if request.ordered else fields)

    def _converted(self, piece: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for column in self.schema:
            if column.name not in piece.schema.names:
                columns.append(pa.nulls(piece.num_rows, column.type))
            elif column.name == ORDER:
                columns.append(piece.column(ORDER).cast(LONG))
            else:
                given = self._spool.types[column.name]
                columns.append(self._conversion.converted(column, piece.column(column.name), given))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _with_order(change: ObjectChange) -> dict[str, object]:
    return {**change.record, ORDER: None if change.order is None else Literal(change.order)}
