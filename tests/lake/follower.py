"""A source that keeps a log of its changes, as a Python model, and what capture and runs do with it in the lake."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from connectors.capture import MARKS as CAPTURE_MARKS
from lake.changelog import ChangeLog, Entry, Segment
from lake.duck import Budget
from lake.fold import Folding, fold
from lake.history import history_key, record
from lake.manifest import Manifest, RunRef
from lake.marks import Op
from lake.position import LogMark
from lake.publish import Published, PublishPlan, publish
from lake.staging import stage
from lake.storage import LakeStore
from lake.table import open_table

TABLE = "1/postgres/items"
ITEMS = pa.schema([("id", pa.int64()), ("name", pa.string()), ("body", pa.string())])
UNCHANGED = object()
"""In place of a value that an update leaves as it is and that is not sent."""
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)

Row = Mapping[str, Any]


def committed(position: int) -> datetime:
    return BEGUN + timedelta(seconds=position)


@dataclass(frozen=True)
class Change:
    position: int
    ordinal: int
    op: Op
    row: Row
    schema: pa.Schema = ITEMS


def transaction(position: int, *changes: tuple[Op, Row], schema: pa.Schema = ITEMS) -> list[Change]:
    return [Change(position, ordinal, op, row, schema) for ordinal, (op, row) in enumerate(changes)]


def insert(**row: Any) -> tuple[Op, Row]:
    return Op.INSERT, row


def update(**row: Any) -> tuple[Op, Row]:
    return Op.UPDATE, row


def delete(**key: Any) -> tuple[Op, Row]:
    return Op.DELETE, key


def truncate() -> tuple[Op, Row]:
    return Op.TRUNCATE, {}


def move(old: Row, **row: Any) -> tuple[tuple[Op, Row], tuple[Op, Row]]:
    return (Op.DELETE, old), (Op.MOVE, row)


def batches(changes: Sequence[Change]) -> Iterable[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """As a source gives them: cut where the columns change."""
    at = 0
    while at < len(changes):
        end = at
        while end < len(changes) and changes[end].schema == changes[at].schema:
            end += 1
        yield _batch(changes[at:end])
        at = end


def _batch(changes: Sequence[Change]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    schema = changes[0].schema
    columns = [
        pa.array([None if (value := one.row.get(c.name)) is UNCHANGED else value for one in changes], c.type)
        for c in schema
    ]
    marks = [
        [one.position for one in changes],
        [one.ordinal for one in changes],
        [int(one.op) for one in changes],
        [committed(one.position) for one in changes],
        [_mask(one) for one in changes],
    ]
    arrays = [pa.array(values, c.type) for values, c in zip(marks, CAPTURE_MARKS, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema), pa.RecordBatch.from_arrays(arrays, schema=CAPTURE_MARKS)


def _mask(change: Change) -> bytes | None:
    bits = [number for number, name in enumerate(change.schema.names) if change.row.get(name) is UNCHANGED]
    if not bits:
        return None
    mask = bytearray(-(-len(change.schema) // 8))
    for bit in bits:
        mask[bit // 8] |= 1 << bit % 8
    return bytes(mask)


@dataclass
class Follower:
    """The change log of a source, and the table ``items`` (key ``id``) that follows it."""

    store: LakeStore
    key: tuple[str, ...] = ("id",)
    soft_deletes: bool = False
    columns: tuple[str, ...] | None = None
    fence: int = 0
    rebuild: bool = False
    history: bool = False
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        self.log = ChangeLog(self.store, "1/_changes/abc")
        self.members = self.log.save_members({"items": {}})

    @property
    def root(self) -> str:
        return f"{TABLE}/g1" if self.rebuild else TABLE

    def capture(self, changes: Sequence[Change], position: int | None = None) -> Entry:
        """One entry of all these changes."""
        writer = self.log.writer(1, self.log.head(1) + 1)
        for rows, marks in batches(changes):
            writer.write("items", rows, marks)
        end = position if position is not None else changes[-1].position
        entry = writer.finish(end, self.members, committed(end))
        self.log.append(entry)
        return entry

    def plan(self, batch: int = 0, **also: Any) -> PublishPlan:
        self.fence += 1
        base = open_table(self.store, self.root).position
        run = RunRef(f"run{self.fence}", self.fence, 1)
        key = history_key(self.key) if self.history else self.key
        return PublishPlan(TABLE, "cdc", base, run, batch, key, rebuild=self.rebuild, **also)

    def load(self, rows: Sequence[Row], schema: pa.Schema = ITEMS, mark: LogMark | None = None) -> Published:
        """The snapshot: everything as of the entry that the mark names, or as of the beginning of the log."""
        plan = self.plan(keys_unique=True)
        mark = mark or self.start()
        table = pa.Table.from_pylist([dict(row) for row in rows], schema)
        staged = stage(
            self.store,
            TABLE,
            plan.run,
            table.to_batches(),
            schema,
            primary_key=self.key,
            log_position=mark.position,
            soft_deletes=self.soft_deletes,
            history=self.history,
            read_at=BEGUN,
        )
        return publish(self.store, replace(staged, log=mark), plan)

    def start(self) -> LogMark:
        """Before everything."""
        return LogMark(1, 0, 0, self.members)

    def mark(self) -> LogMark:
        log = open_table(self.store, self.root).position.log
        assert log is not None
        return log

    def fold(self, plan: PublishPlan, upto: int | None = None, overlap: bool = False) -> Manifest:
        stage_changes = record if self.history else fold
        return stage_changes(self.store, *self.order(plan, upto, overlap))

    def order(self, plan: PublishPlan, upto: int | None = None, overlap: bool = False) -> tuple[list[Segment], Folding]:
        """What lies behind the table, up to an entry."""
        mark = self.mark()
        segments: list[Segment] = []
        while upto is None or mark.sequence < upto:
            entry = self.log.entry(1, mark.sequence + 1)
            if entry is None:
                break
            segments.extend(entry.segments.get("items", ()))
            mark = replace(mark, sequence=entry.sequence, position=entry.position)
        folding = Folding(
            table_path=TABLE,
            root=self.root,
            run=plan.run,
            batch=plan.batch,
            primary_key=self.key,
            log=mark,
            columns=self.columns,
            soft_deletes=self.soft_deletes,
            overlap=overlap,
            budget=self.budget,
        )
        return segments, folding

    def apply(self, upto: int | None = None, overlap: bool = False, **also: Any) -> Published:
        plan = self.plan(**also)
        return publish(self.store, self.fold(plan, upto, overlap), plan, self.budget)

    def follow(self, *changes: Change) -> Published:
        self.capture(changes)
        return self.apply()

    def read(self) -> pl.DataFrame:
        return pl.read_delta(self.store.uri(self.root), storage_options=self.store.storage_options())

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """By key, without our own columns unless they are named."""
        frame = self.read()
        names = [name for name in frame.columns if not name.startswith("_sync_")]
        return frame.select(*names, *columns).sort(list(self.key)).rows()
