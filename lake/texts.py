"""Stored values as the text that a source gives of them: what a column becomes that has to be text from now on.

The rows that come later bring their source's own text. So the same value must give the same text here, or a row that is
read again would not be recognised. The forms are those of SQL databases, as PostgreSQL writes them.
"""

import math
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc

_FIXED_DIGITS = {pa.float32(): 6, pa.float64(): 15}
"""Numbers of more digits before the point are written with an exponent."""
_MANTISSA_BITS = {pa.float32(): 24, pa.float64(): 53}
_LEAST_EXPONENT = -4
_WITHOUT_SCALE = pa.decimal128(38, 18)
"""Of numbers that declared no scale: the zeros behind them mean nothing."""
_SPECIAL = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def converted(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """The values in a type that holds them all; ``pa.ArrowInvalid`` where one does not fit."""
    if values.type == kind:
        return values
    return as_text(values) if pa.types.is_string(kind) else values.cast(kind)


def as_text(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_decimal(kind):
        scaled = [None if each is None else format(each, "f") for each in values.to_pylist()]
        return pa.array([_trimmed(each) for each in scaled] if kind == _WITHOUT_SCALE else scaled, pa.string())
    if pa.types.is_floating(kind):
        shortest = zip(values.to_pylist(), values.cast(pa.string()).to_pylist(), strict=True)
        return pa.array(
            [None if each is None else _float_text(each, text, kind) for each, text in shortest], pa.string()
        )
    if pa.types.is_timestamp(kind):
        moments = values.cast(pa.timestamp("us")).cast(pa.string())
        text = pc.replace_substring_regex(moments, r"\.?0{1,6}$", "")
        return pc.binary_join_element_wise(text, "+00", "") if kind.tz else text
    return values.cast(pa.string())


def _trimmed(text: str | None) -> str | None:
    return text if text is None or "." not in text else text.rstrip("0").rstrip(".")


def _float_text(value: float, shortest: str, kind: pa.DataType) -> str:
    """The fewest digits that tell the number from its neighbours."""
    if shortest in _SPECIAL:
        return _SPECIAL[shortest]
    number = Decimal(shortest)
    if not number:
        return "-0" if number.is_signed() else "0"
    digits = len(number.normalize().as_tuple().digits)
    while _is_halfway(value, number, _MANTISSA_BITS[kind]):
        number = Decimal(f"{Decimal(value):.{digits}e}")
        digits += 1
    exponent = number.adjusted()
    if _LEAST_EXPONENT <= exponent < _FIXED_DIGITS[kind]:
        return _trimmed(format(number, "f")) or ""
    first, *rest = map(str, number.normalize().as_tuple().digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    return f"{'-' if number.is_signed() else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _is_halfway(value: float, number: Decimal, bits: int) -> bool:
    """Whether the digits lie just between two floats, where PostgreSQL gives more of them."""
    fraction, exponent = math.frexp(value)
    distance = abs(Fraction(number) - Fraction(value)) / Fraction(2) ** (exponent - bits)
    return distance == Fraction(1, 2) or (abs(fraction) == Fraction(1, 2) and distance == Fraction(1, 4))
