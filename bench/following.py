"""Workloads in which a copy follows its source: upserts, appends, and runs that find nothing new."""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import psycopg
import pyarrow.dataset as ds
from deltalake import DeltaTable

from bench import changes, data, postgres
from bench.contents import Original
from bench.contestants import Job
from bench.ground import PEERS_PYTHON, ContestantError, Ground
from bench.measure import Cost
from bench.ours import Ours, by_cursor
from bench.report import Row, Section
from local.demo.story import lake_options

TABLE = "lineitem"
KEY = ["l_orderkey", "l_linenumber"]
Change = Callable[[psycopg.Connection[Any]], int]
"""Changes rows at the source; how many."""


class Follower(Protocol):
    name: str

    def follow(self) -> Cost:
        """Bring what changed since the last time: all of it at first."""

    def dataset(self) -> ds.Dataset: ...

    def clean(self) -> None: ...


def following(ground: Ground, title: str, rows: int, upsert: bool, steps: dict[str, Change], peers: bool) -> Section:
    """Each follower has a copy; then one change after the other happens, and each brings its copy up to date."""
    database = title.split(",")[0].replace(" ", "_")
    data.lineitem_with_cursor(ground.server, database, rows)
    followers = _followers(Job(ground, database, [TABLE]), upsert, peers)
    found: list[Row] = []
    with ground.server.connect(database) as connection:
        loaded = postgres.table(connection, TABLE)
        ground.say(f"{title}: {loaded.rows:,} rows")
        found += [_row(ground, follower, loaded.rows, "first load", loaded) for follower in followers]
        for step, change in steps.items():
            changed = change(connection)
            changes.settle(connection)
            source = postgres.table(connection, TABLE)
            ground.say(f" {step}: {changed:,} rows")
            found += [_row(ground, follower, changed, step, source) for follower in followers]
    for follower in followers:
        follower.clean()
    ground.server.drop_database(database)
    return Section(f"{title} ({loaded.rows:,} rows)", found)


def nothing_new(ground: Ground, runs: int, tables: int, peers: bool) -> Section:
    """Incremental runs that find nothing: one table again and again, and many tables at once. Counted in runs."""
    database = "nothing_new"
    names = data.many(ground.server, database, tables, 1_000)
    ours = Ours(ground, database)
    ours.create(by_cursor(names, "incremental", data.CURSOR))
    with ground.worker_measured(database) as cost:
        seconds = [ours.reload_quietly(names[0])[0] for _ in range(runs)]
    one_by_one = replace(cost, wall_seconds=statistics.median(seconds), cpu_seconds=cost.cpu_seconds / runs)
    one_by_one.database_cpu_seconds /= runs
    one_by_one.source_rows_read //= runs
    note = f"slowest {max(seconds):.2f} s"
    found = [Row(f"Syncline, median of {runs} runs", 1, one_by_one, ours=True, note=note)]
    # The first run compares the rows at the cursor's edge with the table; those after it know them again.
    found.append(Row(f"Syncline, {tables} tables at once, the first time", tables, ours.reload_all(), ours=True))
    found.append(Row(f"Syncline, {tables} tables at once, again", tables, ours.reload_all(), ours=True))
    with ground.server.connect(database) as connection:
        compared = postgres.table(connection, names[0]).compare(ours.dataset(names[0]))
    found[-1] = replace(found[-1], comparison=compared)
    ours.remove()
    if peers:
        follower = _Dlt(Job(ground, database, names[:1]), "connectorx", "merge", ["id"])
        follower.follow()
        found.append(Row(f"{follower.name}, one run", 1, follower.follow()))
        follower.clean()
    ground.server.drop_database(database)
    return Section("incremental, nothing new (rows are runs, CPU-s is of one run)", found, per=1)


def _row(ground: Ground, follower: Follower, rows: int, step: str, source: Original) -> Row:
    name, ours = f"{step}: {follower.name}", isinstance(follower, _Syncline)
    try:
        cost = follower.follow()
    except ContestantError as error:
        return Row(name, rows, None, note=str(error).strip().splitlines()[-1][:120])
    ground.say(f"  {follower.name}: {cost.wall_seconds:.2f} s")
    return Row(name, rows, cost, source.compare(follower.dataset()), ours)


