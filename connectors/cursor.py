"""The canonical text of cursor values: what positions store and cursor reads begin at.

Equal values have equal text, and nothing is lost: decimals keep every digit, times their microseconds. A time
with a zone is written in UTC with its offset, one without a zone has none. ``field_type`` is an
``IncrementalField``'s: integer, numeric, date, datetime, timestamp or objectid.
"""

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

CursorValue = int | Decimal | date | datetime | str

TIME_TYPES = ("date", "datetime", "timestamp")

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the zone is added where the value has one
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MICROSECONDS_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}


def encode(value: Any) -> str:
    """Text of a value out of Arrow or Python. ``ValueError`` for null, NaN and infinity: no cursor can stand there."""
    if isinstance(value, pa.Scalar):
        value = _from_arrow(value)
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{value!r} cannot be a cursor")
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    return _number_text(value)


def decode(text: str, field_type: str) -> CursorValue:
    """The value of a canonical text; ``ValueError`` where the text is no value of that type."""
    match field_type:
        case "integer":
            return int(text)
        case "numeric":
            if not _NUMBER.fullmatch(text):
                raise ValueError(f"{text!r} is no number")
            return Decimal(text)
        case "date":
            return date.fromisoformat(text)
        case "datetime" | "timestamp":
            return datetime.fromisoformat(text)
        case "objectid":
            return text
        case _:
            raise ValueError(f"{field_type!r} is no type of a cursor")


def field_type_of(kind: pa.DataType) -> str | None:
    """The type of the cursors that a column holds; None where it holds none, as text does: its order is another."""
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_decimal(kind):
        return "numeric"
    if pa.types.is_date(kind):
        return "date"
    return "timestamp" if pa.types.is_timestamp(kind) else None


def minus_lookback(text: str, field_type: str, seconds: int) -> str:
    """The value ``seconds`` earlier, for dates the whole days that cover them; not before the year 1."""
    value = decode(text, field_type)
    if isinstance(value, datetime):
        return encode(_earlier(value, timedelta(seconds=seconds), datetime.min.replace(tzinfo=value.tzinfo)))
    if isinstance(value, date):
        return encode(_earlier(value, timedelta(days=math.ceil(seconds / 86_400)), date.min))
    raise ValueError(f"a look-back needs a cursor that is a time, not {field_type}")


def _from_arrow(scalar: pa.Scalar) -> Any:
    if not scalar.is_valid:
        return None
    if not pa.types.is_timestamp(scalar.type):
        return scalar.as_py()
    if scalar.type.unit == "ns":
        raise ValueError("cursors hold microseconds, not nanoseconds")
    naive = _EPOCH + timedelta(microseconds=scalar.value * _MICROSECONDS_PER[scalar.type.unit])
    return naive.replace(tzinfo=UTC) if scalar.type.tz else naive


def _number_text(value: Any) -> str:
    """Digits without an exponent or trailing zeros, so that 1.50 and 1.5 are one text."""
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if not isinstance(number, Decimal):
        raise ValueError(f"a {type(value).__name__} cannot be a cursor")
    if not number.is_finite():
        raise ValueError(f"{number} cannot be a cursor")
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _earlier(value: Any, span: timedelta, first: Any) -> Any:
    return value - span if value - first > span else first
