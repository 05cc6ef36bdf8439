"""What a list of changes comes to: which of them are rows in the end, which keys are gone, and what rows still lack."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake.changes import Flags
from lake.duck import ROWS_AT_ONCE, Budget, column_list, engine
from lake.errors import MissingRowError
from lake.lineage import Ops, trace
from lake.lookup import PRESENT, StoredRows
from lake.marks import Op
from lake.patches import Patches
from lake.rows import RowSets
from lake.settling import NUMBER, READ_ANEW, Settling, bare_keys, comparable, keys_of, numbered_keys
from lake.tracing import Tracing


@dataclass(frozen=True)
class Outcome:
    """Flags of changes, by number: those that are ``rows`` in the end, and those whose keys are ``gone``."""

    begin: int
    rows: Flags
    gone: Flags | None = None
    patches: Patches | None = None
    truncated: bool = False
    emptied: RowSets = field(default_factory=dict)
    """Stored rows without a change of their own that were deleted with all others, and stay."""


def settle(settling: Settling) -> Outcome:
    """Raises ``MissingRowError``, ``DuplicateKeyError``."""
    segments = settling.changes.segments
    if any(one.has_deletes or one.has_moves or one.has_unchanged for one in segments):
        outcome = _traced(settling)
    else:
        outcome = Outcome(settling.begin, _last_of_each_key(settling), truncated=settling.truncated)
    if settling.is_last_overlap:
        _check_patched(outcome.patches)
        check_whole(settling.stored, settling.budget, bare_keys(settling))
    if settling.soft_deletes and len(settling.changes.truncations):
        return replace(outcome, emptied=_emptied(settling))
    return outcome


def _traced(settling: Settling) -> Outcome:
    count = settling.changes.count
    rows, gone = np.zeros(count, bool), np.zeros(count, bool)
    outcome = Outcome(settling.begin, rows, None if settling.truncated else gone, truncated=settling.truncated)
    tracing = Tracing(settling)
    keyed = tracing.keyed()
    if not len(keyed.order):
        return outcome
    before = tracing.rows_before(keyed)
    lineage = trace(keyed, before)
    staged = lineage.last if settling.soft_deletes else lineage.last[lineage.alive]
    if not settling.soft_deletes:
        gone[keyed.order[lineage.last[~lineage.alive]]] = True
    wanted = tracing.wanted(keyed, lineage, before, staged)
    rows[keyed.order[staged]] = True
    del keyed, lineage, staged
    patches = tracing.patches(wanted)
    return replace(outcome, patches=patches and _without_unread(patches, tracing.ops, rows, gone))


def _without_unread(patches: Patches, ops: Ops, rows: Flags, gone: Flags) -> Patches:
    """A row that was deleted before it was read has left nothing to be kept."""
    lacking = patches.numbers[patches.incomplete]
    unread = lacking[ops[lacking] == Op.DELETE]
    rows[unread], gone[unread] = False, True
    return patches.without(unread)


def check_whole(stored: StoredRows, budget: Budget, changed: Iterable[pa.RecordBatch] = ()) -> None:
    """A row lacks values where it was changed, and had another key when it was read. If it has still not been found,
    it went from a part of the table that was not read yet into one that had been. ``changed`` keys are left out.
    """
    if stored.lacking(changed, budget):
        raise MissingRowError(f"A row changed its key while the table was read; {READ_ANEW}")


def _check_patched(patches: Patches | None) -> None:
    if patches is not None and patches.incomplete.any():
        raise MissingRowError(f"A row changed its key while the table was read; {READ_ANEW}")


def _emptied(settling: Settling) -> RowSets:
    stored = settling.stored
    numbers = range(len(stored.publishing.target))
    return stored.others(bare_keys(settling), settling.budget, PRESENT, numbers)


def _last_of_each_key(settling: Settling) -> Flags:
    """Of changes that bring whole rows and take none away."""
    changes, begin = settling.changes, settling.begin
    last = np.zeros(changes.count, bool)
    if not any(one.has_updates for one in changes.segments) and _is_ascending(settling):
        last[begin:] = True
        return last
    keys = column_list(settling.key)
    with engine(settling.budget) as connection:
        connection.register("changes", numbered_keys(settling, keys_of(settling, ())))
        found = connection.sql(f"select max({NUMBER})::integer from changes group by {keys}")
        for batch in found.to_arrow_reader(ROWS_AT_ONCE):
            last[batch.column(0).to_numpy()] = True
    return last


def _is_ascending(settling: Settling) -> bool:
    """Whether a key of one column only grows: then there are no two of one key."""
    if len(settling.key) > 1 or len(settling.changes.truncations):
        return False
    greatest: pa.Array | None = None
    for _, batch in keys_of(settling, ()):
        values = comparable(batch.column(0))
        joined = values if greatest is None else pa.concat_arrays([greatest, values])
        if not pc.all(pc.less(joined[:-1], joined[1:]), min_count=0).as_py():
            return False
        greatest = values[-1:]
    return True
