"""Reading a stream: all that the tap has to give since its last state, once it has ended well."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import GONE, DiscoveredTable, ReadReport, ReadRequest, ValueWarning
from connectors.cursor import decode, field_type_of
from connectors.errors import ConfigurationError, SchemaChangedError, SourceError
from connectors.inference.columns import Conversion, table_type
from connectors.inference.filters import check_filters, filtered
from connectors.inference.gathering import gathered
from connectors.inference.kinds import LONG, NUMBER, TEXT
from connectors.singer.catalogue import Catalogue, Stream, discovered
from connectors.singer.config import SingerConfig
from connectors.singer.discovery import described
from connectors.singer.errors import BadTapError
from connectors.singer.messages import Messages
from connectors.singer.process import running
from connectors.singer.spool import Spool
from connectors.singer.state import belongs_to, unwrapped, wrapped
from connectors.singer.values import SPECIAL, typed


@contextmanager
def open_read(config: SingerConfig, request: ReadRequest) -> Iterator["SingerRead"]:
    """Run the tap to its end; then its rows can be given."""
    catalogue = discovered(config)
    stream = catalogue.stream(request.table)
    if stream is None:
        raise SchemaChangedError(f"The tap {config.tap} no longer has the stream {request.table}.")
    table = described(stream)
    _check_request(table, request)
    with Spool(frozenset(request.type_overrides), request.columns) as spool:
        with _room(stream):
            messages, said = _collected(config, catalogue, stream, request, spool)
        report = ReadReport(state=_state_after(config, request, messages), said=said)
        yield SingerRead(table, request, spool, report)


class SingerRead:
    """An open read: ``connectors.base.TableRead``."""

    def __init__(self, table: DiscoveredTable, request: ReadRequest, spool: Spool, report: ReadReport) -> None:
        self.table: DiscoveredTable | None = table
        self.report = report
        self._request = request
        self._spool = spool
        self._conversion = Conversion(request.type_overrides)
        self._special: dict[tuple[str, str], int] = {}
        self.schema = self._schema()
        check_filters(self.schema, request.row_filters)

    @property
    def row_estimate(self) -> int | None:
        return None if self._request.row_filters else self._spool.rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in gathered(self._pieces(), self._request.batch_bytes):
            yield filtered(batch, self._request.row_filters)
        special = [ValueWarning(column, reason, count) for (column, reason), count in self._special.items()]
        self.report.warnings += [*self._conversion.warnings(), *special]

    def _pieces(self) -> Iterator[pa.RecordBatch]:
        for piece in self._spool.pieces():
            columns = [self._converted(column, piece) for column in self.schema]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _converted(self, column: pa.Field, piece: pa.RecordBatch) -> pa.Array:
        if column.name not in piece.schema.names:
            return pa.nulls(piece.num_rows, column.type)
        values, kind = piece.column(column.name), self._spool.types[column.name]
        if column.name not in self._request.type_overrides:
            if kind in (LONG, NUMBER):
                self._count_special(column.name, values)
            values, _ = typed(values, kind)
        return self._conversion.converted(column, values, kind)

    def _count_special(self, name: str, values: pa.Array) -> None:
        for text, reason in SPECIAL.items():
            if found := pc.sum(pc.equal(values, text)).as_py():
                self._special[name, reason] = self._special.get((name, reason), 0) + found

    def _schema(self) -> pa.Schema:
        request = self._request
        resumed = request.state is not None or (request.cursor is not None and request.cursor.lower is not None)
        kinds: dict[str, pa.DataType | None] = {}
        for name, given in self._spool.types.items():
            if request.cursor is not None and name == request.cursor.field:
                given = self._cursor_kind(given)
            kinds[name] = table_type(name, given, request.type_overrides, request.text_columns, resumed=resumed)
        if self._spool.rows:
            gone = [name for name in request.columns or () if name not in kinds]
            self.report.warnings += [ValueWarning(name, GONE, self._spool.rows) for name in gone]
        found = pa.schema([pa.field(name, kind) for name, kind in kinds.items() if kind is not None])
        if request.cursor is not None:
            self._check_cursor(found)
        return found

    def _cursor_kind(self, kind: pa.DataType) -> pa.DataType:
        """Whole numbers that are so large only now and then are of one type."""
        lower = self._request.cursor.lower if self._request.cursor else None
        if kind != LONG or lower is None:
            return kind
        return LONG if typed(pa.array([lower], TEXT), LONG)[1] == 0 else NUMBER

    def _check_cursor(self, schema: pa.Schema) -> None:
        cursor = self._request.cursor
        assert cursor is not None
        name = self._request.table
        if cursor.field not in schema.names:
            raise SchemaChangedError(f"The incremental field {cursor.field} of {name} is gone: choose another one.")
        field_type = field_type_of(schema.field(cursor.field).type)
        if field_type is None:
            raise SchemaChangedError(
                f"The incremental field {cursor.field} of {name} holds values that have no order: choose another field."
            )
        try:
            if cursor.lower is not None:
                decode(cursor.lower, field_type)
        except ValueError as error:
            raise SchemaChangedError(
                f"The incremental field {cursor.field} of {name} is of another type now than what was read by it: "
                "resync it."
            ) from error


def _check_request(table: DiscoveredTable, request: ReadRequest) -> None:
    cursor, columns = request.cursor, request.columns
    if cursor is not None and all(each.field != cursor.field for each in table.incremental_fields):
        raise ConfigurationError(f"{request.table} is not read by the incremental field {cursor.field}.")
    if columns is None:
        return
    if cursor is not None and cursor.field not in columns:
        raise ConfigurationError(f"The incremental field {cursor.field} must be among the columns of the read.")
    if table.columns and all(each.name not in columns for each in table.columns):
        raise SchemaChangedError(f"{request.table} no longer has any of the columns that are enabled.")


def _collected(
    config: SingerConfig, catalogue: Catalogue, stream: Stream, request: ReadRequest, spool: Spool
) -> tuple[Messages, tuple[str, ...]]:
    """What came of the tap, its rows into the spool; and what it said beside it."""
    cursor = request.cursor.field if request.cursor else None
    files = {"catalog": catalogue.choosing(stream, request.columns, cursor)}
    if cursor is not None:
        known = unwrapped(request.state, belongs_to(config, stream.name, cursor))
        files |= {} if known is None else {"state": known}
    others = {name for each in catalogue.streams if each is not stream for name in each.names}
    messages = Messages(config.tap, stream.name, stream.names, others, stream.key, spool)
    with running(config, (), files, stream.name) as tap:
        for line in tap.lines():
            messages.take(line)
    if not messages.has_schema:
        raise BadTapError(
            f"The tap {config.tap} ended without a schema of {stream.name}, the stream that was selected: it takes "
            "catalogues in another way."
        )
    spool.end()
    return messages, tap.said


@contextmanager
def _room(stream: Stream) -> Iterator[None]:
    """Its rows are kept on disk until the tap has ended."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise SourceError(
            f"The server's temporary folder has no room for the rows of {stream.name}: its operator can give it more, "
            "or let TMPDIR name another."
        ) from error


def _state_after(config: SingerConfig, request: ReadRequest, messages: Messages) -> str | None:
    """A tap that says nothing goes on from where it began."""
    if request.cursor is None:
        return None
    of = belongs_to(config, request.table, request.cursor.field)
    if messages.state is not None:
        return wrapped(messages.state, of, request.table)
    return request.state if unwrapped(request.state, of) is not None else None
