"""Values of formats with types as text, in the form that the lake gives them too when a column of it becomes text.

So a row that is read again is recognised, whatever its column was when it was first read.
"""

import json
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.inference.kinds import NUMBER, TEXT

_FIXED_DIGITS = {pa.float32(): 6, pa.float64(): 15}
"""Numbers of more digits before the point are written with an exponent."""
_SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_EXPONENT_DIGITS = 4
_MOST_SHIFTED = 100
"""Digits that are written out for an exponent."""


def as_text(values: pa.Array) -> pa.Array:
    """As SQL databases write values of the type; of numbers that declared no scale without zeros behind them."""
    kind = values.type
    if kind == NUMBER:
        return pa.array([None if each is None else plain(each) for each in values.to_pylist()], TEXT)
    if pa.types.is_decimal(kind):
        return pa.array([None if each is None else format(each, "f") for each in values.to_pylist()], TEXT)
    if pa.types.is_floating(kind):
        shortest = values.cast(TEXT).to_pylist()
        return pa.array([None if each is None else _float_text(each, _FIXED_DIGITS[kind]) for each in shortest], TEXT)
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            return values.cast(pa.timestamp("ns")).cast(TEXT)
        moments = values.cast(pa.timestamp("us")).cast(TEXT)
        text = pc.replace_substring_regex(moments, r"\.?0{1,6}$", "")
        return pc.binary_join_element_wise(text, "+00", "") if kind.tz else text
    return values.cast(TEXT)


def hexadecimal(values: pa.Array) -> pa.Array:
    """Bytes as PostgreSQL writes them."""
    return pa.array([None if each is None else "\\x" + each.hex() for each in values.to_pylist()], TEXT)


def plain(number: Decimal) -> str:
    """Digits without an exponent, or zeros that mean nothing."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def plain_literal(literal: str) -> str:
    """A number of JSON written out, where its exponent does not make it endless."""
    if "e" not in literal and "E" not in literal:
        return literal
    _, _, exponent = literal.lower().partition("e")
    if not exponent or len(exponent) > _EXPONENT_DIGITS:
        return literal
    number = Decimal(literal)
    return plain(number) if abs(number.adjusted()) <= _MOST_SHIFTED else literal


class Literal(str):
    """A number of JSON, as it was written."""

    __slots__ = ()


def value_text(value: Any) -> str:
    """A value of JSON as its column has it, where that is a text."""
    if isinstance(value, Literal):
        return plain_literal(value)
    return value if isinstance(value, str) else json_text(value)


def json_text(value: Any) -> str:
    """A nested value as JSON, with its numbers as they are."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is Literal:
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, dict):
        members = [f"{encode_basestring(str(name))}:{json_text(each)}" for name, each in value.items()]
        return "{" + ",".join(members) + "}"
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(json_text, value)) + "]"
    return _leaf(value)


def _leaf(value: Any) -> str:
    if isinstance(value, str | int):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'"{_SPECIAL[str(value)]}"'
    if isinstance(value, bytes):
        return json.dumps("\\x" + value.hex())
    if isinstance(value, date | datetime | time):
        return json.dumps(value.isoformat())
    if isinstance(value, timedelta):
        return json.dumps(f"PT{plain(Decimal(value // timedelta(microseconds=1)).scaleb(-6))}S")
    return json.dumps(str(value), ensure_ascii=False)


def _float_text(shortest: str, fixed_digits: int) -> str:
    if shortest in _SPECIAL:
        return _SPECIAL[shortest]
    number = Decimal(shortest)
    if not number:
        return "-0" if number.is_signed() else "0"
    exponent = number.adjusted()
    if -4 <= exponent < fixed_digits:
        return plain(number)
    first, *rest = map(str, number.normalize().as_tuple().digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    return f"{'-' if number.is_signed() else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
