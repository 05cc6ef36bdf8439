"""Single values as texts: for columns whose values are of several types, or are to be text.

The same value gives the same text as the lake gives when it turns a stored column into text: floats in as few digits as
tell them from their neighbours, with an exponent from 1e15 on; times with a blank in the middle and no zeros behind.
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

_SPECIAL = {math.inf: "Infinity", -math.inf: "-Infinity"}
_FIXED_DIGITS, _LEAST_EXPONENT, _MANTISSA_BITS = 15, -4, 53
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)


def text_of(value: Any, *, spelled: Callable[[str], str] = str) -> str | None:
    """The text of a value; of a blob what SQL has for it (``X'00FF'``). None for a text that is not valid UTF-8."""
    if isinstance(value, bytearray):
        try:
            return spelled(value.decode())
        except UnicodeDecodeError:
            return None
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    return _float_text(value) if isinstance(value, float) else str(value)


def moment_text(text: str) -> str:
    """A time in the one spelling that all of its spellings become; any other text as it is."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return text
    day, minute, second, fraction = found.groups()
    fraction = (fraction or "").rstrip("0")
    return f"{day} {minute or '00:00'}:{second or '00'}" + (f".{fraction}" if fraction else "")


def _float_text(value: float) -> str:
    if value in _SPECIAL:
        return _SPECIAL[value]
    number = Decimal(repr(value)).normalize()
    if not number:
        return "-0" if number.is_signed() else "0"
    digits = len(number.as_tuple().digits)
    while _is_halfway(value, number):
        number = Decimal(f"{Decimal(value):.{digits}e}")
        digits += 1
    exponent = number.adjusted()
    if _LEAST_EXPONENT <= exponent < _FIXED_DIGITS:
        return format(number.normalize(), "f")
    first, *rest = map(str, number.normalize().as_tuple().digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    return f"{'-' if value < 0 else ''}{mantissa}e{exponent:+03d}"


def _is_halfway(value: float, number: Decimal) -> bool:
    """Whether the digits lie just between two floats, so that a reader might take them for the other."""
    fraction, exponent = math.frexp(value)
    distance = abs(Fraction(number) - Fraction(value)) / Fraction(2) ** (exponent - _MANTISSA_BITS)
    return distance == Fraction(1, 2) or (abs(fraction) == Fraction(1, 2) and distance == Fraction(1, 4))
