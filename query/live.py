"""A source's table as a stream that the engine can open as often as a query names it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pyarrow as pa

from connectors.base import ReadRequest, RowFilter, TableRead
from connectors.errors import SourceError
from connectors.registry import connector
from query.errors import SourceQueryError
from query.messages import LiveTable

BATCH_BYTES = 8 * 2**20


class LiveStream:
    """Every read of it is a read of the source, with its own snapshot. ``error`` is what the last one ended with."""

    def __init__(
        self, table: LiveTable, columns: tuple[str, ...] | None, filters: tuple[RowFilter, ...], seconds: float
    ) -> None:
        self._table = table
        self._stack = ExitStack()
        self._request = ReadRequest(
            table=table.table,
            read_id=table.read_id,
            columns=columns,
            row_filters=filters,
            batch_bytes=BATCH_BYTES,
            statement_seconds=max(1, round(seconds)),
        )
        self._waiting: TableRead | None = self._open()
        self._schema = self._waiting.schema
        text = tuple(column.name for column in self._schema if pa.types.is_string(column.type))
        self._request = replace(self._request, text_columns=text)
        self.error: SourceError | None = None

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def __arrow_c_schema__(self) -> Any:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.RecordBatchReader.from_batches(self._schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            read, self._waiting = self._waiting or self._open(), None
            if read.schema.types != self._schema.types:
                raise SourceError(f"The table {self._table.name} changed while it was read: try again.")
            yield from read.batches()
        except SourceError as error:
            self.error = error
            raise

    def _open(self) -> TableRead:
        source = connector(self._table.source_type)
        return self._stack.enter_context(source.read(self._table.config, self._request))


def open_live(
    table: LiveTable, columns: tuple[str, ...] | None, filters: tuple[RowFilter, ...], seconds: float
) -> LiveStream:
    """``SourceQueryError`` where the source or its table cannot be read."""
    try:
        return LiveStream(table, columns, filters, seconds)
    except SourceError as error:
        raise SourceQueryError(error.message) from error
