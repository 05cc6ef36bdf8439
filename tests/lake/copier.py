"""What a run does with the lake, step by step, so that a test can stop, repeat or overtake it anywhere."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import pyarrow as pa

from lake.facts import facts
from lake.manifest import RunRef, WholeGroups, load, save
from lake.position import EMPTY, Position
from lake.publish import Published, PublishPlan, publish, swap_in
from lake.staging import CursorSpec, stage
from lake.storage import LakeStore
from lake.table import open_table
from tests.lake.deletes import with_deletes

TABLE = "1/postgres/orders"
SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.int64())])

Rows = list[tuple[Any, ...]]


def orders(rows: Rows, schema: pa.Schema = SCHEMA) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in schema]
    return pa.table([pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)], schema=schema)


@dataclass(frozen=True)
class Planned:
    """A staged batch and what it was planned as: ``publish`` may be tried any number of times."""

    store: LakeStore
    manifest: str
    """Its path."""
    plan: PublishPlan

    def with_deletes(self, keys: pa.Table) -> "Planned":
        key = self.plan.primary_key or keys.column_names
        deleting = with_deletes(self.store, self.plan.table_path, self.plan.run, self.manifest, keys.to_batches(), key)
        return replace(self, manifest=deleting)

    def with_groups(self, column: str, *values: str) -> "Planned":
        """The batch has all rows with these values of a key column."""
        whole = replace(load(self.store, self.manifest), whole=WholeGroups(column, values))
        return replace(self, manifest=save(self.store, self.plan.table_path, whole))

    def publish(self) -> Published:
        return publish(self.store, self.manifest, self.plan)


@dataclass
class Copier:
    """Runs that copy ``orders`` (key ``id``, cursor ``at``)."""

    store: LakeStore
    table: str = TABLE
    primary_key: tuple[str, ...] = ("id",)
    cursor_field: str = "at"
    decode: Callable[[str], Any] = int
    fence: int = 0
    generation: int = 1

    def new_run(self, name: str | None = None) -> RunRef:
        self.fence += 1
        return RunRef(name or f"run{self.fence}", self.fence, self.generation)

    def plan(
        self,
        mode: str,
        rows: pa.Table,
        run: RunRef | None = None,
        *,
        batch: int = 0,
        base: Position | None = None,
        last: bool = True,
        rebuild: bool = False,
        keyed: bool | None = None,
    ) -> Planned:
        """Stage rows as a batch of a run that begins where the table stands."""
        run = run or self.new_run()
        has_cursor = mode != "full_refresh"
        keyed = mode == "incremental" if keyed is None else keyed
        root = f"{self.table}/g{run.generation}" if rebuild else self.table
        base = base or open_table(self.store, root).position
        edge = self.decode(base.cursor) if has_cursor and base.cursor is not None else None
        cursor = CursorSpec(self.cursor_field, lambda value: str(value.as_py()), edge) if has_cursor else None
        primary_key = self.primary_key if keyed else ()
        staged = stage(
            self.store,
            self.table,
            run,
            rows.to_batches(),
            rows.schema,
            batch=batch,
            cursor=cursor,
            primary_key=primary_key,
        )
        plan = PublishPlan(
            table_path=self.table,
            mode=mode,
            base=base,
            run=run,
            batch=batch,
            primary_key=primary_key,
            cursor_field=self.cursor_field if has_cursor else None,
            last_batch=last,
            rebuild=rebuild,
        )
        return Planned(self.store, save(self.store, self.table, staged), plan)

    def copy(self, mode: str, rows: Rows | pa.Table, **how: Any) -> Published:
        """A whole run of one batch. What publishing says of the table is what the table says."""
        planned = self.plan(mode, rows if isinstance(rows, pa.Table) else orders(rows), **how)
        published = planned.publish()
        assert published.facts == facts(self.store, planned.plan.root)
        return published

    def swap_in(self, run: RunRef, batch: int = 9) -> Published:
        plan = PublishPlan(self.table, "incremental", EMPTY, run, batch, self.primary_key, self.cursor_field)
        return swap_in(self.store, plan)

    def position(self) -> Position:
        return open_table(self.store, self.table).position

    def read(self, version: int | None = None) -> pl.DataFrame:
        """The table as an engine reads it that did not write it, without ``_sync_at``."""
        frame = pl.read_delta(self.store.uri(self.table), version=version, storage_options=self.store.storage_options())
        return frame.drop("_sync_at")

    def rows(self, version: int | None = None) -> Counter[tuple[Any, ...]]:
        return Counter(self.read(version).rows())


def newer(planned: Planned, **changes: Any) -> Planned:
    """The same staged batch, planned otherwise."""
    return replace(planned, plan=replace(planned.plan, **changes))
