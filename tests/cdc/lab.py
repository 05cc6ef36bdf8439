"""Capture, first load and apply of a real source into a real lake, one after the other, without a workflow around them.

What the steps of workflows do in their child processes is called here as it is.
"""

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from activities import jobs, reading
from activities.cdc.capturing import Round, capture
from activities.cdc.folding import FoldOrder, Report, TableChangedError, fold_changes
from activities.messages import Extracted, ExtractInput, Plan, PublishInput, Run, SwapInput
from connectors.capture import CaptureRequest, CaptureSetup, FollowedTable
from connectors.postgres.connector import PostgresConnector
from lake.changelog import ChangeLog, change_log_root
from lake.errors import MissingRowError
from lake.position import EMPTY, Position
from lake.storage import LakeStore
from lake.table import open_table
from tests.connectors.source import Source
from tests.connectors.type_cases import exact

POSTGRES = PostgresConnector()
PROJECT, SOURCE = 1, "11111111-1111-4111-8111-111111111111"
MOST_BATCHES = 100


def _silent(rows: int, size_bytes: int, expected: int | None = None, told: Any = None) -> None:
    pass


@dataclass
class Follower:
    """One table's copy."""

    run: Run
    generation: int = 1
    position: Position = EMPTY
    reads: int = 0
    """How often it was read from its source."""


@dataclass
class Lab:
    source: Source
    store: LakeStore
    setup: CaptureSetup
    config: Any
    start: int = 0
    followers: dict[str, Follower] = field(default_factory=dict)
    memory_bytes: int = 2**30

    @property
    def log(self) -> ChangeLog:
        return ChangeLog(self.store, self.root)

    @property
    def root(self) -> str:
        return change_log_root(PROJECT, SOURCE)

    def execute(self, statements: str) -> None:
        self.source.execute(statements)

    def follow(self, table: str, *key: str, **settings: Any) -> Follower:
        """From now on its changes are captured; ``sync`` reads it."""
        table_id = str(uuid.uuid5(uuid.NAMESPACE_OID, table))
        run = Run(
            project_id=PROJECT,
            source_id=SOURCE,
            schema_id=table_id,
            source_type="Postgres",
            schema_name=table,
            table_name=table,
            table_path=f"project_1/{table_id}",
            job_id=str(uuid.uuid4()),
            fence=1,
            generation=1,
            mode="cdc",
            primary_key=list(key or ("id",)),
            **settings,
        )
        self.followers[table] = Follower(run)
        return self.followers[table]

    def capture(self, report: Report = _silent) -> None:
        """Everything that is committed by now. ``report`` is told of each entry, and may cut the round off."""
        tables = [
            FollowedTable(each.run.schema_id, name, tuple(each.run.primary_key))
            for name, each in self.followers.items()
        ]
        POSTGRES.publish_tables(self.config, self.setup, [table.name for table in tables])
        request = CaptureRequest(self.setup, tables, after=0, capture_id=f"lab-{self.setup.slot}")
        head = self.log.head(1)
        capture(report, self.store, Round("Postgres", self.config, request, self.root, 1, self.start, head, False))

    def sync(self, table: str) -> Follower:
        """Apply what is captured; read the table first, or anew, where that must be."""
        follower = self.followers[table]
        try:
            if follower.position.loaded:
                self._fold(follower, rebuild=False)
            else:
                self._load(follower)
        except (TableChangedError, MissingRowError):
            follower.generation += 1
            self._load(follower)
        return follower

    def check(self, *tables: str, but: tuple[str, ...] = ()) -> None:
        """Capture and apply; then each table has in the lake what a read of it gives, to the bit."""
        self.capture()
        for table in tables or self.followers:
            self.sync(table)
            self.compare(table, but)

    def compare(self, table: str, but: tuple[str, ...] = ()) -> None:
        read = self.source.read(table).table
        names = [name for name in read.column_names if name not in but]
        expected, found = read.select(names), self.rows(table).select(names)
        assert found.schema.types == expected.schema.types, (found.schema, expected.schema)
        missing, extra = _counted(expected) - _counted(found), _counted(found) - _counted(expected)
        assert not missing, f"missing, e.g. {next(iter(missing))}"
        assert not extra, f"extra, e.g. {next(iter(extra))}"

    def rows(self, table: str) -> pa.Table:
        path = self.followers[table].run.table_path
        delta = DeltaTable(self.store.uri(path), storage_options=self.store.storage_options())
        found = delta.to_pyarrow_table()
        return found.cast(open_table(self.store, path).schema)

    def _load(self, follower: Follower) -> None:
        """Out of sight, then what was changed meanwhile, then in its place."""
        run = self._next_run(follower)
        while (mark := self.log.mark(1, 0, run.schema_id)) is None:
            self.capture()
        base = replace(EMPTY, mode="cdc", primary_key=tuple(run.primary_key), log=mark)
        follower.reads += 1
        plan = Plan(follower.generation, rebuild=True, base=base.as_dict())
        order = reading.Reading(ExtractInput(run, plan, 0), plan, self.config, "lab-read", 2**40)
        extracted = reading.extract(_silent, self.store, order).extracted
        follower.position = self._publish(run, plan, 0, extracted)
        self.while_reading()
        self.capture()
        self._fold(follower, rebuild=True)
        plan = replace(plan, base=follower.position.as_dict())
        follower.position = jobs.swap_in(_silent, self.store, SwapInput(follower.run, plan, MOST_BATCHES)).position

    def while_reading(self) -> None:
        """A test may have the source change here."""

    def _fold(self, follower: Follower, *, rebuild: bool) -> None:
        run = self._next_run(follower)
        for batch in range(1, MOST_BATCHES):
            plan = Plan(follower.generation, rebuild=rebuild, base=follower.position.as_dict())
            read = fold_changes(_silent, self.store, FoldOrder(ExtractInput(run, plan, batch), plan, self.memory_bytes))
            if read.published:
                follower.position = read.published.position
            elif not read.extracted.repeats:
                follower.position = self._publish(run, plan, batch, read.extracted)
            if not read.extracted.more:
                return
        raise AssertionError("The fold never comes to its end.")

    def _publish(self, run: Run, plan: Plan, batch: int, extracted: Extracted) -> Position:
        order = PublishInput(run, plan, batch, [extracted.manifest], not extracted.more)
        return jobs.publish(_silent, self.store, order).position

    def _next_run(self, follower: Follower) -> Run:
        run = follower.run
        follower.run = replace(run, job_id=str(uuid.uuid4()), fence=run.fence + 1, generation=follower.generation)
        return follower.run


@contextmanager
def open_lab(source: Source, store: LakeStore, *, schema: str | None = "public") -> Iterator[Lab]:
    """Nothing is left at the source."""
    config = source.config(schema=schema)
    slot = f"syncline_{uuid.uuid4().hex[:12]}"
    setup = CaptureSetup(slot, slot)
    lab = Lab(source, store, setup, config, start=POSTGRES.set_up_capture(config, setup, []))
    try:
        yield lab
    finally:
        POSTGRES.tear_down_capture(config, setup)


def _counted(table: pa.Table) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(map(exact, row.values())) for row in table.to_pylist())
