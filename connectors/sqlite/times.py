"""Times as SQLite has them: texts, in spellings of which several mean the same. They have no zone here.

Known are ``2026-01-31``, ``2026-01-31 12:00``, ``2026-01-31 12:00:00`` and up to six digits behind that, with a blank
or a ``T`` in the middle.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

FIRST, LAST = "0001-01-01", "9999-12-31T23:59:59.999999"
"""As texts: no time stands before or behind them, in any spelling."""
_LENGTHS = {pa.date32(): pa.array([10]), pa.timestamp("us"): pa.array([10, 16, 19, 21, 22, 23, 24, 25, 26])}
_TEXTS = {bytearray, type(None)}
_FIRST_DAY = pa.scalar(date.min)


def canonical(column: str) -> str:
    """An expression: the time in one spelling of 26 characters, whose order is that of time."""
    return f"(replace({column}, 'T', ' ') || substr(' 00:00:00.000000', length({column}) - 9))"


def canonical_text(value: date | datetime) -> str:
    """The same of a value: what ``canonical``, or a date's own text, is compared with."""
    return value.isoformat(sep=" ", timespec="microseconds") if isinstance(value, datetime) else value.isoformat()


def parsed(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Texts as dates or times of the years 1 to 9999. ``pa.ArrowInvalid`` where one is none, or not even a text."""
    if not set(map(type, values)) <= _TEXTS:
        raise pa.ArrowInvalid("no text")
    texts = pa.array(values, pa.binary())
    lengths = pc.binary_length(texts).drop_null()
    if not pc.all(pc.is_in(lengths, _LENGTHS[kind]), min_count=0).as_py():
        raise pa.ArrowInvalid("no length of a time")
    found = texts.cast(pa.string()).cast(kind)
    if pc.any(pc.less(found.cast(pa.date32()), _FIRST_DAY)).as_py():
        raise pa.ArrowInvalid("before the year 1")
    return found
