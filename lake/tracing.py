"""Following each row through its changes: which came before which, and where the values are that were not sent."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake.changes import Flags, Numbers
from lake.columns import is_own
from lake.duck import ROWS_AT_ONCE, column_list, engine
from lake.errors import MissingRowError
from lake.lineage import KeyedChanges, Lineage, carriers
from lake.marks import OP, POSITION, UNCHANGED, Op
from lake.patches import Patches, Wanted, collect
from lake.settling import NUMBER, READ_ANEW, Settling, comparable, keys_of, numbered_keys


class Tracing:
    """Follows each row through its changes."""

    def __init__(self, settling: Settling) -> None:
        self._settling = settling
        self._changes = settling.changes
        count = self._changes.count
        self.ops = np.zeros(count, np.int8)
        self._breaks = np.zeros(count, bool)
        self._masks = np.zeros(count, np.int32)
        self._known_masks: dict[tuple[int, bytes], int] = {}

    def keyed(self) -> KeyedChanges:
        settling = self._settling
        keys = column_list(settling.key)
        size = self._changes.count - settling.begin
        if settling.keeps_rows:
            size -= len(self._changes.truncations)
        order, starts = np.empty(size, np.int32), np.zeros(size, bool)
        at = 0
        before: pa.RecordBatch | None = None
        with engine(settling.budget) as connection:
            connection.register("changes", numbered_keys(settling, self._scan()))
            ordered = connection.sql(f"select {keys}, {NUMBER}::integer from changes order by {keys}, {NUMBER}")
            for batch in ordered.to_arrow_reader(ROWS_AT_ONCE):
                end = at + batch.num_rows
                order[at:end] = batch.column(len(settling.key)).to_numpy()
                starts[at:end] = _starts(batch, before, len(settling.key))
                at, before = end, batch.slice(batch.num_rows - 1)
        eras = self._changes.truncations if settling.keeps_rows else np.empty(0, np.int32)
        return KeyedChanges(order, starts, self.ops, self._breaks, eras)

    def _scan(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The keys, and on the way what else is to be known of each change."""
        newest = -1
        for first, batch in keys_of(self._settling, (POSITION, OP, UNCHANGED)):
            here = slice(first, first + batch.num_rows)
            self.ops[here] = batch.column(OP).to_numpy()
            positions = batch.column(POSITION).to_numpy()
            self._breaks[here] = np.diff(positions, prepend=newest) != 0
            newest = positions[-1]
            if batch.column(UNCHANGED).null_count < batch.num_rows:
                self._masks[here] = self._mask_numbers(first, batch.column(UNCHANGED))
            yield first, batch

    def _mask_numbers(self, first: int, masks: pa.Array) -> Numbers:
        """Few masks are distinct. They mean columns of the segment; 0 is for a change that has all values."""
        segment = self._changes.segment_at(first)
        encoded = masks.dictionary_encode()
        numbers = [
            self._known_masks.setdefault((segment, mask), len(self._known_masks) + 1)
            for mask in encoded.dictionary.to_pylist()
        ]
        by_index = np.array([*numbers, 0], np.int32)
        found: Numbers = by_index[pc.fill_null(encoded.indices, len(numbers)).to_numpy(zero_copy_only=False)]
        return found

    def _left_out(self) -> Mapping[str, Flags]:
        """For each column that some change left as it was: whether it did, by the number of the mask."""
        left: dict[str, Flags] = {}
        for (number, mask), index in self._known_masks.items():
            for name in self._changes.left_out(number, mask):
                if name not in self._settling.key:
                    left.setdefault(name, np.zeros(len(self._known_masks) + 1, bool))[index] = True
        return left

    def rows_before(self, keyed: KeyedChanges) -> Numbers:
        """Whether each key had a row before the changes. Where a row came and went in one transaction the table says
        that; but for one that was read later, maybe, than the changes were made.
        """
        before = keyed.before.copy()
        untold = np.flatnonzero(before < 0)
        if len(untold):
            numbers = keyed.order[keyed.begins[untold]]
            ascending = np.argsort(numbers)
            found = self._settling.find(numbers[ascending])
            if self._settling.overlap and (found.files >= 0).any():
                raise MissingRowError(f"A row came and went, and its key was read with a row as well; {READ_ANEW}")
            before[untold[ascending]] = found.files >= 0
        return before

    def wanted(self, keyed: KeyedChanges, lineage: Lineage, before: Numbers, staged: Numbers) -> Wanted | None:
        """Where the values are that some changes do not have themselves."""
        nearest = self._nearest(keyed, lineage, staged)
        if self._settling.overlap:
            self._prefer_what_was_read(keyed, lineage, before, staged, nearest)
        return _wanted(keyed, staged, nearest)

    def _nearest(self, keyed: KeyedChanges, lineage: Lineage, staged: Numbers) -> dict[str, Numbers]:
        """For each column that some staged row lacks, where each staged row's value is (``lake.lineage.carriers``)."""
        left = self._left_out()
        is_row = keyed.op != Op.DELETE
        names = [column.name for column in self._changes.columns.schema if not is_own(column.name)]
        nearest: dict[str, Numbers] = {}
        if self._settling.soft_deletes and not is_row[staged].all():
            always = carriers(lineage.parents, is_row)[staged]
            nearest = {name: always for name in names if name not in self._settling.key}
        for name, flags in left.items():
            nearest[name] = carriers(lineage.parents, is_row & ~flags[self._masks[keyed.order]])[staged]
        return nearest

    def _prefer_what_was_read(
        self, keyed: KeyedChanges, lineage: Lineage, before: Numbers, staged: Numbers, nearest: dict[str, Numbers]
    ) -> None:
        """Rows are stored under the keys that they had when they were read: of all that a row had since its values
        were last sent, that may be any.

        Where it came to a key that the log knows to have been free, a row stored there is this one. Where another row
        had the key before, nothing tells which of the two is stored.
        """
        ways: dict[int, list[int]] = {}
        columns = list({id(found): found for found in nearest.values()}.values())
        for places in columns:
            at_root = places < 0
            moved = np.flatnonzero(at_root & (keyed.span_of[np.where(at_root, ~places, 0)] != keyed.span_of[staged]))
            ways.update({int(row): _way(keyed, lineage, int(staged[row])) for row in moved})
        if not ways:
            return
        asked = np.unique(keyed.order[[place for way in ways.values() for place in way]])
        found = self._settling.find(asked)
        stored = set(asked[found.files >= 0].tolist())
        for row, way in ways.items():
            place = _place_of_stored(keyed, before, way, stored)
            for places in columns:
                if places[row] < 0:
                    places[row] = ~place

    def patches(self, wanted: Wanted | None) -> Patches | None:
        """Those values. ``MissingRowError`` where one is nowhere."""
        if wanted is None:
            return None
        settling = self._settling
        keyed = wanted.stored()
        found = settling.find(keyed)
        if (found.files < 0).any() and not settling.overlap:
            raise MissingRowError(f"A change is of a row that the table does not have; {READ_ANEW}")
        return collect(self._changes, settling.stored.publishing, wanted, found, settling.scratch / "values.arrow")


