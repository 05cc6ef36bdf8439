"""Values that a change left as they were, from where they are: an earlier change, or the stored row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake.change import Publishing
from lake.changes import Changes, Flags, Numbers
from lake.lookup import Found
from lake.parquet import ROW_GROUP_BYTES
from lake.rows import RowSets, chosen_rows
from lake.spool import Spool

OWN = np.int32(-1)
MISSING = np.int32(-2)
"""In place of a row of the spool: the value is the change's own, or nowhere."""


@dataclass(frozen=True)
class Wanted:
    """For some changes, in ascending order of their ``numbers``, where each column's value is: the number of a change
    or, where it is the stored row under the key of change ``n``, ``~n``.
    """

    numbers: Numbers
    sources: Mapping[str, Numbers]

    def stored(self) -> Numbers:
        """The changes whose keys are those of stored rows, in ascending order."""
        return _distinct([~found[found < 0] for found in self.sources.values()])

    def changes(self) -> Numbers:
        """The changes that have values for others, in ascending order."""
        return _distinct([found[(found >= 0) & (found != self.numbers)] for found in self.sources.values()])


class Patches:
    """Of the changes with ``numbers``, in ascending order, all of them staged. ``incomplete`` flags those of which a
    value was found nowhere.
    """

    def __init__(self, spool: Spool, numbers: Numbers, slots: Mapping[str, Numbers]) -> None:
        self._spool = spool
        self.numbers = numbers
        self._slots = slots
        self.incomplete: Flags = np.zeros(len(numbers), bool)
        for found in slots.values():
            self.incomplete |= found == MISSING

    def without(self, numbers: Numbers) -> "Patches":
        """The same, of none of some changes."""
        kept = ~np.isin(self.numbers, numbers)
        slots = {id(found): found[kept] for found in self._slots.values()}
        return Patches(self._spool, self.numbers[kept], {name: slots[id(found)] for name, found in self._slots.items()})

    def cut(self, numbers: Numbers) -> Iterator[slice]:
        """Parts of some ascending changes whose patched values fit a row group, unless a single one does not."""
        here = self._within(numbers)
        rows = np.zeros(len(numbers), np.int64)
        places = np.searchsorted(numbers, self.numbers[here])
        for found in {id(slots): slots for slots in self._slots.values()}.values():
            slots = found[here]
            rows[places[slots >= 0]] = np.maximum(rows[places[slots >= 0]], self._spool.sizes[slots[slots >= 0]])
        parts = np.cumsum(rows) // ROW_GROUP_BYTES
        cuts = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(numbers)]
        return (slice(begin, end) for begin, end in pairwise(cuts))

    def apply(self, numbers: Numbers, name: str, values: pa.Array) -> pa.Array:
        """A column's values of some ascending changes, with those that were left as they were."""
        if name not in self._slots:
            return values
        here = self._within(numbers)
        slots = self._slots[name][here]
        places = np.searchsorted(numbers, self.numbers[here])[slots != OWN]
        slots = slots[slots != OWN]
        if not len(slots):
            return values
        chosen = np.arange(len(numbers), dtype=np.int64)
        there = slots >= 0
        chosen[places[there]] = len(numbers) + np.arange(there.sum())
        nowhere = np.zeros(len(numbers), bool)
        nowhere[places[~there]] = True
        if there.any():
            values = pa.concat_arrays([values, self._spool.take(name, slots[there])])
        return values.take(pc.if_else(pa.array(nowhere), pa.scalar(None, pa.int64()), pa.array(chosen)))

    def lacking(self, numbers: Numbers) -> Flags:
        here = self._within(numbers)
        found = np.zeros(len(numbers), bool)
        found[np.searchsorted(numbers, self.numbers[here])] = self.incomplete[here]
        return found

    def _within(self, numbers: Numbers) -> slice:
        if not len(numbers):
            return slice(0, 0)
        begin, end = np.searchsorted(self.numbers, [numbers[0], numbers[-1] + 1])
        return slice(int(begin), int(end))


def collect(changes: Changes, publishing: Publishing, wanted: Wanted, found: Found, path: Path) -> Patches:
    """Set the wanted values aside. ``found`` is where the rows of ``wanted.stored()`` are."""
    schema = pa.schema([changes.columns.schema.field(name) for name in wanted.sources])
    carrying, keyed = wanted.changes(), wanted.stored()
    there = np.flatnonzero(found.files >= 0)
    order = there[np.lexsort((found.rows[there], found.files[there]))]

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows_of(changes, carrying, schema.names)
        chosen = _row_sets(found.files[order], found.rows[order])
        yield from chosen_rows(publishing.store, publishing.target_files(list(chosen)), chosen, schema)

    spool = Spool(path, schema, batches())
    place = np.full(len(keyed), MISSING, np.int32)
    place[order] = len(carrying) + np.arange(len(order), dtype=np.int32)
    known: dict[int, Numbers] = {}
    for sources in wanted.sources.values():
        if id(sources) not in known:
            slots = np.full(len(sources), OWN, np.int32)
            stored, other = sources < 0, (sources >= 0) & (sources != wanted.numbers)
            slots[stored] = place[np.searchsorted(keyed, ~sources[stored])]
            slots[other] = np.searchsorted(carrying, sources[other])
            known[id(sources)] = slots
    return Patches(spool, wanted.numbers, {name: known[id(found)] for name, found in wanted.sources.items()})


def rows_of(changes: Changes, numbers: Numbers, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Columns of the changes with some ascending numbers, in order."""
    flags = np.zeros(changes.count, bool)
    flags[numbers] = True
    for first, batch in changes.read(names, flags):
        here = flags[first : first + batch.num_rows]
        if here.any():
            yield batch.filter(pa.array(here))


def _row_sets(files: Numbers, rows: Numbers) -> RowSets:
    numbers, begins = np.unique(files, return_index=True)
    return {
        int(number): pa.array(rows[begin:end])
        for number, (begin, end) in zip(numbers, pairwise([*begins, len(files)]), strict=True)
    }


def _distinct(found: Sequence[Numbers]) -> Numbers:
    return np.unique(np.concatenate([np.empty(0, np.int32), *found]))
