"""Delta file statistics from Parquet's own: a bound is left out wherever it might mislead a reader.

Left out are: floats (NaN has no place in an order), binary, text whose maximum is too long to give whole, decimals
that a reader who parses JSON numbers as doubles would not see exactly, and all of a file's bounds for a column of
which a row group has none.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FIRST_COLUMNS = 32
"""As many as Delta's readers expect by default; keys and cursors come on top, wherever they stand."""
TEXT_LIMIT = 64
EXACT_DIGITS = 15
"""Decimal digits that a double holds exactly."""


def columns_with_statistics(schema: pa.Schema, also: Iterable[str]) -> frozenset[str]:
    return frozenset(schema.names[:FIRST_COLUMNS]) | frozenset(also)


def file_statistics(metadata: pq.FileMetaData, schema: pa.Schema, columns: frozenset[str]) -> str:
    """The ``stats`` of a Delta add action, as JSON text."""
    lower: dict[str, Any] = {}
    upper: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index, column in enumerate(schema):
        if column.name not in columns:
            continue
        groups = [metadata.row_group(group).column(index) for group in range(metadata.num_row_groups)]
        found = [group.statistics for group in groups]
        if any(one is None or not one.has_null_count for one in found):
            continue
        nulls[column.name] = sum(one.null_count for one in found)
        valued = [one for one, group in zip(found, groups, strict=True) if one.null_count < group.num_values]
        if not valued or not all(one.has_min_max for one in valued):
            continue
        if (bound := encode_lower(min(one.min for one in valued), column.type)) is not None:
            lower[column.name] = bound
        if (bound := encode_upper(max(one.max for one in valued), column.type)) is not None:
            upper[column.name] = bound
    statistics = {
        "numRecords": metadata.num_rows,
        "minValues": lower,
        "maxValues": upper,
        "nullCount": nulls,
    }
    return json.dumps(statistics, separators=(",", ":"), ensure_ascii=False)


def encode_lower(value: Any, kind: pa.DataType) -> Any:
    """A JSON value at or below ``value``; None where there is none that every reader understands."""
    if isinstance(value, str):
        return value[:TEXT_LIMIT]
    return _encode(value, kind)


def encode_upper(value: Any, kind: pa.DataType) -> Any:
    """A JSON value at or above ``value``; None where there is none that every reader understands."""
    if isinstance(value, str):
        return value if len(value) <= TEXT_LIMIT else None
    return _encode(value, kind)


def _encode(value: Any, kind: pa.DataType) -> Any:
    match value:
        case bool() | float() | bytes():
            return None
        case int():
            return value
        case Decimal():
            return _encode_decimal(value, kind)
        case datetime():
            plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return plain.isoformat(timespec="microseconds") + ("Z" if value.tzinfo else "")
        case date():
            return value.isoformat()
        case _:
            return None


def _encode_decimal(value: Decimal, kind: pa.DataType) -> int | float | None:
    if len(value.as_tuple().digits) > EXACT_DIGITS:
        return None
    if kind.scale == 0:
        return int(value)
    number = float(value)
    return None if "e" in repr(number) else number


def read_bounds(statistics: str | None, column: str, kind: pa.DataType) -> tuple[pa.Scalar, pa.Scalar] | None:
    """What ``file_statistics`` said of a column, typed; None where a bound is missing."""
    if not statistics:
        return None
    parsed = json.loads(statistics, parse_float=Decimal)
    lower = parsed.get("minValues", {}).get(column)
    upper = parsed.get("maxValues", {}).get(column)
    if lower is None or upper is None:
        return None
    return _decode(lower, kind), _decode(upper, kind)


def _decode(value: Any, kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_decimal(kind):
        return pa.scalar(Decimal(value), kind)
    return pa.scalar(value).cast(kind)


def null_count(statistics: str | None, column: str) -> int | None:
    if not statistics:
        return None
    count = json.loads(statistics).get("nullCount", {}).get(column)
    return None if count is None else int(count)
