"""Writing a result as JSON, CSV or an Arrow stream, piece by piece, within its bytes."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from query.errors import ResultTooLargeError
from query.messages import Format, Summary
from query.values import json_columns

PIECE_BYTES = 256 * 1024
_MUST_QUOTE = frozenset(',"\r\n')


class Pieces:
    """Gathers what is written into pieces, hands them on, and stops at the most bytes that an answer may have."""

    def __init__(self, send: Callable[[bytes], None], most_bytes: int) -> None:
        self._send = send
        self._most_bytes = most_bytes
        self._size = 0
        self._gathered = bytearray()

    closed = False

    def write(self, content: bytes) -> int:
        self._size += len(content)
        if self._size > self._most_bytes:
            raise ResultTooLargeError(
                f"The answer has more than {self._most_bytes // 2**20} MB: ask for fewer rows or columns."
            )
        self._gathered += content
        if len(self._gathered) >= PIECE_BYTES:
            self.flush()
        return len(content)

    def flush(self) -> None:
        if self._gathered:
            self._send(bytes(self._gathered))
            self._gathered.clear()


def write_result(
    format: Format,
    types: Sequence[str],
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    summary: Callable[[], Summary],
    out: Pieces,
) -> None:
    """Write all of it. ``types``: the engine's names for the columns' types. ``summary`` is asked at the end."""
    if format is Format.ARROW:
        with pa.ipc.new_stream(pa.PythonFile(out, "w"), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    elif format is Format.CSV:
        _write_csv(types, schema, batches, out)
    else:
        _write_json(types, schema, batches, summary, out)
    out.flush()


def _write_json(
    types: Sequence[str],
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    summary: Callable[[], Summary],
    out: Pieces,
) -> None:
    columns = [{"name": name, "type": kind} for name, kind in zip(schema.names, types, strict=True)]
    out.write(f'{{"columns": {_json(columns)}, "results": ['.encode())
    separator = b""
    for row in _rows(batches, types):
        out.write(separator + _json(row).encode())
        separator = b",\n"
    end = summary()
    tail = {"row_count": end.row_count, "truncated": end.truncated, "duration_ms": end.duration_ms}
    out.write(f"], {_json(tail)[1:]}".encode())


def _write_csv(types: Sequence[str], schema: pa.Schema, batches: Iterable[pa.RecordBatch], out: Pieces) -> None:
    """RFC 4180. A null is nothing at all, an empty text is ``""``; what is nested is JSON."""
    out.write((",".join(map(_csv, schema.names)) + "\r\n").encode())
    for row in _rows(batches, types):
        out.write((",".join(map(_csv, row)) + "\r\n").encode())


def _rows(batches: Iterable[pa.RecordBatch], types: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*json_columns(batch, types), strict=True)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _csv(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else _json(value)
    return '"' + text.replace('"', '""') + '"' if not text or _MUST_QUOTE.intersection(text) else text
