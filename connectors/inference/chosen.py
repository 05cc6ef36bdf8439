"""Columns in a lake type that somebody chose or declared for them, from the text of their values.

A value that the type cannot hold becomes null and is counted; ``double`` alone takes the nearest of its values. A time
without a zone is one in UTC.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

KNOWN_TYPES = (
    "string",
    "boolean",
    "long",
    "double",
    "decimal(p,s)",
    "date",
    "timestamp",
    "timestamp_ntz",
    "binary",
)
_PLAIN = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "long": pa.int64(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "binary": pa.binary(),
}
_DECIMAL = re.compile(r"decimal\(([1-9]\d?),(\d{1,2})\)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_WIDE = Context(prec=76)
_INT8 = range(-(2**63), 2**63)
_SPECIAL = {"nan": math.nan, "infinity": math.inf, "-infinity": -math.inf, "inf": math.inf, "-inf": -math.inf}


def lake_type(name: str) -> pa.DataType | None:
    """The type of that canonical name (``connectors.overrides``); None where there is none."""
    if name in _PLAIN:
        return _PLAIN[name]
    match = _DECIMAL.fullmatch(name)
    if match is None or int(match[1]) > 38 or int(match[2]) > int(match[1]):
        return None
    return pa.decimal128(int(match[1]), int(match[2]))


def as_chosen(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, int]:
    """Texts in the chosen type, and how many of them it cannot hold."""
    if kind == pa.string():
        return values, 0
    if kind == pa.binary():
        return values.cast(kind), 0
    parse = _parser(kind)
    # Values repeat: each is parsed once.
    encoded = values.dictionary_encode()
    parsed = pa.array([None if text is None else parse(text) for text in encoded.dictionary.to_pylist()], kind)
    found = pc.take(parsed, encoded.indices)
    return found, found.null_count - values.null_count


def misfit(wanted: str) -> str:
    """The reason to report."""
    return f"does not fit {wanted}"


def _parser(kind: pa.DataType) -> Callable[[str], Any]:
    if pa.types.is_decimal(kind):
        return lambda text: _decimal(text, kind.precision, kind.scale)
    if pa.types.is_timestamp(kind):
        return lambda text: _time(text, zoned=kind.tz is not None)
    return _PARSERS[kind]


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _decimal(text: str, precision: int, scale: int) -> Decimal | None:
    number = _number(text)
    if number is None or (number.adjusted() >= precision - scale and number):
        return None
    digits, exponent = number.as_tuple().digits, int(number.as_tuple().exponent)
    surplus = -exponent - scale
    if surplus > 0 and any(digits[-surplus:]):
        return None
    return number.quantize(Decimal(1).scaleb(-scale), context=_WIDE) if number else Decimal(0)


def _long(text: str) -> int | None:
    number = _decimal(text, 19, 0)
    return int(number) if number is not None and int(number) in _INT8 else None


def _double(text: str) -> float | None:
    if text.lower() in _SPECIAL:
        return _SPECIAL[text.lower()]
    number = _number(text)
    nearest = None if number is None else float(number)
    return nearest if nearest is not None and math.isfinite(nearest) and (nearest or not number) else None


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}.get(text.lower())


def _moment(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _time(text: str, *, zoned: bool) -> datetime | None:
    found = _moment(text)
    if found is None:
        return None
    try:
        moved = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        return None
    return moved if zoned else moved.replace(tzinfo=None)


def _date(text: str) -> date | None:
    return None if len(text) != len("2026-01-31") or (found := _moment(text)) is None else found.date()


_PARSERS: dict[pa.DataType, Callable[[str], Any]] = {
    pa.int64(): _long,
    pa.float64(): _double,
    pa.bool_(): _boolean,
    pa.date32(): _date,
}
