"""Objects as rows of the lake: those of a spool, in types that hold all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from connectors.base import GONE, DiscoveredTable, ReadReport, ReadRequest, ValueWarning
from connectors.errors import SchemaChangedError
from connectors.inference.columns import Conversion, table_type
from connectors.inference.filters import check_filters, filtered
from connectors.inference.gathering import gathered
from connectors.inference.kinds import EMPTY
from connectors.inference.texts import Literal
from connectors.receiving import ORDER, ObjectChange
from connectors.rest.columns import declared_columns, lake_names, times
from connectors.rest.config import RestConfig
from connectors.rest.declaration import UNIX_TYPES, Resource
from connectors.rest.discovery import described
from connectors.rest.spool import Spool
from connectors.rest.walking import Record


def spool_of(resource: Resource, request: ReadRequest) -> Spool:
    verbatim = frozenset({*declared_columns(resource), *request.type_overrides})
    wanted = None if request.columns is None else (*request.columns, ORDER)
    return Spool(resource.primary_key, verbatim, wanted)


def with_order(record: Record, order: int) -> Record:
    return {**record, ORDER: Literal(order)}


@contextmanager
def open_rows(config: RestConfig, request: ReadRequest, changes: Sequence[ObjectChange]) -> Iterator["KnownRows"]:
    """A read of objects that are known already, each with its order."""
    resource = config.declaration.resource(request.table)
    if resource is None:
        raise SchemaChangedError(f"The source declares no resource {request.table} any more.")
    with spool_of(resource, request) as spool:
        spool.add([with_order(each.record, each.order or 0) if request.ordered else each.record for each in changes])
        yield KnownRows(resource, request, spool)


class TypedRows:
    """What is in a spool by now. ``resumed``: the table has rows, and columns, of reads before this one."""

    def __init__(self, resource: Resource, request: ReadRequest, spool: Spool, *, resumed: bool) -> None:
        self._resource = resource
        self._request = request
        self._spool = spool
        self._chosen = lake_names(resource.columns) | dict(request.type_overrides)
        self._conversion = Conversion(self._chosen)
        self._gone: list[ValueWarning] = []
        self.schema = self._schema(resumed)
        check_filters(self.schema, request.row_filters)

    def pieces(self) -> Iterator[pa.RecordBatch]:
        for piece in self._spool.pieces():
            yield self._converted(piece)

    def warnings(self) -> list[ValueWarning]:
        """Behind the last piece."""
        return [*self._gone, *self._conversion.warnings()]

    def _schema(self, resumed: bool) -> pa.Schema:
        resource, request = self._resource, self._request
        wanted = None if request.columns is None else set(request.columns)
        declared = {name: kind for name, kind in declared_columns(resource).items() if wanted is None or name in wanted}
        kinds: dict[str, pa.DataType | None] = {}
        for name, given in {**dict.fromkeys(declared, EMPTY), **self._spool.types}.items():
            if name == ORDER:
                continue
            known = declared.get(name, given)
            kinds[name] = table_type(name, known, self._chosen, request.text_columns, resumed=resumed)
        if not resumed and self._spool.rows:
            gone = [name for name in request.columns or () if name not in kinds]
            self._gone = [ValueWarning(name, GONE, self._spool.rows) for name in gone]
        found = pa.schema([pa.field(name, kind) for name, kind in kinds.items() if kind is not None])
        if not found.names and self._spool.rows:
            raise SchemaChangedError(f"{request.table} no longer has any of the columns that are enabled.")
        return found.append(pa.field(ORDER, pa.int64())) if request.ordered else found

    def _converted(self, piece: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for column in self.schema:
            if column.name not in piece.schema.names:
                columns.append(pa.nulls(piece.num_rows, column.type))
                continue
            values = piece.column(column.name)
            unix = UNIX_TYPES.get(self._resource.columns.get(column.name, ""))
            values = times(values, unix) if unix else values
            columns.append(self._conversion.converted(column, values, self._spool.types[column.name]))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


class KnownRows:
    """``connectors.base.TableRead`` of a spool that is full."""

    row_estimate: int | None = None

    def __init__(self, resource: Resource, request: ReadRequest, spool: Spool) -> None:
        self._request = request
        self._rows = TypedRows(resource, request, spool, resumed=True)
        self.schema = self._rows.schema
        self.table: DiscoveredTable | None = described(resource)
        self.report = ReadReport()

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in gathered(self._rows.pieces(), self._request.batch_bytes):
            yield filtered(batch, self._request.row_filters)
        self.report.warnings += self._rows.warnings()
