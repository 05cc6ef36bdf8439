"""Random transactions, cut into random entries and batches: the table equals a model of the source after each batch."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random as Chance
from typing import Any

import pyarrow as pa
import pytest

from lake.errors import MissingRowError
from lake.marks import Op
from lake.storage import LakeStore
from tests.lake.follower import UNCHANGED, Change, Follower, committed

KEYS = 9
COLUMNS = {"id": pa.int64(), "name": pa.string(), "size": pa.int32(), "body": pa.string(), "more": pa.binary()}
ADDED = [("extra", pa.string()), ("count", pa.int16()), ("last", pa.decimal128(10, 2))]
STORED_LATE = ("body", "more")
"""Columns of which values are not sent where they are left as they were."""

Row = dict[str, Any]
Step = Callable[[], None]


@dataclass
class Deleted:
    row: Row
    lsn: int


@dataclass
class Source:
    """``rows`` by key, with the position of their last change; ``log`` is of whole transactions."""

    chance: Chance
    deferred: bool
    """Keys need to be unique at the end of a transaction only."""
    evolving: bool = False
    truncating: bool = True
    columns: dict[str, pa.DataType] = field(default_factory=lambda: dict(COLUMNS))
    rows: dict[int, tuple[Row, int]] = field(default_factory=dict)
    deleted: dict[int, Deleted] = field(default_factory=dict)
    log: list[list[Change]] = field(default_factory=list)
    position: int = 0
    former: set[str] = field(default_factory=set)
    _changes: list[Change] = field(default_factory=list)
    _counter: int = 0

    def value(self, kind: pa.DataType) -> Any:
        self._counter += 1
        if self.chance.random() < 0.1:
            return None
        if pa.types.is_string(kind):
            return f"v{self._counter}"
        if pa.types.is_binary(kind):
            return f"b{self._counter}".encode()
        return self._counter

    def new_row(self, key: int) -> Row:
        return {name: key if name == "id" else self.value(kind) for name, kind in self.columns.items()}

    def tell(self, op: Op, row: Row) -> None:
        schema = pa.schema(list(self.columns.items()))
        self._changes.append(Change(self.position, len(self._changes), op, row, schema))

    def transact(self) -> None:
        self.position += self.chance.randint(1, 3)
        self._changes = []
        for _ in range(self.chance.choice([1, 1, 2, 3, 6])):
            self.chance.choices(*zip(*self.steps(), strict=True))[0]()
        self.log.append(self._changes)

    def steps(self) -> list[tuple[Step, float]]:
        return [
            (self.insert, 4),
            (self.update, 6),
            (self.delete, 2),
            (self.move, 3),
            (self.rotate, 1.5),
            (self.truncate, 0.15 if self.truncating else 0),
            (self.evolve, 0.3 if self.evolving else 0),
        ]

    def free(self) -> list[int]:
        return [key for key in range(KEYS) if key not in self.rows]

    def insert(self) -> None:
        if not self.free():
            return
        key = self.chance.choice(self.free())
        row = self.new_row(key)
        self.tell(Op.INSERT, row)
        self.put(key, row)

    def put(self, key: int, row: Row) -> None:
        self.rows[key] = (row, self.position)
        self.deleted.pop(key, None)

    def drop(self, key: int) -> Row:
        row, _ = self.rows.pop(key)
        self.deleted[key] = Deleted(row, self.position)
        return row

    def changed(self, row: Row) -> tuple[Row, Row]:
        """What it becomes, and what is sent of it."""
        after = {**row, "name": self.value(pa.string())}
        sent = dict(after)
        for name in STORED_LATE:
            if name in row and self.chance.random() < 0.6:
                sent[name] = UNCHANGED if row[name] is not None else None
            elif name in row:
                after[name] = sent[name] = self.value(self.columns[name])
        return after, sent

    def update(self) -> None:
        if self.rows:
            key = self.chance.choice(sorted(self.rows))
            after, sent = self.changed(self.rows[key][0])
            self.tell(Op.UPDATE, sent)
            self.put(key, after)

    def delete(self) -> None:
        if self.rows:
            key = self.chance.choice(sorted(self.rows))
            self.tell(Op.DELETE, {"id": key})
            self.drop(key)

    def move(self) -> None:
        if self.rows and self.free():
            self.go(self.chance.choice(sorted(self.rows)), self.chance.choice(self.free()))

    def go(self, old: int, new: int) -> None:
        after, sent = self.changed(self.rows[old][0])
        self.tell(Op.DELETE, {"id": old})
        self.drop(old)
        self.tell(Op.MOVE, {**sent, "id": new})
        self.put(new, {**after, "id": new})

    def rotate(self) -> None:
        """Some rows take each other's keys."""
        if len(self.rows) < 3:
            return
        keys = self.chance.sample(sorted(self.rows), self.chance.choice([2, 3]))
        if not self.deferred:
            if not self.free():
                return
            spare = self.chance.choice(self.free())
            for old, new in zip([keys[-1], *keys[-2::-1], spare], [spare, *keys[:0:-1], keys[0]], strict=True):
                self.go(old, new)
            return
        before = {key: self.rows[key][0] for key in keys}
        for old, new in zip(keys, [*keys[1:], keys[0]], strict=True):
            after, sent = self.changed(before[old])
            self.tell(Op.DELETE, {"id": old})
            self.tell(Op.MOVE, {**sent, "id": new})
            self.put(new, {**after, "id": new})

    def truncate(self) -> None:
        self.tell(Op.TRUNCATE, {})
        for key in list(self.rows):
            self.drop(key)

    def evolve(self) -> None:
        absent = [(name, kind) for name, kind in ADDED if name not in self.columns and name not in self.former]
        choice = self.chance.random()
        if choice < 0.5 and absent:
            name, kind = self.chance.choice(absent)
            self.columns[name] = kind
            self.rows = {key: ({**row, name: None}, at) for key, (row, at) in self.rows.items()}
        elif choice < 0.7:
            self.columns["size"] = pa.int64()
        elif choice < 0.8 and (extra := [name for name in self.columns if name not in COLUMNS]):
            # Its values stay where no change comes to the row: a column that came back would have them still.
            self.former.add(self.chance.choice(extra))
            self.columns = {name: kind for name, kind in self.columns.items() if name not in self.former}
            self.rows = {key: ({n: row[n] for n in self.columns}, at) for key, (row, at) in self.rows.items()}


