"""A source whose changes are followed, and the table that they make when they are applied."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from connectors.capture import MARKS, Boundary, CaptureRequest, CaptureSetup, FollowedTable, Op, TableChanges
from connectors.postgres.replication.stream import PostgresChangeStream, follow
from tests.connectors.source import Source
from tests.connectors.type_cases import exact

CAPTURE_ID = "test-capture"
PUBLICATION = "test publication"


@dataclass
class Change:
    """One change. ``row`` without what is unchanged."""

    table: str
    op: Op
    position: int
    ordinal: int
    row: dict[str, Any]
    unchanged: tuple[str, ...] = ()


@dataclass
class Followed:
    """A database with a slot and a publication of our own."""

    source: Source
    slot: str
    tables: Sequence[FollowedTable] = ()

    @classmethod
    @contextmanager
    def begin(
        cls, source: Source, *tables: tuple[str, str], publication: str | None = None, two_phase: bool = False
    ) -> Iterator["Followed"]:
        """``tables``: each by its name and its key, columns parted by commas. ``publication``: what is in it."""
        followed = [FollowedTable(name, name, tuple(key.split(","))) for name, key in tables]
        names = publication or "TABLE " + ", ".join(name for name, _ in tables)
        source.execute(f'CREATE PUBLICATION "{PUBLICATION}" FOR {names}')
        slot = f"slot_{source.database}"
        source.rows(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput', false, {two_phase})")
        try:
            yield cls(source, slot, followed)
        finally:
            source.execute(
                "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots "
                f"WHERE slot_name = '{slot}' AND active"
            )
            source.execute(f"SELECT pg_drop_replication_slot('{slot}')")

    @property
    def setup(self) -> CaptureSetup:
        return CaptureSetup(self.slot, PUBLICATION)

    @property
    def confirmed(self) -> int:
        ((position,),) = self.source.rows(
            f"SELECT (confirmed_flush_lsn - '0/0')::int8 FROM pg_replication_slots WHERE slot_name = '{self.slot}'"
        )
        return int(position)

    @contextmanager
    def open(self, after: int | None = None, **config: Any) -> Iterator[PostgresChangeStream]:
        request = CaptureRequest(self.setup, self.tables, self.confirmed if after is None else after, CAPTURE_ID)
        with follow(self.source.config(**config), request) as stream:
            yield stream

    def collect(self, after: int | None = None, **config: Any) -> "Collected":
        """All that was committed by now."""
        with self.open(after, **config) as stream:
            return collect(stream)


@dataclass
class Collected:
    batches: list[TableChanges] = field(default_factory=list)
    boundaries: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.boundaries[-1]

    def changes(self, table: str | None = None) -> list[Change]:
        """In the order of the log."""
        found = [change for batch in self.batches if table in (None, batch.table_id) for change in _changes(batch)]
        places = [(change.position, change.ordinal) for change in found]
        assert len(set(places)) == len(places)
        if table is not None:
            assert places == sorted(places)
        return sorted(found, key=lambda change: (change.position, change.ordinal))

    def story(self, table: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Just what was done, and the values that it says."""
        return [(change.op.name, change.row) for change in self.changes(table)]

    def warnings(self) -> dict[tuple[str, str], int]:
        counted: Counter[tuple[str, str]] = Counter()
        for batch in self.batches:
            for each in batch.warnings:
                counted[each.column, each.reason] += each.count
        return dict(counted)

    def types(self, table: str) -> dict[str, pa.DataType]:
        (schema,) = {batch.rows.schema for batch in self.batches if batch.table_id == table}
        return {column.name: column.type for column in schema}


def collect(stream: PostgresChangeStream, until: Callable[[Boundary], bool] | None = None) -> Collected:
    """Up to the stream's target. Everything that the contract promises of the pieces is checked."""
    found, done = Collected(), until or (lambda boundary: boundary.position >= stream.target)
    for item in stream.changes():
        if isinstance(item, TableChanges):
            check(item, found.boundaries[-1] if found.boundaries else 0)
            found.batches.append(item)
            continue
        assert found.boundaries[-1:] <= [item.position]
        assert all(last_position(batch) < item.position for batch in found.batches)
        found.boundaries.append(item.position)
        if done(item):
            return found
    raise AssertionError("a stream has no end")


def check(batch: TableChanges, boundary: int) -> None:
    assert batch.marks.schema == MARKS
    assert batch.marks.num_rows == batch.rows.num_rows > 0
    batch.marks.validate(full=True)
    batch.rows.validate(full=True)
    assert min(batch.marks["position"].to_pylist()) >= boundary


def last_position(batch: TableChanges) -> int:
    return int(batch.marks["position"][-1].as_py())


def _changes(batch: TableChanges) -> Iterator[Change]:
    names = batch.rows.schema.names
    for row, mark in zip(batch.rows.to_pylist(), batch.marks.to_pylist(), strict=True):
        mask = mark["unchanged"] or b""
        unchanged = tuple(name for i, name in enumerate(names) if i // 8 < len(mask) and mask[i // 8] >> i % 8 & 1)
        assert all(row[name] is None for name in unchanged)
        op = Op(mark["op"])
        if op is Op.TRUNCATE:
            assert not any(row.values())
        values = {} if op is Op.TRUNCATE else {name: exact(row[name]) for name in names if name not in unchanged}
        yield Change(batch.table_id, op, mark["position"], mark["ordinal"], values, unchanged)


def applied(
    changes: Sequence[Change], key: tuple[str, ...], begin: dict[Any, dict[str, Any]] | None = None
) -> dict[Any, dict[str, Any]]:
    """The rows by their keys, once all has been done."""
    rows = dict(begin or {})
    gone: dict[str, Any] = {}
    for change in changes:
        here = tuple(change.row.get(name) for name in key)
        match change.op:
            case Op.TRUNCATE:
                rows.clear()
            case Op.DELETE:
                gone = rows.pop(here)
            case Op.INSERT:
                assert here not in rows
                rows[here] = change.row
            case Op.UPDATE:
                rows[here] = rows[here] | change.row
            case Op.MOVE:
                assert here not in rows
                rows[here] = gone | change.row
    return rows
