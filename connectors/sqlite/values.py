"""Rows of a read as Arrow, column by column: whole columns at once where all values are of one class."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from connectors.base import ValueWarning
from connectors.errors import SourceError
from connectors.sqlite.chosen import NOT_UTF8, bytes_of, conversion
from connectors.sqlite.declared import Rule
from connectors.sqlite.shapes import ColumnPlan
from connectors.sqlite.texts import moment_text, text_of
from connectors.sqlite.times import parsed

_TEXTS = {bytearray, type(None)}
_BYTES = {bytearray, bytes, type(None)}


@dataclass
class Values:
    """Makes the batches of one read, and counts what their types cannot hold."""

    plans: Sequence[ColumnPlan]
    taken_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    schema: pa.Schema = field(init=False)

    def __post_init__(self) -> None:
        self.schema = pa.schema([pa.field(plan.name, plan.arrow) for plan in self.plans])

    def batch(self, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
        """``SourceError`` where values are not what they were when the types were chosen, as a view's may be."""
        columns = zip(*rows, strict=True)
        try:
            arrays = [self._array(plan, values) for plan, values in zip(self.plans, columns, strict=True)]
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise SourceError(
                "The rows of this table are others each time that they are read, so it cannot be copied."
            ) from error
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def warnings(self) -> list[ValueWarning]:
        return [ValueWarning(column, reason, count) for (column, reason), count in self.taken_out.items()]

    def _array(self, plan: ColumnPlan, values: tuple[Any, ...]) -> pa.Array:
        kind = plan.arrow
        if plan.chosen is not None:
            return self._each(plan, values, conversion(plan.chosen, kind))
        if pa.types.is_string(kind):
            return self._texts(plan, values)
        if pa.types.is_binary(kind):
            usual = set(map(type, values)) <= _BYTES
            return pa.array(values if usual else [None if each is None else bytes_of(each) for each in values], kind)
        if pa.types.is_temporal(kind):
            return parsed(values, kind)
        return pa.array(values, kind)

    def _texts(self, plan: ColumnPlan, values: tuple[Any, ...]) -> pa.Array:
        if set(map(type, values)) <= _TEXTS and plan.column.rule is not Rule.MOMENT:
            try:
                texts = pa.array(values, pa.binary()).cast(pa.string())
                texts.validate(full=True)
                return texts
            except pa.ArrowInvalid:
                pass
        spelled = moment_text if plan.column.rule is Rule.MOMENT else str

        def converted(value: Any) -> tuple[Any, str | None]:
            text = text_of(value, spelled=spelled)
            return text, NOT_UTF8 if text is None else None

        return self._each(plan, values, converted)

    def _each(
        self, plan: ColumnPlan, values: Iterable[Any], converted: Callable[[Any], tuple[Any, str | None]]
    ) -> pa.Array:
        found = []
        for value in values:
            kept, reason = (None, None) if value is None else converted(value)
            if reason is not None:
                self.taken_out[plan.name, reason] += 1
            found.append(kept)
        return pa.array(found, plan.arrow)
