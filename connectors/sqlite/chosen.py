"""Single values in a type that the user chose. What it cannot hold is None, with the reason to report.

``double`` alone takes the nearest of its values. As times there are texts, of which those without a zone are in UTC,
and whole numbers, which are seconds since 1970.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.filters import moment
from connectors.sqlite.texts import text_of

NOT_UTF8 = "not valid UTF-8"
INFINITE = "infinite"
OUT_OF_RANGE = "outside the years 1 to 9999"

Outcome = tuple[Any, str | None]
"""The value, or the reason why there is none."""

_LONGS = range(-(2**63), 2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def conversion(wanted: str, arrow: pa.DataType) -> Callable[[Any], Outcome]:
    """What becomes of each value but null in the chosen type."""
    misfit = f"does not fit {wanted}"
    if pa.types.is_string(arrow):
        return _text
    if pa.types.is_binary(arrow):
        return lambda value: (bytes_of(value), None)
    if pa.types.is_timestamp(arrow):
        return lambda value: _time(value, misfit, arrow.tz is not None)
    if pa.types.is_decimal(arrow):
        return lambda value: _decimal(value, misfit, arrow)
    return lambda value: _number(value, misfit, pa.types.is_integer(arrow))


def bytes_of(value: Any) -> bytes:
    """A blob as it is, and the text of anything else in UTF-8, valid or not."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    return (text_of(value) or "").encode()


def _text(value: Any) -> Outcome:
    found = text_of(value)
    return found, NOT_UTF8 if found is None else None


def _number(value: Any, misfit: str, whole: bool) -> Outcome:
    if not isinstance(value, int | float):
        return None, misfit
    if not whole:
        return float(value), None
    if math.isinf(value):
        return None, INFINITE
    return (int(value), None) if value == int(value) and int(value) in _LONGS else (None, misfit)


def _decimal(value: Any, misfit: str, arrow: pa.Decimal128Type) -> Outcome:
    if not isinstance(value, int | float):
        return None, misfit
    if math.isinf(value):
        return None, INFINITE
    number = Decimal(repr(value))
    scale = -int(number.normalize().as_tuple().exponent)
    fits = scale <= arrow.scale and (not number or number.adjusted() < arrow.precision - arrow.scale)
    return (number, None) if fits else (None, misfit)


def _time(value: Any, misfit: str, zoned: bool) -> Outcome:
    if isinstance(value, bytearray):
        try:
            found = moment(value.decode())
        except UnicodeDecodeError:
            return None, NOT_UTF8
        if found is None:
            return None, misfit
        try:
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except OverflowError:
            return None, OUT_OF_RANGE
    elif isinstance(value, int):
        try:
            found = _EPOCH + timedelta(seconds=value)
        except OverflowError:
            return None, OUT_OF_RANGE
    else:
        return None, misfit
    return found if zoned else found.replace(tzinfo=None), None
