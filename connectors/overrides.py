"""Which lake type a column may be given in place of the contract's own: by its kind, whatever the source. Pure.

What passes here can be read. A value that the chosen type cannot hold becomes null and is counted; only ``double``
takes the nearest of its values, which is what choosing it means.
"""

import re

import pyarrow as pa

TEXT = "string"
_PLAIN = {
    TEXT: pa.string(),
    "long": pa.int64(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "binary": pa.binary(),
}
_DECIMAL = re.compile(r"decimal\(([1-9]\d?),(\d{1,2})\)")
_DECIMALS = "decimal(p,s)"
_NUMBERS = ("long", "double", _DECIMALS)
_TIMES = ("timestamp", "timestamp_ntz")
_TAKES = {
    "integer": _NUMBERS,
    "numeric": _NUMBERS,
    "float": ("double",),
    "date": _TIMES,
    "timestamp": _TIMES,
    "timestamptz": _TIMES,
    "text": ("binary",),
}
"""Beside ``string``, which every kind takes."""


class OverrideError(ValueError):
    """The column cannot be of that type."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def canonical(name: str) -> str:
    """One spelling of a type's name, whatever its case and blanks."""
    return "".join(name.split()).lower()


def override_type(column: str, kind: str, wanted: str) -> pa.DataType:
    """The type that ``wanted`` names; ``OverrideError`` where a column of the kind does not take it."""
    found = _PLAIN.get(wanted)
    takes = (TEXT, *_TAKES.get(kind, ()))
    if found is not None and wanted in takes:
        return found
    match = _DECIMAL.fullmatch(wanted)
    if match and _DECIMALS in takes:
        precision, scale = int(match[1]), int(match[2])
        if precision <= 38 and scale <= precision:
            return pa.decimal128(precision, scale)
        raise OverrideError(f"A decimal has 38 digits at the most, and no more of them behind the point: not {wanted}.")
    raise OverrideError(f"The column {column} cannot be copied as {wanted[:60]!r}; it can be: {', '.join(takes)}.")


def check_key(column: str, kind: str, wanted: str) -> None:
    """Numbers that are rounded, or whose equals have several texts, cannot tell rows apart."""
    if kind == "float" or wanted == "double":
        raise OverrideError(f"The column {column} is part of the key, which cannot be copied as {wanted}.")
