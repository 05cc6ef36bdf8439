"""The workloads by name, at their full size and at that of the smoke run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench import data
from bench.copying import copying
from bench.ground import Ground
from bench.report import Section


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    smoke: bool
    rounds: int
    peers: bool
    runs: int | None = None

    def __post_init__(self) -> None:
        if self.smoke:
            object.__setattr__(self, "rounds", 1)


@dataclass(frozen=True)
class Workload:
    about: str
    run: Callable[[Ground, Wish], list[Section]]
    main: bool = True
    """Runs where none is named."""


def _lineitem(scale: float, most_rounds: int) -> Callable[[Ground, Wish], list[Section]]:
    def run(ground: Ground, wish: Wish) -> list[Section]:
        size = scale / 100 if wish.smoke else scale

        def make(here: Ground, database: str) -> list[str]:
            return data.tpch(here.server, database, size, ["lineitem"])

        title, rounds = f"lineitem, scale {size:g}", min(wish.rounds, most_rounds)
        return [copying(ground, title, f"lineitem_{scale:g}", make, rounds, peers=wish.peers)]

    return run


def _tpch(ground: Ground, wish: Wish) -> list[Section]:
    scale = 0.01 if wish.smoke else 1.0

    def make(here: Ground, database: str) -> list[str]:
        return data.tpch(here.server, database, scale)

    return [copying(ground, f"TPC-H, all 8 tables, scale {scale:g}", "tpch", make, wish.rounds, peers=wish.peers)]


def _wide(ground: Ground, wish: Wish) -> list[Section]:
    rows = 2_000 if wish.smoke else 200_000

    def make(here: Ground, database: str) -> list[str]:
        return data.wide(here.server, database, rows)

    return [copying(ground, "wide table, 301 columns", "wide", make, wish.rounds, peers=wish.peers)]


def _wide_rows(ground: Ground, wish: Wish) -> list[Section]:
    rows = 200 if wish.smoke else 10_000

    def make(here: Ground, database: str) -> list[str]:
        return data.wide_rows(here.server, database, rows)

    return [copying(ground, "wide rows, jsonb of 50 kB", "wide_rows", make, wish.rounds, peers=wish.peers)]


def _many(ground: Ground, wish: Wish) -> list[Section]:
    tables = 20 if wish.smoke else 500

    def make(here: Ground, database: str) -> list[str]:
        return data.many(here.server, database, tables, 1_000)

    # Sling would start a process for each of the tables.
    return [copying(ground, f"{tables} small tables", "many", make, 1, peers=wish.peers, sling=False)]


WORKLOADS: Mapping[str, Workload] = {
    "lineitem": Workload("lineitem of TPC-H at scale 1", _lineitem(1.0, 9)),
    "lineitem-5": Workload("the same at scale 5", _lineitem(5.0, 1)),
    "tpch": Workload("all eight tables of TPC-H at scale 1", _tpch),
    "wide": Workload("a table of 301 columns", _wide),
    "wide-rows": Workload("rows with a jsonb of 50 kB", _wide_rows),
    "many-tables": Workload("500 tables of 1,000 rows", _many),
}
