"""Which change is the last of each key, and from which one each row came. Pure; by numbers of changes alone.

A key may have two rows in the middle of a transaction, where the source checks its uniqueness at the end only. They
are told apart by counting: a deletion is of the older one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lake.changes import Flags, Numbers
from lake.errors import LakeError
from lake.marks import Op

Ops = npt.NDArray[np.int8]
Parent = Callable[[Numbers, Numbers], Numbers]


@dataclass(frozen=True)
class KeyedChanges:
    """``order`` has the numbers of the changes by key, and those of a key as they came; ``starts`` flags where in it a
    key begins. ``ops`` is of all changes, by number; so is ``breaks``, which flags where a transaction begins, and
    ``truncations`` are numbers of changes that emptied the table.
    """

    order: Numbers
    starts: Flags
    ops: Ops
    breaks: Flags
    truncations: Numbers

    @cached_property
    def spans(self) -> Flags:
        """Where in the order a key begins, or goes on behind a truncation."""
        if not len(self.truncations):
            return self.starts
        spans: Flags = self.starts | (np.diff(self._truncated(self.order), prepend=0) != 0)
        return spans

    def _truncated(self, numbers: Numbers) -> Numbers:
        """How often the table was emptied before some changes."""
        return np.searchsorted(self.truncations, numbers).astype(np.int32)

    @cached_property
    def begins(self) -> Numbers:
        return np.flatnonzero(self.spans).astype(np.int32)

    @cached_property
    def span_of(self) -> Numbers:
        return np.cumsum(self.spans, dtype=np.int32) - np.int32(1)

    @cached_property
    def op(self) -> Ops:
        return self.ops[self.order]

    @cached_property
    def comes(self) -> Flags:
        comes: Flags = (self.op == Op.INSERT) | (self.op == Op.MOVE)
        return comes

    @cached_property
    def net(self) -> Numbers:
        """Rows that have come to the key less those that have gone from it."""
        steps = self.comes.astype(np.int8) - (self.op == Op.DELETE).astype(np.int8)
        return self._within_span(steps)

    def _within_span(self, steps: npt.NDArray[np.int8]) -> Numbers:
        total = np.cumsum(steps, dtype=np.int32)
        before = (total - steps)[self.begins].astype(np.int32)
        total -= before[self.span_of]
        return total

    @cached_property
    def before(self) -> Numbers:
        """For each span how many rows the key had before it: 0 or 1, or -1 where that cannot be told."""
        first_comes = self.comes[self.begins]
        ends = np.ones(len(self.order), bool)
        # The last of a key's changes in a transaction is followed by one behind a break, or by another key's.
        transaction = np.cumsum(self.breaks, dtype=np.int32)[self.order]
        ends[:-1] = self.spans[1:] | (transaction[1:] != transaction[:-1])
        had_none = np.logical_or.reduceat(ends & (self.net > 0), self.begins)
        had_one = np.logical_or.reduceat(ends & (self.net < 0), self.begins)
        told = np.where(had_none, 0, np.where(had_one, 1, -1))
        found = np.where(first_comes, told, 1).astype(np.int32)
        found[(self._truncated(self.order[self.begins]) > 0) & (found < 0)] = 0
        return found


@dataclass(frozen=True)
class Lineage:
    """Indexes are places in the order of the changes by key. ``last`` has one for each key: the change that made its
    row what it is or, where it is not ``alive``, the one that took it away. ``parents`` has for each change the one
    that its row was last changed by; ``~i`` where that is before all of them, under the key of the change at ``i``.
    """

    last: Numbers
    alive: Flags
    parents: Numbers


def trace(keyed: KeyedChanges, before: Numbers) -> Lineage:
    """``before`` is ``keyed.before``, with all told."""
    size = len(keyed.order)
    span_of, begins = keyed.span_of, keyed.begins
    is_row = keyed.op != Op.DELETE
    latest = np.maximum.accumulate(np.where(is_row, np.arange(size, dtype=np.int32), np.int32(-1)))
    first = begins[span_of]

    def parent(upto: Numbers, places: Numbers) -> Numbers:
        """The row's last change up to there, for the changes at some places."""
        found = np.where(upto >= 0, latest[upto], -1)
        return np.where(found >= first[places], found, ~first[places]).astype(np.int32)

    everywhere = np.arange(size, dtype=np.int32)
    parents = parent(everywhere - 1, everywhere)
    _part_rows_of_one_key(keyed, before, parents, parent)
    _follow_moves(keyed, parents)
    ends = np.append(begins[1:], size).astype(np.int32) - np.int32(1)
    alive = is_row[ends] | (before + keyed.net[ends] > 0)
    last = np.where(alive, latest[ends], ends).astype(np.int32)
    of_key = np.append(keyed.starts[begins[1:]], True)
    return Lineage(last[of_key], alive[of_key], parents)


def _part_rows_of_one_key(keyed: KeyedChanges, before: Numbers, parents: Numbers, parent: Parent) -> None:
    """Where a deletion leaves a row of its key, it is of the row that came first."""
    left = before[keyed.span_of] + keyed.net
    places = np.flatnonzero((keyed.op == Op.DELETE) & (left > 0)).astype(np.int32)
    if not len(places):
        return
    comings = np.flatnonzero(keyed.comes).astype(np.int32)
    come = np.searchsorted(comings, places)
    # The rows that are left are those that came last; the one before them went.
    oldest_left = come - left[places]
    reachable = (oldest_left >= 0) & (comings[np.maximum(oldest_left, 0)] >= keyed.begins[keyed.span_of[places]])
    places, oldest_left = places[reachable], oldest_left[reachable]
    parents[places] = parent(comings[oldest_left] - 1, places)


def _follow_moves(keyed: KeyedChanges, parents: Numbers) -> None:
    """A row that comes under another key was the one that the change right before took away."""
    moves = np.flatnonzero(keyed.op == Op.MOVE)
    if not len(moves):
        return
    numbers = keyed.order[moves] - 1
    if (numbers < 0).any() or (keyed.ops[numbers] != Op.DELETE).any():
        raise LakeError("The change log has a row that comes under another key, and not the key that it had.")
    place_of = np.empty(len(keyed.ops), np.int32)
    place_of[keyed.order] = np.arange(len(keyed.order), dtype=np.int32)
    parents[moves] = parents[place_of[numbers]]


def carriers(parents: Numbers, carries: Flags) -> Numbers:
    """For each change the nearest one, itself or one that its row came from, that carries a value; ``~i`` where only
    the row under the key of the change at ``i``, before all of them, may have it.
    """
    nearest = np.where(carries, np.arange(len(parents), dtype=np.int32), parents)
    while True:
        # Each step doubles how far back all of them look.
        inside = nearest >= 0
        further = np.where(inside, nearest[np.where(inside, nearest, 0)], nearest)
        if np.array_equal(further, nearest):
            return nearest
        nearest = further