def expected(source: Source, soft: bool) -> dict[int, Row]:
    """The table's rows by key."""
    there = {"_sync_deleted": False, "_sync_deleted_at": None} if soft else {}
    found = {key: {**row, "_sync_lsn": lsn, **there} for key, (row, lsn) in source.rows.items()}
    for key, gone in source.deleted.items() if soft else ():
        marks = {"_sync_lsn": gone.lsn, "_sync_deleted": True, "_sync_deleted_at": committed(gone.lsn)}
        found[key] = {**{name: gone.row.get(name) for name in source.columns}, **marks}
    return found


def actual(follower: Follower, source: Source) -> dict[int, Row]:
    """Of the source's columns as they are now; one that the table lacks is null."""
    own = ["_sync_lsn", *(("_sync_deleted", "_sync_deleted_at") if follower.soft_deletes else ())]
    rows = follower.read().to_dicts()
    found = {row["id"]: {name: row.get(name) for name in (*source.columns, *own)} for row in rows}
    assert len(found) == len(rows)
    return found


def drive(follower: Follower, source: Source, rounds: int) -> None:
    chance = source.chance
    for _ in range(chance.randint(0, 5)):
        source.insert()
    follower.load([row for row, _ in source.rows.values()], pa.schema(list(source.columns.items())))
    source.rows = {key: (row, 0) for key, (row, _) in source.rows.items()}
    for _ in range(rounds):
        for _ in range(chance.randint(1, 3)):
            first = len(source.log)
            for _ in range(chance.choice([1, 1, 2, 4])):
                source.transact()
            follower.capture([c for one in source.log[first:] for c in one], source.position)
        follower.apply()
        assert actual(follower, source) == expected(source, follower.soft_deletes)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_any_changes(folder_store: LakeStore, seed: int, deferred: bool, soft: bool) -> None:
    source = Source(Chance(seed), deferred)  # noqa: S311
    drive(Follower(folder_store, soft_deletes=soft), source, 8)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_any_changes_and_columns_on_each_kind_of_store(store: LakeStore, seed: int, soft: bool) -> None:
    source = Source(Chance(100 + seed), deferred=True, evolving=True)  # noqa: S311
    drive(Follower(store, soft_deletes=soft), source, 6)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_any_changes_while_the_table_is_read(folder_store: LakeStore, seed: int, soft: bool) -> None:
    """The read shows the source as it was somewhere behind the place in the log from which changes are folded."""
    chance = Chance(1000 + seed)  # noqa: S311
    source = Source(chance, deferred=False)
    follower = Follower(folder_store, soft_deletes=soft)
    for _ in range(5):
        source.transact()
    follower.capture([c for one in source.log for c in one], source.position)
    mark = replace(follower.start(), sequence=1, position=source.position)
    read_at = chance.randint(0, 6)
    snapshot: list[Row] = []
    for step in range(8):
        if step == read_at:
            snapshot = [row for row, _ in source.rows.values()]
            horizon = source.position
        source.transact()
        follower.capture(source.log[-1] or [], source.position)
    follower.load(snapshot, pa.schema(list(source.columns.items())), replace(mark, horizon=max(horizon, 1)))
    try:
        while not (
            done := follower.apply(follower.mark().sequence + chance.randint(1, 3), overlap=True)
        ).position.loaded:
            assert done.position.log is not None
    except MissingRowError:
        # Nothing tells which row was read where one took another's key meanwhile: then it must be read anew.
        return
    follower.apply()
    assert alive(actual(follower, source)) == alive(expected(source, soft))


def alive(rows: dict[int, Row]) -> dict[int, Row]:
    """Without what says when: a row that was read already has its place in the log from the read."""
    return {
        key: {name: value for name, value in row.items() if not name.startswith("_sync_")}
        for key, row in rows.items()
        if not row.get("_sync_deleted")
    }
