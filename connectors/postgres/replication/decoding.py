"""Texts as Postgres shows them, into the types of the contract: whole columns at once, the same as a read gives them.

Arrow's own casts do the work. Only where one fails are the values looked at for what no type of the lake can hold.
"""

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.postgres.catalogue import SourceColumn
from connectors.postgres.columns import INFINITE, NAN, NOT_UTF8, OUT_OF_RANGE, Check, ColumnPlan, is_unbounded
from connectors.postgres.replication.pgoutput import Mask
from connectors.postgres.values import utf8

_HEX = r"\x"
NO_VALUE = "no longer a value of its type"
MOST_DIGITS = 38

Recast = Callable[[pa.Array], pa.Array]
"""Texts, in UTF-8, to what a read selects for them; null where the server can make nothing of one any more."""


@dataclass(frozen=True)
class LoggedColumn:
    """A column as its table's changes have it. ``place``: in the tuples. ``recast`` where the text is not enough."""

    name: str
    place: int
    column: SourceColumn
    plan: ColumnPlan
    recast: Recast | None = field(default=None, compare=False)

    @property
    def prefix(self) -> int:
        """How many bytes stand before each value."""
        return len(_HEX) if pa.types.is_binary(self.plan.arrow) else 0


@dataclass
class Decoded:
    """``nulled``: by the reason, which values became null."""

    values: pa.Array
    nulled: dict[str, Mask] = field(default_factory=dict)


def decode(logged: LoggedColumn, texts: pa.Array) -> Decoded:
    """``texts``: as they came, less the prefix, as binary."""
    kind = logged.plan.arrow
    if pa.types.is_boolean(kind):
        return Decoded(pc.equal(texts, b"t"))
    if pa.types.is_binary(kind):
        return Decoded(_from_hex(texts))
    if pa.types.is_string(kind):
        return _text(logged, texts)
    if pa.types.is_decimal(kind):
        return _number(logged, _as_string(texts))
    if logged.plan.check in (Check.DATE, Check.TIMESTAMP):
        return _time(kind, _as_string(texts))
    return Decoded(_as_string(texts).cast(kind))


def _as_string(texts: pa.Array) -> pa.Array:
    """The same bytes: what is a number or a time is ASCII."""
    return pa.Array.from_buffers(pa.string(), len(texts), texts.buffers(), texts.null_count, texts.offset)


def _from_hex(digits: pa.Array) -> pa.Array:
    valid, offsets, data = digits.buffers()
    ends = np.frombuffer(offsets, np.int32, len(digits) + 1, digits.offset * 4)
    octets = binascii.unhexlify(memoryview(data)[ends[0] : ends[-1]]) if data is not None else b""
    halves = [valid, pa.py_buffer((ends - ends[0]) // 2), pa.py_buffer(octets)]
    return pa.Array.from_buffers(pa.binary(), len(digits), halves, digits.null_count)


def _text(logged: LoggedColumn, texts: pa.Array) -> Decoded:
    values, broken = utf8(texts)
    nulled = {NOT_UTF8: _became_null(texts, values)} if broken else {}
    if logged.recast is None:
        return Decoded(values, nulled)
    recast = logged.recast(values)
    if recast.null_count > values.null_count:
        nulled[NO_VALUE] = _became_null(values, recast)
    return Decoded(recast, nulled)


def _time(kind: pa.DataType, texts: pa.Array) -> Decoded:
    try:
        return Decoded(texts.cast(kind))
    except pa.ArrowInvalid:
        infinite = _mask(pc.match_substring(texts, "infinity"))
        usual = _mask(pc.match_substring_regex(texts, "^[0-9]{4}-[^B]*$"))
        outside = ~usual & ~infinite & _mask(texts.is_valid())
        return Decoded(
            _without(texts, infinite | outside).cast(kind), _counted(INFINITE, infinite, OUT_OF_RANGE, outside)
        )


def _number(logged: LoggedColumn, texts: pa.Array) -> Decoded:
    """A column without a precision is decimal where all of these values fit exactly, else text."""
    unbounded = is_unbounded(logged.column)
    # Of more digits Arrow's cast may say that they do not fit, zeros as they are.
    if not unbounded or _longest(texts) <= MOST_DIGITS:
        try:
            return Decoded(texts.cast(logged.plan.arrow))
        except pa.ArrowInvalid:
            pass
    nan = _mask(pc.equal(texts, "NaN"))
    infinite = _mask(pc.match_substring(texts, "Infinity"))
    finite = _without(texts, nan | infinite)
    nulled = _counted(NAN, nan, INFINITE, infinite)
    if not unbounded:
        return Decoded(finite.cast(logged.plan.arrow), nulled)
    trimmed = _trimmed(finite)
    misfit = pc.any(pc.invert(pc.match_substring_regex(trimmed, r"^-?[0-9]{1,20}(\.[0-9]{1,18})?$"))).as_py()
    return Decoded(trimmed if misfit else trimmed.cast(logged.plan.arrow), nulled)


def _trimmed(numbers: pa.Array) -> pa.Array:
    """As ``trim_scale``: no zeros behind the last digit that counts."""
    shorter = pc.replace_substring_regex(numbers, r"(\.[0-9]*?)0+$", r"\1")
    return pc.replace_substring_regex(shorter, r"\.$", "")


def _longest(texts: pa.Array) -> int:
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _without(texts: pa.Array, out: Mask) -> pa.Array:
    return pc.if_else(pa.array(out), pa.scalar(None, texts.type), texts)


def _mask(values: pa.Array) -> Mask:
    """Null counts as false."""
    found: Mask = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return found


def _became_null(before: pa.Array, after: pa.Array) -> Mask:
    return _mask(before.is_valid()) & ~_mask(after.is_valid())


def _counted(first: str, firsts: Mask, second: str, seconds: Mask) -> dict[str, Mask]:
    found: Mapping[str, Mask] = {first: firsts, second: seconds}
    return {reason: mask for reason, mask in found.items() if mask.any()}
