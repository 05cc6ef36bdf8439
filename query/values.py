"""Values of a result as JSON has them: exact, and text where JSON has no such type.

Whole numbers stay numbers, however long; decimals are text, and so are NaN and the infinities. Times are ISO 8601,
those with a zone in UTC; bytes are base64. A value that none of this can hold is an error, never something near it.
"""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite, isnan
from typing import Any

import pyarrow as pa

from query.errors import InvalidQueryError

HUGE_INTEGERS = ("HUGEINT", "UHUGEINT")


def json_columns(batch: pa.RecordBatch, types: Sequence[str]) -> list[list[Any]]:
    """The values of each column; ``types`` are the engine's names for the columns' types."""
    return [
        _column(column, kind, name) for column, kind, name in zip(batch.columns, types, batch.schema.names, strict=True)
    ]


def _column(column: pa.Array, kind: str, name: str) -> list[Any]:
    try:
        if pa.types.is_float32(column.type):
            # Their own shortest text: widened to a double, 0.1 would become 0.10000000149011612.
            return [_float(None if text is None else float(text)) for text in column.cast(pa.string()).to_pylist()]
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            column = column.cast(pa.timestamp("us", column.type.tz))
        if kind in HUGE_INTEGERS:
            return [None if value is None else int(value) for value in column.to_pylist()]
        values = column.to_pylist()
        if _is_plain(column.type):
            return list(values)
        return [jsonable(value) for value in values]
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise InvalidQueryError(
            f"The column {name} has a value of type {kind} that this format cannot show: cast it to text."
        ) from error


def _is_plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def jsonable(value: Any) -> Any:
    """One value, with everything in it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    convert = _BY_TYPE.get(type(value))
    if convert is not None:
        return convert(value)
    if isinstance(value, pa.MonthDayNano):
        return _interval(value)
    if isinstance(value, tuple | list):
        return [jsonable(part) for part in value]
    if isinstance(value, dict):
        return {name: jsonable(part) for name, part in value.items()}
    raise ValueError(f"no JSON for {type(value)}")


def _float(value: float | None) -> float | str | None:
    if value is None or isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _datetime(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _timedelta(value: timedelta) -> str:
    return f"PT{Decimal(value // timedelta(microseconds=1)) / 1_000_000:f}S"


def _interval(value: Any) -> str:
    seconds = Decimal(value.nanoseconds) / 1_000_000_000
    parts = [f"{value.months}M" if value.months else "", f"{value.days}D" if value.days else ""]
    text = "P" + "".join(parts) + (f"T{seconds.normalize():f}S" if seconds else "")
    return text if text != "P" else "PT0S"


_BY_TYPE: dict[type, Callable[[Any], Any]] = {
    float: _float,
    Decimal: lambda value: f"{value:f}",
    datetime: _datetime,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _timedelta,
    bytes: lambda value: base64.b64encode(value).decode(),
}
