"""Change data capture beside pgbench: how long a commit takes to the lake, and how much log the source keeps for us."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from deltalake import DeltaTable

from bench import pgbench, postgres
from bench.captured import Captured
from bench.contents import Comparison
from bench.ground import Ground, with_log
from bench.plot import Line
from bench.report import Row, Section
from local.demo.client import DemoError

RATE = 500
"""Transactions a second: the machine is not to be busy with them alone."""
PROBE = "probe"
_PROBE_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_SAMPLE_SECONDS = 2.0
_PATIENCE = timedelta(minutes=5)
_WAYS = {"1-minute interval": False, "continuous": True}


@dataclass(frozen=True)
class Writes:
    """What pgbench does, and for how long."""

    scale: int
    seconds: float


def latency(ground: Ground, writes: Writes) -> list[Section]:
    """With each way to capture."""
    with with_log(ground) as logging:
        return [Section(f"CDC: latency, {way}", [_latency(logging, writes, way)]) for way in _WAYS]


def log_kept(ground: Ground, writes: Writes) -> tuple[list[Section], list[Line]]:
    """By the source, while no change of pgbench's tables is brought to them."""
    lines: list[Line] = []
    with with_log(ground) as logging:
        rows = [_log_kept(logging, writes, way, lines) for way in _WAYS]
    return [Section("CDC: log kept at the source, nothing applied", rows)], lines


def _latency(ground: Ground, writes: Writes, way: str) -> Row:
    """Everything happens beside the writes: the first load, then capture and apply."""
    database, tables = "latency", [*pgbench.TABLES, PROBE]
    _make(ground, database, writes.scale)
    ours = Captured(ground, database)
    probes = _Probes(ground, database)
    with ground.worker_measured(database) as cost:
        with pgbench.writing(ground, database, RATE, writes.seconds), probes.committing():
            ours.enable(cdc_continuous=_WAYS[way])
            ours.follow(tables, "1min")
            probes.await_load(ours)
            probes.watch(ours.delta_table(PROBE), writes.seconds)
        probes.watch(ours.delta_table(PROBE), _PATIENCE.total_seconds(), to_the_end=True)
    ours.settle(tables)
    ground.say(f"{way}: {probes}")
    changes, compared = _compared(ground, ours, database, tables)
    ours.remove()
    ground.server.drop_database(database)
    return Row(f"pgbench, {way}", changes, cost, compared, ours=True, note=str(probes))


def _log_kept(ground: Ground, writes: Writes, way: str, lines: list[Line]) -> Row:
    """One quiet table has the interval; pgbench's own wait to be brought up to date."""
    database = "log_kept"
    _make(ground, database, writes.scale)
    ours = Captured(ground, database)
    ours.enable(cdc_continuous=_WAYS[way])
    ours.load(pgbench.TABLES)
    ours.follow([PROBE], "1min")
    kept = _Kept()
    with ground.worker_measured(database) as cost, pgbench.writing(ground, database, RATE, writes.seconds):
        kept.watch(ground, writes.seconds)
    lines += [Line(f"{way}, unconfirmed", kept.unconfirmed), Line(f"{way}, kept", kept.all)]
    ours.settle([*pgbench.TABLES, PROBE])
    ground.say(f"{way}: {kept}")
    changes, compared = _compared(ground, ours, database, [*pgbench.TABLES])
    ours.remove()
    ground.server.drop_database(database)
    return Row(f"pgbench, {way}", changes, cost, compared, ours=True, note=str(kept))


def _make(ground: Ground, database: str, scale: int) -> None:
    pgbench.make(ground, database, scale)
    ground.server.execute(f"CREATE TABLE {PROBE} (id bigint PRIMARY KEY, at timestamptz)", database)


def _compared(ground: Ground, ours: Captured, database: str, tables: list[str]) -> tuple[int, Comparison]:
    """How many changes pgbench made, and whether all of its tables have them."""
    compared = Comparison()
    with ground.server.connect(database) as connection:
        for table in tables:
            compared.add(postgres.table(connection, table).compare(ours.dataset(table)))
        found = connection.execute("SELECT count(*) FROM pgbench_history").fetchone()
    assert found
    return int(found[0]) * pgbench.CHANGES_OF_A_TRANSACTION, compared