def _followers(job: Job, upsert: bool, peers: bool) -> Sequence[Follower]:
    here: list[Follower] = [_Syncline(job, "incremental" if upsert else "append"), _DeltaRs(job, upsert)]
    return [*here, _Dlt(job, "connectorx", "merge" if upsert else "append", KEY)] if peers else here


class _Syncline:
    def __init__(self, job: Job, sync_type: str) -> None:
        self.name = f"Syncline, {sync_type}"
        self._ours, self._sync_type, self._exists = Ours(job.ground, job.database), sync_type, False

    def follow(self) -> Cost:
        if self._exists:
            return self._ours.reload(TABLE)
        self._exists = True
        return self._ours.create(by_cursor([TABLE], self._sync_type, data.CURSOR))

    def dataset(self) -> ds.Dataset:
        return self._ours.dataset(TABLE)

    def clean(self) -> None:
        self._ours.remove()


class _DeltaRs:
    """A script that reads the changed rows as the floor script does."""

    def __init__(self, job: Job, upsert: bool) -> None:
        self.name = "delta-rs MERGE" if upsert else "delta-rs append"
        self._job, self._upsert = job, upsert
        self._place = job.place("delta-rs")
        self._options = lake_options(job.ground.platform)
        self._seen: str | None = None

    def follow(self) -> Cost:
        newer = f" WHERE {data.CURSOR} > '{self._seen}'" if self._seen else ""
        task = {
            "source": self._job.url,
            "query": f"SELECT * FROM {TABLE}{newer}",
            "url": f"s3://{self._place}",
            "options": self._options,
            "action": "merge" if self._upsert and self._seen else "append",
            "key": KEY,
        }
        cost = self._job.ground.run_script(sys.executable, "bench.peers.delta_rs", task, self._job.database)
        self._seen = self._newest()
        return cost

    def dataset(self) -> ds.Dataset:
        return DeltaTable(f"s3://{self._place}", storage_options=self._options).to_pyarrow_dataset()

    def clean(self) -> None:
        self._job.ground.remove_objects(self._place)

    def _newest(self) -> str:
        with self._job.ground.server.connect(self._job.database) as connection:
            found = connection.execute(f"SELECT max({data.CURSOR})::text FROM {TABLE}".encode()).fetchone()
        assert found
        return str(found[0])


class _Dlt:
    def __init__(self, job: Job, backend: str, disposition: str, key: list[str]) -> None:
        self.name = f"dlt, {backend}, {disposition}"
        self._job, self._table = job, job.tables[0]
        self._target = job.place("dlt")
        self._task = {
            "url": job.url,
            "schema": job.schema,
            "tables": list(job.tables),
            "backend": backend,
            "bucket_url": f"s3://{self._target}",
            "store": job.ground.store,
            "folder": str(job.ground.home / f"{job.database}-dlt"),
            "disposition": disposition,
            "cursor": data.CURSOR,
            "key": key,
        }

    def follow(self) -> Cost:
        return self._job.ground.run_script(PEERS_PYTHON, "bench.peers.dlt_copy", self._task, self._job.database)

    def dataset(self) -> ds.Dataset:
        url = f"s3://{self._target}/copy/{self._table}"
        return DeltaTable(url, storage_options=lake_options(self._job.ground.platform)).to_pyarrow_dataset()

    def clean(self) -> None:
        self._job.ground.remove_objects(self._target)


def upserts(percents: Sequence[float]) -> dict[str, Change]:
    """Each kind with each share."""

    def changing(kind: str, percent: float) -> Change:
        return lambda connection: changes.update(connection, kind, percent)

    return {f"{kind} {percent:g} %": changing(kind, percent) for percent in percents for kind in changes.KINDS}


def appends(percents: Sequence[float]) -> dict[str, Change]:
    def inserting(percent: float) -> Change:
        return lambda connection: changes.insert_percent(connection, percent)

    return {f"{percent:g} % new": inserting(percent) for percent in percents}
