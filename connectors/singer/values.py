"""Values of a stream, from the texts that they came as into the lake's types."""

import pyarrow as pa
import pyarrow.compute as pc

from connectors.inference.chosen import as_chosen
from connectors.inference.kinds import EMPTY, LONG, NUMBER, TEXT

WIDER = {LONG: (NUMBER,)}
"""Types to try before text."""
_DIGITS = r"^-?(0|[1-9]\d{0,19})(\.\d{1,18})?$"
SPECIAL = {"NaN": "NaN", "Infinity": "infinite", "-Infinity": "infinite"}
"""What no decimal holds, with the reason to report."""


def fitting(kind: pa.DataType, values: pa.Array) -> pa.DataType:
    """The type, or the next wider one, that holds each of these texts exactly."""
    if kind == TEXT or values.null_count == len(values):
        return kind
    return next((each for each in (kind, *WIDER.get(kind, ())) if typed(values, each)[1] == 0), TEXT)


def typed(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, int]:
    """Texts in the type, and how many of them it does not hold. What is no finite number is null, and not counted."""
    if kind in (TEXT, EMPTY):
        return values, 0
    if kind in (LONG, NUMBER):
        values = without_special(values)
    if kind != NUMBER or pc.all(pc.match_substring_regex(values, _DIGITS)).as_py() is not False:
        try:
            return values.cast(kind), 0
        except pa.ArrowInvalid:
            pass
    return as_chosen(values, kind)


def without_special(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_in(values, pa.array(SPECIAL, TEXT)), pa.scalar(None, TEXT), values)