@dataclass
class _Probes:
    """A row is committed each second; the clock says when it was, and when the table in the lake shows it."""

    ground: Ground
    database: str
    committed: dict[int, float] = field(default_factory=dict)
    visible: dict[int, float] = field(default_factory=dict)
    _first: int = 0
    """What was committed before is of the first load."""

    @contextmanager
    def committing(self) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._commit, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def await_load(self, ours: Captured) -> None:
        deadline = time.monotonic() + _PATIENCE.total_seconds()
        while not ours.is_loaded(PROBE):
            if error := ours.has_failed():
                raise DemoError(error)
            if time.monotonic() > deadline or self.ground.stop.wait(_LOOK_SECONDS):
                raise DemoError(f"The table of the probes was not loaded within {_PATIENCE}.")
        self._first = len(self.committed)

    def watch(self, table: DeltaTable, seconds: float, to_the_end: bool = False) -> None:
        """For so long; where asked to, no longer than until all of them are there."""
        ends, version = time.monotonic() + seconds, -1
        while time.monotonic() < ends and not (to_the_end and len(self.visible) == len(self.committed)):
            table.update_incremental()
            if table.version() != version:
                version = table.version()
                self._see(table.to_pyarrow_table(columns=["id"]).column("id").to_pylist())
            if self.ground.stop.wait(_LOOK_SECONDS):
                raise DemoError("stopped")

    def __str__(self) -> str:
        waits = sorted(self.visible[one] - at for one, at in self.committed.items() if one > self._first)
        if not waits:
            return "no probe was seen"
        middle, most = waits[len(waits) // 2], waits[min(len(waits) - 1, len(waits) * 99 // 100)]
        return f"commit to lake p50 {middle:.1f} s, p99 {most:.1f} s, most {waits[-1]:.1f} s, {len(waits)} probes"

    def _see(self, ids: list[int]) -> None:
        now = time.monotonic()
        for one in ids:
            self.visible.setdefault(one, now)

    def _commit(self, over: threading.Event) -> None:
        with self.ground.server.connect(self.database) as connection:
            number = 0
            while not over.wait(_PROBE_SECONDS):
                number += 1
                connection.execute(f"INSERT INTO {PROBE} VALUES (%s, clock_timestamp())".encode(), [number])
                self.committed[number] = time.monotonic()


@dataclass
class _Kept:
    """Seconds since the beginning, and bytes."""

    all: list[tuple[float, float]] = field(default_factory=list)
    unconfirmed: list[tuple[float, float]] = field(default_factory=list)
    _written: float = 0.0
    """Bytes of log in all."""

    def watch(self, ground: Ground, seconds: float) -> None:
        query = (
            "SELECT pg_current_wal_lsn() - '0/0', pg_current_wal_lsn() - restart_lsn, "
            "pg_current_wal_lsn() - confirmed_flush_lsn FROM pg_replication_slots"
        )
        begun, first = time.monotonic(), None
        with ground.server.connect() as connection:
            while (at := time.monotonic() - begun) < seconds:
                found = connection.execute(query.encode()).fetchone()
                assert found
                end, kept, unconfirmed = map(float, found)
                first = end if first is None else first
                self._written = end - first
                self.all.append((at, kept))
                self.unconfirmed.append((at, unconfirmed))
                if ground.stop.wait(_SAMPLE_SECONDS):
                    raise DemoError("stopped")

    def __str__(self) -> str:
        rate = max(self._written / max(self.all[-1][0], 1.0), 1.0)
        most, unconfirmed = (max(size for _, size in sizes) for sizes in (self.all, self.unconfirmed))
        return (
            f"of {rate / 1e6:.2f} MB/s at most {unconfirmed / 1e6:.1f} MB ({unconfirmed / rate:.0f} s) unconfirmed, "
            f"{most / 1e6:.1f} MB ({most / rate:.0f} s) kept"
        )
