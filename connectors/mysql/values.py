"""From the texts that travel to the types of the lake.

A batch is cast as a whole. Where a value does not fit, those of the batch are looked at one by one: what has no place
in the type becomes null and is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import ValueWarning
from connectors.mysql.columns import ColumnPlan
from connectors.mysql.wire import Rows

_ZEROS = r"\.?0+$"
_LONGS = range(-(2**63), 2**63)


@dataclass
class ValueCheck:
    """Makes the rows of one read what they are to be, and keeps count of what had no place."""

    plans: Sequence[ColumnPlan]
    schema: pa.Schema
    taken_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    def batch(self, rows: Rows) -> pa.RecordBatch:
        columns = rows.columns([travelling(plan) for plan in self.plans])
        cleaned = [self._clean(plan, values) for plan, values in zip(self.plans, columns, strict=True)]
        return pa.RecordBatch.from_arrays(cleaned, schema=self.schema)

    def warnings(self) -> list[ValueWarning]:
        return [ValueWarning(column, reason, count) for (column, reason), count in self.taken_out.items()]

    def _clean(self, plan: ColumnPlan, values: pa.Array) -> pa.Array:
        found = _converted(plan, values)
        if lost := found.null_count - values.null_count:
            self.taken_out[plan.name, plan.misfit] += lost
        return found


def arrow_schema(plans: Iterable[ColumnPlan]) -> pa.Schema:
    return pa.schema([pa.field(plan.name, plan.arrow) for plan in plans])


def travelling(plan: ColumnPlan) -> pa.DataType:
    """Numbers and times are ASCII for certain. Of others nobody knows before they are looked at."""
    unknown = (pa.types.is_string(plan.arrow) and not plan.trimmed) or pa.types.is_binary(plan.arrow)
    return pa.binary() if unknown else pa.string()


def _converted(plan: ColumnPlan, values: pa.Array) -> pa.Array:
    kind = plan.arrow
    if plan.trimmed:
        values = _trimmed(values)
    if pa.types.is_string(kind):
        return _text(values)
    if pa.types.is_binary(kind):
        return values
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _moment(values, kind)
    if pa.types.is_floating(kind):
        return values.cast(pa.float64()).cast(kind, safe=False)
    return _cast(values, kind, _long if pa.types.is_integer(kind) else _decimal_of(kind))


def _text(values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_decoded(value) for value in values.to_pylist()], pa.string())


def _trimmed(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.match_substring(values, "."), pc.replace_substring_regex(values, _ZEROS, ""), values)


def _moment(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Zoned times are in UTC already. Arrow has a year 0, which the lake has not."""
    zoned = pa.types.is_timestamp(kind) and kind.tz is not None
    plain = pa.timestamp("us") if zoned else kind
    real = pc.if_else(pc.starts_with(values, "0000"), pa.scalar(None, pa.string()), values)
    found = _cast(real, plain, _day if pa.types.is_date(kind) else _time)
    return found.view(kind) if zoned else found


def _cast(values: pa.Array, kind: pa.DataType, single: Callable[[str], Any]) -> pa.Array:
    """All at once, or one by one: ``single`` is None for what has no place in the type."""
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return pa.array([None if value is None else single(value) for value in values.to_pylist()], kind)


def _long(text: str) -> int | None:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() and int(number) in _LONGS else None


def _decimal_of(kind: pa.DataType) -> Callable[[str], Decimal | None]:
    def decimal(text: str) -> Decimal | None:
        number = Decimal(text)
        with localcontext() as context:
            context.prec = kind.precision
            try:
                fixed = number.quantize(Decimal(1).scaleb(-kind.scale))
            except InvalidOperation:
                return None
        return fixed if fixed == number else None

    return decimal


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
