"""Workloads that copy whole tables: each contestant in turn, the best of the rounds counts."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from bench.contents import Comparison, Original
from bench.contestants import Contestant, CopyOut, Dlt, Floor, Job, Sling, Syncline
from bench.ground import PEERS_PYTHON, ContestantError, Ground
from bench.measure import Cost
from bench.report import Row, Section

Make = Callable[[Ground, str], list[str]]
"""Makes the tables in a database of that name."""


Choose = Callable[[Job], Sequence[Contestant]]


def ourselves(job: Job) -> Sequence[Contestant]:
    return [Syncline(job)]


def with_scripts(job: Job) -> Sequence[Contestant]:
    return [Syncline(job), Floor(job), CopyOut(job)]


def with_dlt(job: Job) -> Sequence[Contestant]:
    return [*with_scripts(job), Dlt(job, "connectorx"), Dlt(job, "pyarrow")]


def with_everybody(job: Job) -> Sequence[Contestant]:
    return [*with_dlt(job), Sling(job)]


def ourselves_once(job: Job) -> Sequence[Contestant]:
    """Of what takes long."""
    return [Syncline(job, reloads=False, patience=timedelta(hours=4))]


def on_mysql(job: Job) -> Sequence[Contestant]:
    """Everybody who reads from MySQL and MariaDB."""
    floor = Floor(job, "floor script (ConnectorX, Parquet)", PEERS_PYTHON, "bench.peers.floor_mysql")
    return [
        Syncline(job),
        floor,
        *(Dlt(job, backend) for backend in ("connectorx", "pyarrow", "sqlalchemy")),
        Sling(job),
    ]


def copying(ground: Ground, title: str, database: str, make: Make, rounds: int, who: Choose) -> Section:
    """All of the tables in ``database``, which is dropped afterwards."""
    tables = make(ground, database)
    with ground.source.originals(database, tables) as originals:
        rows = sum(original.rows for original in originals.values())
        ground.say(f"{title}: {len(tables)} tables, {rows:,} rows")
        found: list[Row] = []
        for contestant in who(Job(ground, database, tables)):
            found += _rows(ground, contestant, originals, rows, rounds)
            contestant.clean()
    ground.source.drop(database)
    for folder in ground.home.glob(f"{database}-*"):
        shutil.rmtree(folder)
    return Section(f"{title} ({rows:,} rows)", found)


def _rows(
    ground: Ground, contestant: Contestant, originals: Mapping[str, Original], rows: int, rounds: int
) -> list[Row]:
    best: dict[str, Cost] = {}
    try:
        for _ in range(rounds):
            for name, cost in contestant.copy():
                ground.say(f"  {name}: {cost.wall_seconds:.2f} s")
                if name not in best or cost.wall_seconds < best[name].wall_seconds:
                    best[name] = cost
    except ContestantError as error:
        return [Row(contestant.name, rows, None, note=str(error).strip().splitlines()[-1][:120])]
    comparison = _compare(contestant, originals)
    last = list(best)[-1]
    ours = isinstance(contestant, Syncline)
    return [Row(name, rows, cost, comparison if name == last else None, ours) for name, cost in best.items()]


def _compare(contestant: Contestant, originals: Mapping[str, Original]) -> Comparison | None:
    whole = Comparison()
    for table, original in originals.items():
        dataset = contestant.dataset(table)
        if dataset is None:
            return None
        whole.add(original.compare(dataset))
    return whole
