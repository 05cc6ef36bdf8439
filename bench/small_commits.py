"""A table that gets very many small incremental commits: does it stay quick to read and to write?

``python -m bench.small_commits [--commits 10000] [--s3]``: each commit is what a run of the platform does with the lake
(stage, publish, count the debt, maintain where it is due), with 80 rows of which half replace recent ones, and now and
then some that replace old ones. Ten times on the way, after a sweep as a day later, it takes the figures and compares
the table, as DuckDB and Polars read it, with what was written; ends with 1 where they
differ or the table is not compact.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from lake.compaction import FILES_PER_TIER
from lake.facts import CHECKPOINT_COMMITS, facts
from lake.maintenance import maintain
from lake.manifest import RunRef, save
from lake.publish import PublishPlan, publish
from lake.staging import CursorSpec, stage
from lake.storage import LakeStore
from lake.sweep import sweep
from lake.table import open_table
from local.object_store import PORT_NAMES, Credentials, ObjectStore
from local.ports import choose_ports

TABLE = "bench/events"
SCHEMA = pa.schema([("id", pa.int64()), ("version", pa.int64()), ("payload", pa.string())])
NEW, RECENT, OLD = 40, 40, 20
OLD_EVERY = 20
MOST_FILES = 3 * FILES_PER_TIER


@dataclass
class SmallCommits:
    """``written`` is what the table must hold: the version of each id."""

    store: LakeStore
    written: dict[int, int] = field(default_factory=dict)
    commits: int = 0
    seconds: list[float] = field(default_factory=list)
    maintained_seconds: list[float] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311

    def commit(self) -> None:
        rows = self._rows()
        began = time.perf_counter()
        self.commits += 1
        run = RunRef(f"run{self.commits}", self.commits, 1)
        base = open_table(self.store, TABLE).position
        cursor = CursorSpec("version", lambda value: str(value.as_py()), int(base.cursor) if base.cursor else None)
        staged = stage(self.store, TABLE, run, rows.to_batches(), SCHEMA, cursor=cursor, primary_key=("id",))
        plan = PublishPlan(TABLE, "incremental", base, run, primary_key=("id",), cursor_field="version")
        publish(self.store, save(self.store, TABLE, staged), plan)
        published = time.perf_counter()
        if facts(self.store, TABLE).debt.is_due:
            maintain(self.store, TABLE, run)
            self.maintained_seconds.append(time.perf_counter() - published)
        self.seconds.append(time.perf_counter() - began)

    def _rows(self) -> pa.Table:
        """Each row a version that is greater than all before, so that it is fresh to the cursor."""
        known = len(self.written)
        recent = range(max(0, known - 500), known)
        ids = {*range(known, known + NEW), *self.chance.sample(recent, min(RECENT, len(recent)))}
        if self.commits % OLD_EVERY == 0:
            ids |= set(self.chance.sample(range(known), min(OLD, known)))
        versions = {id: self.commits * 1000 + number for number, id in enumerate(sorted(ids))}
        self.written |= versions
        payload = [f"{id} {version} {'x' * (version % 50)}" for id, version in versions.items()]
        return pa.table([list(versions), list(versions.values()), payload], schema=SCHEMA)

    def sweep_a_day_later(self) -> None:
        sweep(self.store, TABLE, set(), datetime.now(UTC) + timedelta(hours=1))

    def is_right(self) -> bool:
        """As DuckDB and Polars read it."""
        expected = pl.DataFrame({"id": list(self.written), "version": list(self.written.values())}).sort("id")
        uri, options = self.store.uri(TABLE), self.store.storage_options()
        theirs = pl.read_delta(uri, storage_options=options).select("id", "version").sort("id")
        dataset = DeltaTable(uri, storage_options=options).to_pyarrow_dataset()
        with duckdb.connect() as connection:
            connection.register("events", dataset)
            found = connection.sql("select id, version from events order by id").pl()
        return expected.equals(theirs) and expected.equals(found)

    def figures(self) -> "Figures":
        table = open_table(self.store, TABLE)
        began = time.perf_counter()
        assert table.delta is not None
        DeltaTable(
            self.store.uri(TABLE), storage_options=self.store.storage_options()
        ).to_pyarrow_dataset().count_rows()
        opened = time.perf_counter() - began
        lying = [stored.path for stored in self.store.list(f"{TABLE}/g1")]
        seconds, self.seconds = self.seconds, []
        maintained, self.maintained_seconds = self.maintained_seconds, []
        return Figures(
            commits=self.commits,
            files=len(table.snapshot().files),
            commits_since_checkpoint=facts(self.store, TABLE).debt.commits,
            data_files=len(lying),
            median_ms=statistics.median(seconds) * 1000,
            most_ms=max(seconds) * 1000,
            maintenance_share=sum(maintained) / sum(seconds),
            open_ms=opened * 1000,
        )


@dataclass(frozen=True)
class Figures:
    commits: int
    files: int
    commits_since_checkpoint: int
    data_files: int
    """That lie in the store, also those that the table refers to no longer."""
    median_ms: float
    most_ms: float
    maintenance_share: float
    open_ms: float
    """To open the table and count its rows."""

    @property
    def is_compact(self) -> bool:
        """Few small files, a short log to read, nothing left lying."""
        few = self.files < MOST_FILES and self.commits_since_checkpoint <= CHECKPOINT_COMMITS
        return few and self.data_files == self.files


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.small_commits", description=__doc__)
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--s3", action="store_true", help="on the embedded object store instead of a folder")
    arguments = parser.parse_args()
    columns = (
        "commits",
        "files",
        "log tail",
        "stored files",
        "commit ms",
        "most ms",
        "maintenance",
        "open ms",
        "table",
    )
    print(" ".join(f"{name:>12}" for name in columns))
    right = True
    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as folder, _store(Path(folder), arguments.s3) as store:
        work = SmallCommits(store)
        for number in range(1, arguments.commits + 1):
            work.commit()
            if number % max(arguments.commits // 10, 1) == 0:
                work.sweep_a_day_later()
                right &= _report(work)
    sys.exit(int(not right))


def _report(work: SmallCommits) -> bool:
    one = work.figures()
    verdict = "right" if work.is_right() else "WRONG"
    if not one.is_compact:
        verdict = "CROWDED"
    figures = (one.commits, one.files, one.commits_since_checkpoint, one.data_files, one.median_ms, one.most_ms)
    shown = [f"{figure:,.0f}" for figure in figures] + [f"{one.maintenance_share:.0%}", f"{one.open_ms:.0f}", verdict]
    print(" ".join(f"{cell:>12}" for cell in shown), flush=True)
    return verdict == "right"


@contextmanager
def _store(folder: Path, s3: bool) -> Iterator[LakeStore]:
    if not s3:
        yield LakeStore(f"file://{folder}/lake")
        return
    keys = Credentials("SYNCLINEBENCH", "bench-secret-access-key")
    server = ObjectStore(folder, choose_ports(PORT_NAMES), keys)
    process = server.process()
    process.start()
    try:
        process.wait_ready()
        store = LakeStore(f"s3://{server.bucket}", server.endpoint, keys.access_key_id, keys.secret_access_key)
        store.ensure_bucket()
        yield store
    finally:
        process.stop()
        server.remove_sockets()


if __name__ == "__main__":
    main()
