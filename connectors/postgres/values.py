"""What is done to the values of a read after they arrived, the same for every driver.

Dates and times outside the years 1 to 9999, infinity included, become null and are counted, as do texts that are no
UTF-8; ``char(n)`` gets its blanks back. Both drivers deliver such times as numbers beyond the limits here, DuckDB by
the conventions of its own ``infinity`` and, where the difference of the epochs overflows, wrapped to the far end.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import ValueWarning
from connectors.postgres.columns import INFINITE, NOT_UTF8, OUT_OF_RANGE, Check, ColumnPlan

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = (date.min - _EPOCH.date()).days
_LAST_DAY = (date.max - _EPOCH.date()).days
_MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class _Limits:
    """The range of a time as an integer, and the integer that stands for infinity, on either side."""

    storage: pa.DataType
    first: int
    last: int
    infinity: int


_LIMITS = {
    Check.DATE: _Limits(pa.int32(), _FIRST_DAY, _LAST_DAY, 2**31 - 1),
    Check.TIMESTAMP: _Limits(
        pa.int64(),
        _FIRST_DAY * _MICROSECONDS_PER_DAY,
        (_LAST_DAY + 1) * _MICROSECONDS_PER_DAY - 1,
        2**63 - 1,
    ),
}


@dataclass
class ValueCheck:
    """Cleans the batches of one read and keeps count of what it took out."""

    plans: Sequence[ColumnPlan]
    schema: pa.Schema
    taken_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    with_nulls: set[str] = field(default_factory=set)
    """Columns in which a null was seen that may have been a value at the source (``ColumnPlan.nulled``)."""

    def clean(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [self._clean(plan, batch.column(number)) for number, plan in enumerate(self.plans)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def warnings(self) -> list[ValueWarning]:
        return [ValueWarning(column, reason, count) for (column, reason), count in self.taken_out.items() if count > 0]

    def _clean(self, plan: ColumnPlan, values: pa.Array) -> pa.Array:
        if plan.nulled and values.null_count:
            self.with_nulls.add(plan.name)
        if plan.check in _LIMITS:
            return self._in_range(plan, values, _LIMITS[plan.check])
        if plan.check is Check.TEXT:
            texts = self._decoded(plan, values)
            return pc.utf8_rpad(texts, plan.pad) if plan.pad else texts
        return values

    def _decoded(self, plan: ColumnPlan, values: pa.Array) -> pa.Array:
        texts, broken = utf8(values)
        if broken:
            self.taken_out[plan.name, NOT_UTF8] += broken
        return texts

    def _in_range(self, plan: ColumnPlan, values: pa.Array, limits: _Limits) -> pa.Array:
        numbers = values.view(limits.storage)
        least, greatest = (bound.as_py() for bound in pc.min_max(numbers).values())
        if least is None or (least >= limits.first and greatest <= limits.last):
            return values
        infinite = pc.equal(pc.abs(numbers), limits.infinity)
        outside = pc.or_(pc.less(numbers, limits.first), pc.greater(numbers, limits.last))
        infinities = pc.sum(infinite).as_py()
        self.taken_out[plan.name, INFINITE] += infinities
        self.taken_out[plan.name, OUT_OF_RANGE] += pc.sum(outside).as_py() - infinities
        return pc.if_else(outside, pa.scalar(None, values.type), values)


def arrow_schema(plans: Iterable[ColumnPlan]) -> pa.Schema:
    return pa.schema([pa.field(plan.name, plan.arrow) for plan in plans])


def utf8(values: pa.Array) -> tuple[pa.Array, int]:
    """Texts or bytes as texts, and how many are none and became null.

    Not every database looks at what it is given, and not every driver at what it passes on.
    """
    try:
        texts = values.cast(pa.string())
        texts.validate(full=True)
    except pa.ArrowInvalid:
        texts = pa.array([_decoded(value) for value in values.cast(pa.binary()).to_pylist()], pa.string())
    return texts, texts.null_count - values.null_count


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
