"""A day of 1-minute incremental runs, one right after the other: nothing may grow."""

import asyncio
import statistics
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from bench import data, postgres
from bench.contents import Comparison
from bench.ground import Ground
from bench.measure import Cost, tree_cpu_seconds, tree_memory_bytes
from bench.ours import Ours, by_cursor
from bench.report import Row, Section
from local.demo.client import Json

DATABASE = "soak"
INTERVALS = 12
ROWS = 1_000
_CHANGE = f"""
    UPDATE {{table}} SET amount = amount + 1, {data.CURSOR} = clock_timestamp()
        WHERE id IN (SELECT ({{run}} * 37 + n * 101) % {ROWS} + 1 FROM generate_series(1, 20) n);
    INSERT INTO {{table}} SELECT {ROWS} + {{run}}, 'new', {{run}}, clock_timestamp();
"""
_MOST_GROWTH = 1.5
"""Of the last interval against the second: in the first one caches fill."""


@dataclass(frozen=True)
class Interval:
    runs: int
    """So many in all by its end."""
    seconds: float
    """The median of its runs, from the call to the end."""
    cpu_seconds: float
    """Of the worker for one run."""
    worker_bytes: int
    live_files: int
    objects: int
    history_events: int
    temporal_bytes: int
    metadata_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.live_files} files in the table, {self.objects} objects below it, {self.history_events} events in a "
            f"run's history, Temporal {self.temporal_bytes / 1e6:.1f} MB, metadata {self.metadata_bytes / 1e6:.1f} MB"
        )


def soak(ground: Ground, runs: int) -> Section:
    """Twenty rows change and one is new before each run. Contents are compared at the end of each interval."""
    (table,) = data.many(ground.server, DATABASE, 1, ROWS)
    ours = Ours(ground, DATABASE)
    ours.create(by_cursor([table], "incremental", data.CURSOR))
    intervals: list[Interval] = []
    compared = Comparison()
    length = max(1, runs // INTERVALS)
    with ground.server.connect(DATABASE) as connection:
        for first in range(1, runs + 1, length):
            seconds, cpu_before = [], tree_cpu_seconds(ground.worker)
            for number in range(first, min(first + length, runs + 1)):
                connection.execute(_CHANGE.format(table=table, run=number).encode())
                spent, job = ours.reload_quietly(table)
                seconds.append(spent)
            cpu = (tree_cpu_seconds(ground.worker) - cpu_before) / len(seconds)
            intervals.append(_look(ground, ours, table, number, statistics.median(seconds), cpu, job))
            compared.add(postgres.table(connection, table).compare(ours.dataset(table)))
            ground.say(f"soak: {number} runs, {intervals[-1].seconds:.2f} s each, {intervals[-1]}")
    ours.remove()
    ground.server.drop_database(DATABASE)
    return Section(f"soak: {runs} incremental runs (rows are runs)", _rows(intervals, compared), per=1)


def _look(ground: Ground, ours: Ours, table: str, runs: int, seconds: float, cpu: float, job: Json) -> Interval:
    delta = ours.delta_table(table)
    return Interval(
        runs=runs,
        seconds=seconds,
        cpu_seconds=cpu,
        worker_bytes=tree_memory_bytes(ground.worker),
        live_files=len(delta.file_uris()),
        objects=len(ground.objects("lake")),
        history_events=asyncio.run(_history_events(ground, job)),
        temporal_bytes=_size(ground.home / "temporal", "temporal.db*"),
        metadata_bytes=_size(ground.home, "metadata.db*"),
    )


def _rows(intervals: list[Interval], compared: Comparison) -> list[Row]:
    grown = _grown(intervals)
    verdict = Comparison(compared.equal and not grown, compared.rows, compared.altered + grown)
    rows = []
    for interval in intervals:
        cost = Cost(interval.seconds, interval.cpu_seconds, interval.worker_bytes, interval.worker_bytes)
        last = interval is intervals[-1]
        name = f"Syncline, until run {interval.runs}"
        rows.append(Row(name, 1, cost, verdict if last else None, ours=True, note=str(interval)))
    return rows


def _grown(intervals: list[Interval]) -> list[str]:
    """What the last interval needs far more of than the second did."""
    if len(intervals) < 3:
        return []
    early, late = intervals[1], intervals[-1]
    pairs = {
        "run time": (early.seconds, late.seconds),
        "CPU time": (early.cpu_seconds, late.cpu_seconds),
        "memory": (early.worker_bytes, late.worker_bytes),
        "files in the table": (max(early.live_files, 16), late.live_files),
        "history": (early.history_events, late.history_events),
    }
    return [f"{name} grew" for name, (before, after) in pairs.items() if after > before * _MOST_GROWTH]


async def _history_events(ground: Ground, job: Json) -> int:
    temporal = ground.platform.layout.temporal
    assert temporal
    client = await Client.connect(temporal.address, namespace=temporal.namespace)
    handle = client.get_workflow_handle(job["workflow_id"], run_id=job["workflow_run_id"])
    return int((await handle.describe()).history_length)


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))
