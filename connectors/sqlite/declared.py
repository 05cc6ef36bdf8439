"""What a column's declaration says of its values. SQLite itself takes it for a hint: any value may be in any column.

``Rule`` is the kind of lake type that follows from the declaration alone, so that it stays the same from run to run; a
column whose values do not all fit it is text.
"""

import re
from enum import Enum

_FRACTIONS = {"NUMERIC", "DECIMAL", "DEC", "NUMBER", "NUM", "FIXED", "MONEY", "SMALLMONEY", "CURRENCY"}
_TRUTHS = {"BOOLEAN", "BOOL"}
_MOMENTS = {"DATETIME", "TIMESTAMP", "DATETIME2", "SMALLDATETIME"}
_PARAMETERS = re.compile(r"\s*\(.*", re.DOTALL)


class Rule(Enum):
    WHOLE = "long"
    FRACTION = "double"
    """Of declared numbers with decimals, which SQLite keeps as 8-byte floats."""
    FLOAT = "double, by the name of a float"
    TEXT = "string"
    BYTES = "binary"
    DATE = "date"
    MOMENT = "timestamp_ntz"
    OPEN = "by its values"
    """Nothing is declared, as in most expressions of views."""


KINDS = {
    Rule.WHOLE: "integer",
    Rule.FRACTION: "numeric",
    Rule.FLOAT: "float",
    Rule.TEXT: "text",
    Rule.BYTES: "binary",
    Rule.DATE: "date",
    Rule.MOMENT: "timestamp",
    Rule.OPEN: "other",
}
"""As ``connectors.base.Column`` has them."""


def rule_of(declared: str, *, in_key: bool = False, strict: bool = False) -> Rule:
    """The rule of a declared type, by SQLite's own order of looking for what is in its name.

    ``in_key``: the column is part of a key, whose values must stay as many as they are: two spellings of one time are
    one time, but two keys.
    """
    name = declared.upper()
    plain = _PARAMETERS.sub("", name).strip()
    if not plain or (strict and plain == "ANY"):
        return Rule.OPEN
    if "INT" in name:
        return Rule.WHOLE
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return Rule.TEXT
    if "BLOB" in name:
        return Rule.BYTES
    if any(part in name for part in ("REAL", "FLOA", "DOUB")):
        return Rule.FLOAT
    if plain in _TRUTHS:
        return Rule.WHOLE
    if plain in _FRACTIONS:
        return Rule.WHOLE if in_key else Rule.FRACTION
    if plain == "DATE":
        return Rule.DATE
    if plain in _MOMENTS or plain.startswith("TIMESTAMP WITHOUT"):
        return Rule.TEXT if in_key else Rule.MOMENT
    return Rule.TEXT