def _way(keyed: KeyedChanges, lineage: Lineage, place: int) -> list[int]:
    """Places of changes under whose keys a row has been, the newest first, back to where its changes begin."""
    way = []
    while place >= 0:
        if keyed.op[place] == Op.MOVE:
            way.append(place)
        place = int(lineage.parents[place])
    return [*way, ~place]


def _place_of_stored(keyed: KeyedChanges, before: Numbers, way: list[int], stored: set[int]) -> int:
    """Which of the keys on a row's way is the one that it is stored under."""
    *moves, root = way
    for place in moves:
        if int(keyed.order[place]) not in stored:
            continue
        span = keyed.span_of[place]
        was_free = before[span] == 0 and keyed.begins[span] == place
        if not was_free:
            raise MissingRowError(f"A row changed its key to another row's while the table was read; {READ_ANEW}")
        return place
    return root


def _wanted(keyed: KeyedChanges, staged: Numbers, nearest: Mapping[str, Numbers]) -> Wanted | None:
    """By numbers of changes, of just the rows that lack something."""
    lacking = np.zeros(len(staged), bool)
    for found in nearest.values():
        lacking |= found != staged
    if not lacking.any():
        return None
    numbers = keyed.order[staged[lacking]]
    ascending = np.argsort(numbers)
    sources: dict[int, Numbers] = {}
    for found in nearest.values():
        if id(found) not in sources:
            places = found[lacking][ascending]
            change = keyed.order[np.where(places >= 0, places, ~places)]
            sources[id(found)] = np.where(places >= 0, change, ~change).astype(np.int32)
    return Wanted(numbers[ascending], {name: sources[id(found)] for name, found in nearest.items()})


def _starts(batch: pa.RecordBatch, before: pa.RecordBatch | None, columns: int) -> npt.NDArray[np.bool_]:
    """Where in ordered keys another one begins."""
    starts = np.zeros(batch.num_rows, bool)
    for number in range(columns):
        values = comparable(batch.column(number))
        differ = pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
        starts[1:] |= differ
        starts[0] |= before is None or comparable(before.column(number))[0] != values[0]
    return starts
