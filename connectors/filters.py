"""Which row filters a column takes: by its kind, whatever the source. Pure.

A filter that passes here can be computed; what it means is the source's own SQL (a null satisfies only ``is_null``).
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

WITHOUT_VALUE = ("is_null", "is_not_null")
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
OPERATORS = (*COMPARISONS, "in", "like", *WITHOUT_VALUE)

INT8 = range(-(2**63), 2**63)
_DIGITS_LIMIT = 1000
_LARGEST_OFFSET = timedelta(hours=15, minutes=59)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
_SHOWN = 60


class FilterError(ValueError):
    """The filter cannot be computed. ``part`` is what to look at: ``op`` or ``value``."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part
        self.message = message


def check_filter(column: str, kind: str, labels: Sequence[str], op: str, value: Any) -> None:
    """Raise ``FilterError`` where a column of the kind (``connectors.base.Column``) does not take the filter."""
    if op not in OPERATORS:
        raise FilterError("op", f"There is no row filter {op!r}.")
    if op in WITHOUT_VALUE:
        return
    if kind in _OPAQUE or (kind == "document" and op != "like"):
        usable = "like, is_null and is_not_null" if kind == "document" else "is_null and is_not_null"
        raise FilterError("op", f"The column {column} holds {_OPAQUE.get(kind, 'documents')}: it takes only {usable}.")
    if op == "like":
        _check_pattern(value)
        return
    if op == "in" and not isinstance(value, list | tuple):
        raise FilterError("value", f"The row filter on {column} needs a list of values.")
    for each in value if op == "in" else [value]:
        _check_value(column, kind, labels, each)


def number(value: Any) -> Decimal | None:
    """The number that a JSON number or a text stands for; None where it stands for none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    found = Decimal(repr(value) if isinstance(value, float) else value)
    return found if found.is_finite() else None


def moment(value: Any) -> datetime | None:
    """The time that an ISO text stands for; None where it stands for none."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if abs(found.utcoffset() or timedelta()) <= _LARGEST_OFFSET else None


def _check_pattern(value: Any) -> None:
    if not isinstance(value, str):
        raise FilterError("value", "The operator like needs a text.")
    if (len(value) - len(value.rstrip("\\"))) % 2:
        raise FilterError("value", "A pattern cannot end with a single backslash.")


def _check_value(column: str, kind: str, labels: Sequence[str], value: Any) -> None:
    if kind == "enum" and labels:
        if value not in labels:
            raise FilterError("value", f"The column {column} has one of {', '.join(labels)}, not {_shown(value)}.")
        return
    described, fits = _KINDS.get(kind, _TEXT)
    if not fits(value):
        raise FilterError("value", f"The column {column} holds {described}: {_shown(value)} cannot be one of them.")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or value in ("true", "false")


def _is_integer(value: Any) -> bool:
    """A fraction can be compared with whole numbers: 2.5 is none, and yet some are less."""
    found = number(value)
    return _is_numeric(value) and found is not None and INT8.start <= found < INT8.stop


def _is_numeric(value: Any) -> bool:
    found = number(value)
    if found is None:
        return False
    return abs(found.adjusted()) <= _DIGITS_LIMIT and -int(found.as_tuple().exponent) <= _DIGITS_LIMIT


def _is_float(value: Any) -> bool:
    found = number(value)
    if found is None or not _is_numeric(value):
        return False
    nearest = float(found)
    return math.isfinite(nearest) and (nearest != 0 or found == 0)


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_timestamp(value: Any) -> bool:
    found = moment(value)
    return found is not None and found.tzinfo is None


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


_Fits = Callable[[Any], bool]
_TEXT: tuple[str, _Fits] = ("what is written as a text", _is_text)
_KINDS: dict[str, tuple[str, _Fits]] = {
    "boolean": ("true or false", _is_boolean),
    "integer": ("whole numbers of at most 64 bits", _is_integer),
    "numeric": ("numbers", _is_numeric),
    "float": ("numbers", _is_float),
    "text": ("texts", _is_text),
    "date": ("dates (2026-01-31)", _is_date),
    "timestamp": ("times without a zone (2026-01-31T12:00:00)", _is_timestamp),
    "timestamptz": ("times (2026-01-31T12:00:00Z)", lambda value: moment(value) is not None),
    "uuid": ("UUIDs", _is_uuid),
}
_OPAQUE = {"array": "arrays", "binary": "bytes"}
