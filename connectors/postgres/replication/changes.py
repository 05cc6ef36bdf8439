"""Messages of the stream as changes of the followed tables: rows and marks, a batch for each table."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import ValueWarning
from connectors.capture import MARKS, FollowedTable, Op, TableChanges
from connectors.postgres.replication import pgoutput
from connectors.postgres.replication.decoding import Decoded, LoggedColumn, decode
from connectors.postgres.replication.pgoutput import Mask, Messages, Numbers, Tuples, bitmap, concatenated
from connectors.postgres.replication.relations import Relations, Target

_CHANGES: Mask = np.isin(np.arange(256), [pgoutput.INSERT, pgoutput.UPDATE, pgoutput.DELETE])
_OPS = np.zeros(256, np.int8)
_OPS[[pgoutput.INSERT, pgoutput.UPDATE, pgoutput.DELETE]] = [Op.INSERT, Op.UPDATE, Op.DELETE]


@dataclass
class _Transactions:
    """Of each message the number of its transaction; 0 is one that began before."""

    number: Numbers
    positions: Numbers
    commits_at: Numbers
    begins: Numbers
    """Place of the first message of each."""


@dataclass
class _Rows:
    """Changes of one table in the order of the log; ``places``: of their messages."""

    table: FollowedTable
    columns: tuple[LoggedColumn, ...]
    places: Numbers
    ops: npt.NDArray[np.int8]
    tuples: Tuples

    def take(self, order: npt.NDArray[np.integer]) -> "_Rows":
        return _Rows(self.table, self.columns, self.places[order], self.ops[order], self.tuples.take(order))


class ChangeDecoder:
    """Takes the messages of a stream, all of them and in order, and remembers what later ones build upon.

    ``after``: a transaction that ended by there is left out.
    """

    def __init__(self, relations: Relations, after: int) -> None:
        self._relations = relations
        self._after = after
        # Of the transaction that is open: where it lies, when it was committed, how many changes were given.
        self._position = 0
        self._commit_at = 0
        self._given = 0

    def decode(self, messages: Messages, end: int) -> Iterator[TableChanges]:
        """Of those before ``end``. A table has one batch, but where its columns become others another one begins."""
        announced = list(messages.relations(end))
        resolved = self._relations.resolve([message for _, message in announced])
        begin = 0
        for (place, _), relation in zip(announced, resolved, strict=True):
            if self._relations.differs(relation):
                yield from self._between(messages, begin, place)
                begin = place
            self._relations.learn(relation)
        yield from self._between(messages, begin, end)

    def _between(self, messages: Messages, begin: int, end: int) -> Iterator[TableChanges]:
        """While each relation is the same."""
        transactions = self._transactions(messages, begin, end)
        # A commit's record ends behind its position, and positions given are such ends.
        wanted = transactions.positions[transactions.number] >= self._after
        places = np.flatnonzero(_CHANGES[messages.kinds[begin:end]] & wanted) + begin
        truncates = np.flatnonzero((messages.kinds[begin:end] == pgoutput.TRUNCATE) & wanted) + begin
        tables = [_merged(parts) for parts in self._parts(messages, places, truncates).values()]
        ordinals = self._ordinals(tables, transactions, begin)
        for rows, ordinal in zip(tables, ordinals, strict=True):
            number = transactions.number[rows.places - begin]
            yield _table_changes(
                messages, rows, transactions.positions[number], transactions.commits_at[number], ordinal
            )

    def _transactions(self, messages: Messages, begin: int, end: int) -> _Transactions:
        starts = messages.kinds[begin:end] == pgoutput.BEGIN
        begins = np.flatnonzero(starts)
        at = messages.starts[begin:end][begins]
        return _Transactions(
            np.cumsum(starts),
            np.concatenate([[self._position], messages.longs(at + 1)]),
            np.concatenate([[self._commit_at], messages.longs(at + 9) + pgoutput.POSTGRES_EPOCH_MICROSECONDS]),
            np.concatenate([[0], begins]),
        )

    def _parts(self, messages: Messages, places: Numbers, truncates: Numbers) -> dict[str, list[_Rows]]:
        """By table. Several relations may have changes of one."""
        parts: dict[str, list[_Rows]] = defaultdict(list)
        oids = messages.words(messages.starts[places] + 1)
        for oid in pa.array(oids).unique().to_pylist():
            for width, target in self._relations.targets(oid):
                parts[target.table.table_id].append(_rows(messages, width, target, places[oids == oid]))
        for place in truncates:
            for oid in messages.truncated(int(place)):
                for _, target in self._relations.targets(oid):
                    if target.whole:
                        parts[target.table.table_id].append(_truncate(messages, target, int(place)))
        return parts

    def _ordinals(self, tables: Sequence[_Rows], transactions: _Transactions, begin: int) -> list[Numbers]:
        """The place of each change in its transaction."""
        taken = np.zeros(len(transactions.number) + 1, np.int64)
        within = []
        for rows in tables:
            at = rows.places - begin
            within.append(taken[at] + (rows.ops == Op.MOVE))
            np.add.at(taken, at, 1)
        before = np.cumsum(taken) - taken
        first = before[transactions.begins]
        first[0] -= self._given
        found = [
            before[rows.places - begin] + offset - first[transactions.number[rows.places - begin]]
            for rows, offset in zip(tables, within, strict=True)
        ]
        self._given = int(before[-1] - first[-1])
        self._position = int(transactions.positions[-1])
        self._commit_at = int(transactions.commits_at[-1])
        return found


def _rows(messages: Messages, width: int, target: Target, places: Numbers) -> _Rows:
    """Inserts, updates and deletes of a relation of so many columns. An update of the key takes two rows."""
    wanted = [each.place for each in target.columns]
    starts = messages.starts[places]
    kinds = messages.kinds[places]
    # Kind, relation, N or K or O, number of columns, columns.
    markers = messages.bytes[starts + 5]
    first = starts + 8
    updated = np.flatnonzero((kinds == pgoutput.UPDATE) & (markers != pgoutput.NEW))
    old = messages.walk(first[updated], width, wanted) if len(updated) else None
    if old is not None:
        first[updated] = old.ends + 3
    tuples = messages.walk(first, width, wanted)
    rows = _Rows(target.table, target.columns, places, _OPS[kinds], tuples)
    if old is None:
        return rows
    tuples.fill(updated, old)
    whole = markers[updated] == pgoutput.OLD
    return _with_moves(rows, updated, old, _moved(messages, target, old, tuples.take(updated), whole))


def _with_moves(rows: _Rows, updated: Numbers, old: Tuples, moved: Mask) -> _Rows:
    if not moved.any():
        return rows
    at = updated[moved]
    ops = rows.ops.copy()
    ops[at] = Op.MOVE
    return _Rows(
        rows.table,
        rows.columns,
        np.insert(rows.places, at, rows.places[at]),
        np.insert(ops, at, Op.DELETE),
        rows.tuples.insert(at, old.take(np.flatnonzero(moved))),
    )


def _moved(messages: Messages, target: Target, old: Tuples, new: Tuples, whole: Mask) -> Mask:
    """Which updates changed the key. Old tuples come without a change of it as well.

    ``whole``: the old tuple has all columns; of others a null was not sent, which says that it is as it was.
    """
    moved = np.zeros(len(whole), np.bool_)
    for number, logged in enumerate(target.columns):
        if logged.name not in target.table.key:
            continue
        known = (new.kinds[number] != pgoutput.UNCHANGED) & (whole | (old.kinds[number] == pgoutput.TEXT))
        before, after = (messages.texts(tuples, number, logged.prefix) for tuples in (old, new))
        suspects = np.flatnonzero(known & _differ(before, after))
        if len(suspects):
            # Texts that differ may still be one value.
            chosen = pa.array(suspects)
            both = decode(logged, pa.concat_arrays([before.take(chosen), after.take(chosen)])).values
            moved[suspects] |= _differ(both[: len(suspects)], both[len(suspects) :])
    return moved


def _differ(left: pa.Array, right: pa.Array) -> Mask:
    """As IS DISTINCT FROM."""
    differ: Mask = pc.fill_null(pc.not_equal(left, right), False).to_numpy(zero_copy_only=False)
    one_null: Mask = pc.xor(left.is_null(), right.is_null()).to_numpy(zero_copy_only=False)
    return differ | one_null


def _truncate(messages: Messages, target: Target, place: int) -> _Rows:
    nothing = Tuples.empty(len(target.columns), 1)
    nothing.begins[:] = messages.starts[place]
    return _Rows(target.table, target.columns, np.array([place]), np.array([Op.TRUNCATE], np.int8), nothing)


def _merged(parts: Sequence[_Rows]) -> _Rows:
    """Of one table, in the order of the log, and of the columns in the order of the first."""
    first = parts[0]
    if len(parts) == 1:
        return first
    names = [column.name for column in first.columns]
    tuples = [first.tuples]
    for part in parts[1:]:
        order = {column.name: number for number, column in enumerate(part.columns)}
        places = [order[name] for name in names]
        tuples.append(
            Tuples(part.tuples.kinds[places], part.tuples.begins[places], part.tuples.lengths[places], part.tuples.ends)
        )
    together = _Rows(
        first.table,
        first.columns,
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.ops for part in parts]),
        concatenated(tuples),
    )
    return together.take(np.argsort(together.places, kind="stable"))


def _table_changes(
    messages: Messages, rows: _Rows, positions: Numbers, commits_at: Numbers, ordinals: Numbers
) -> TableChanges:
    decoded = [
        decode(column, messages.texts(rows.tuples, number, column.prefix)) for number, column in enumerate(rows.columns)
    ]
    names = [column.name for column in rows.columns]
    arrays = [each.values for each in decoded]
    marks = [
        pa.array(positions),
        pa.array(ordinals),
        pa.array(rows.ops),
        pa.array(commits_at).view(MARKS.field("commit_at").type),
        _unchanged(rows.tuples),
    ]
    return TableChanges(
        rows.table.table_id,
        pa.RecordBatch.from_arrays(arrays, names=names),
        pa.RecordBatch.from_arrays(marks, schema=MARKS),
        _warnings(names, decoded, rows.ops != Op.DELETE),
    )


def _warnings(names: Sequence[str], decoded: Sequence[Decoded], remains: Mask) -> tuple[ValueWarning, ...]:
    """Of a row that goes, what its values became is of no account."""
    counted = [
        ValueWarning(name, reason, int(np.count_nonzero(mask & remains)))
        for name, each in zip(names, decoded, strict=True)
        for reason, mask in each.nulled.items()
    ]
    return tuple(each for each in counted if each.count)


def _unchanged(tuples: Tuples) -> pa.Array:
    """A bit for each column, in the rows that have such a column."""
    masks = tuples.kinds == pgoutput.UNCHANGED
    some: Mask = masks.any(axis=0)
    count = len(some)
    if not some.any():
        return pa.nulls(count, pa.binary())
    bits = np.packbits(masks[:, some], axis=0, bitorder="little")
    ends = np.zeros(count + 1, np.int32)
    np.cumsum(some * len(bits), out=ends[1:])
    data = pa.py_buffer(np.ascontiguousarray(bits.T))
    return pa.Array.from_buffers(pa.binary(), count, [bitmap(some), pa.py_buffer(ends), data])
