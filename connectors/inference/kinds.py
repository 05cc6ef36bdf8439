"""What the values of a column are: inferred of texts, and reconciled across files. Pure.

Inference is conservative: a type is given only to texts that say nothing but a value of it. ``007``, ``1e5`` and
numbers that no type holds exactly stay text, and so does whatever is mixed, each text as the files have it. The types
are such that those of later files widen the lake's.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.string()
EMPTY = pa.null()
"""Of a column without a value."""
LONG = pa.int64()
NUMBER = pa.decimal128(38, 18)
"""As the lake has numbers that declare no scale. A binary fraction would not be the number that the file has."""
BOOLEAN = pa.bool_()
DATE = pa.date32()
TIME = pa.timestamp("us")
ZONED = pa.timestamp("us", "UTC")

NUMBERS = (LONG, NUMBER)
TIMES = (DATE, TIME, ZONED)
ANY = (*NUMBERS, *TIMES, BOOLEAN)
"""What the texts of a format without types may be."""

_NUMBER_PATTERN = r"^(0|-?[1-9]\d{0,19}|-?(0|[1-9]\d{0,19})\.\d{1,18})$"
_LEAST_TIME = len("2026-01-31 12:00")
_FIRST_DAY = (date.min - date(1970, 1, 1)).days
_MICROSECONDS_PER_DAY = 86_400_000_000
_LAST_DAY = (date.max - date(1970, 1, 1)).days
_PROBED = 20
_INTEGERS = (pa.int16(), pa.int32(), pa.int64())
_DIGITS = {pa.int16(): 5, pa.int32(): 10, pa.int64(): 19}
_FLOATS = {pa.int16(): pa.float32(), pa.int32(): pa.float64(), pa.float32(): pa.float64(), pa.float64(): pa.float64()}
"""The smallest floating-point type that holds all values."""


def inferred(known: pa.DataType, values: pa.Array, candidates: Sequence[pa.DataType] = ANY) -> pa.DataType:
    """The type of a file's column, of which ``known`` was the type so far, with more of its texts."""
    if known == TEXT:
        return TEXT
    present = values.drop_null()
    if not len(present):
        return known
    if known in candidates and _CHECKS[known](present):
        return known
    probe = present.slice(0, _PROBED)
    found = next((kind for kind in candidates if _CHECKS[kind](probe) and _CHECKS[kind](present)), TEXT)
    if known == EMPTY or {known, found} == {LONG, NUMBER}:
        return NUMBER if known == NUMBER else found
    return TEXT


def common(kinds: Iterable[pa.DataType]) -> pa.DataType:
    """The type that holds all values of these exactly; text where no other does. ``ValueError``: not even text."""
    found, every = EMPTY, set(kinds) - {EMPTY}
    if pa.binary() in every and len(every) > 1:
        raise ValueError("bytes are no other values")
    for kind in every:
        found = _common(found, kind)
    return found


def out_of_range(values: pa.Array) -> pa.Array | None:
    """Which dates or times are outside the years 1 to 9999; None where none is."""
    if pa.types.is_date32(values.type):
        numbers, first, last = values.view(pa.int32()), _FIRST_DAY, _LAST_DAY
    else:
        numbers, first = values.view(pa.int64()), _FIRST_DAY * _MICROSECONDS_PER_DAY
        last = (_LAST_DAY + 1) * _MICROSECONDS_PER_DAY - 1
    least, greatest = (bound.as_py() for bound in pc.min_max(numbers).values())
    if least is None or (least >= first and greatest <= last):
        return None
    return pc.or_(pc.less(numbers, first), pc.greater(numbers, last))


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other or other == EMPTY:
        return one
    if one == EMPTY:
        return other
    if one in _INTEGERS and other in _INTEGERS:
        return max(one, other, key=_INTEGERS.index)
    if (one in _FLOATS and other in _FLOATS) and not (one in _INTEGERS and other in _INTEGERS):
        return pa.float64() if pa.float64() in (_FLOATS[one], _FLOATS[other]) else pa.float32()
    if _digits(one) and _digits(other):
        return _decimal(_digits(one), _digits(other))
    return TEXT


def _digits(kind: pa.DataType) -> tuple[int, int] | None:
    """Digits before and behind the point."""
    if pa.types.is_decimal(kind):
        return kind.precision - kind.scale, kind.scale
    return (_DIGITS[kind], 0) if kind in _DIGITS else None


def _decimal(one: tuple[int, int] | None, other: tuple[int, int] | None) -> pa.DataType:
    assert one is not None
    assert other is not None
    whole, scale = max(one[0], other[0]), max(one[1], other[1])
    return pa.decimal128(whole + scale, scale) if whole + scale <= 38 else TEXT


def _is_long(values: pa.Array) -> bool:
    return _comes_back(values, LONG)


def _is_number(values: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, _NUMBER_PATTERN)).as_py())


def _is_boolean(values: pa.Array) -> bool:
    # 0 and 1 are numbers.
    return _least_length(values) >= len("true") and _as(values, BOOLEAN) is not None


def _is_date(values: pa.Array) -> bool:
    return _comes_back(values, DATE) and out_of_range(values.cast(DATE)) is None


def _is_time(values: pa.Array) -> bool:
    return _is_moment(values, TIME)


def _is_zoned(values: pa.Array) -> bool:
    return _is_moment(values, ZONED)


def _is_moment(values: pa.Array, kind: pa.DataType) -> bool:
    """Dates alone would do for Arrow, too."""
    if _least_length(values) < _LEAST_TIME:
        return False
    found = _as(values, kind)
    return found is not None and out_of_range(found) is None


def _comes_back(values: pa.Array, kind: pa.DataType) -> bool:
    """Whether the texts are the very ones that the type's own values have."""
    found = _as(values, kind)
    return found is not None and bool(pc.all(pc.equal(found.cast(TEXT), values)).as_py())


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None


def _least_length(values: pa.Array) -> int:
    return int(pc.min(pc.binary_length(values)).as_py())


_CHECKS: dict[pa.DataType, Callable[[pa.Array], bool]] = {
    LONG: _is_long,
    NUMBER: _is_number,
    BOOLEAN: _is_boolean,
    DATE: _is_date,
    TIME: _is_time,
    ZONED: _is_zoned,
}
