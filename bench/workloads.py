"""The workloads by name, at their full size and at that of the smoke run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import data, mariadb
from bench.cdc import cdc
from bench.cdc_latency import Writes, latency, log_kept
from bench.contestants import Contestant, DltRest, Job, Syncline
from bench.copying import (
    Choose,
    copying,
    on_mysql,
    ourselves,
    ourselves_once,
    with_dlt,
    with_everybody,
    with_scripts,
)
from bench.folder import Folder
from bench.following import appends, following, nothing_new, upserts
from bench.ground import Ground, with_api, with_folder, with_mariadb
from bench.plot import svg
from bench.provided import CHILDREN, CHILDREN_PATH, PAGE, REQUESTS_AT_ONCE, Api
from bench.report import Section
from bench.soak import soak

_ANSWER_SECONDS = 0.05
"""What an API that is far away takes for an answer."""


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    smoke: bool
    rounds: int
    peers: bool
    runs: int | None = None
    plots: Path | None = None
    """Folder for what is drawn."""
    gigabytes: float | None = None
    """Of the one large file."""

    @property
    def everybody(self) -> Choose:
        return with_everybody if self.peers else with_scripts


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
        return [copying(ground, title, f"lineitem_{scale:g}", make, rounds, wish.everybody)]

    return run


def _lineitem_mariadb(ground: Ground, wish: Wish) -> list[Section]:
    scale = 0.01 if wish.smoke else 1.0
    with with_mariadb(ground) as here:
        assert isinstance(here.source, mariadb.MariaDb)
        server, title = here.source.server, f"lineitem in MariaDB, scale {scale:g}"

        def make(_: Ground, database: str) -> list[str]:
            return mariadb.lineitem(server, database, scale)

        return [copying(here, title, "lineitem_mariadb", make, wish.rounds, on_mysql if wish.peers else ourselves)]


def _tpch(ground: Ground, wish: Wish) -> list[Section]:
    scale = 0.01 if wish.smoke else 1.0

    def make(here: Ground, database: str) -> list[str]:
        return data.tpch(here.server, database, scale)

    return [copying(ground, f"TPC-H, all 8 tables, scale {scale:g}", "tpch", make, wish.rounds, wish.everybody)]


def _wide(ground: Ground, wish: Wish) -> list[Section]:
    rows = 2_000 if wish.smoke else 200_000

    def make(here: Ground, database: str) -> list[str]:
        return data.wide(here.server, database, rows)

    return [copying(ground, "wide table, 301 columns", "wide", make, wish.rounds, wish.everybody)]


def _wide_rows(ground: Ground, wish: Wish) -> list[Section]:
    rows = 200 if wish.smoke else 10_000

    def make(here: Ground, database: str) -> list[str]:
        return data.wide_rows(here.server, database, rows)

    return [copying(ground, "wide rows, jsonb of 50 kB", "wide_rows", make, wish.rounds, wish.everybody)]


def _many(ground: Ground, wish: Wish) -> list[Section]:
    tables = 20 if wish.smoke else 500

    def make(here: Ground, database: str) -> list[str]:
        return data.many(here.server, database, tables, 1_000)

    # Sling would start a process for each of the tables.
    return [copying(ground, f"{tables} small tables", "many", make, 1, with_dlt if wish.peers else with_scripts)]


def _csv(ground: Ground, wish: Wish) -> list[Section]:
    """Ours alone: is the memory that of a small file?"""
    gigabytes = wish.gigabytes or (0.02 if wish.smoke else 20)
    here = with_folder(ground)
    assert isinstance(here.source, Folder)
    folder = here.source

    def make(_: Ground, database: str) -> list[str]:
        return folder.make(database, round(gigabytes * 1e9))

    return [copying(here, f"one CSV file of {gigabytes:g} GB", "csv", make, 1, ourselves_once)]


def _rest(ground: Ground, wish: Wish) -> list[Section]:
    """One list; the objects of parents; and the same where each answer takes its time."""
    objects = 10_000 if wish.smoke else 1_000_000

    def lists(job: Job) -> Sequence[Contestant]:
        return [Syncline(job, reloads=False), *([DltRest(job, None, REQUESTS_AT_ONCE)] if wish.peers else [])]

    def children(job: Job) -> Sequence[Contestant]:
        peers = [DltRest(job, CHILDREN_PATH, REQUESTS_AT_ONCE)] if wish.peers else []
        return [Syncline(job, reloads=False), *peers]

    with with_api(ground) as here:
        api = here.source
        assert isinstance(api, Api)
        title, parents = f"API, {objects:,} objects in pages of {PAGE}", f"API, {CHILDREN} objects of each parent"
        found = [
            copying(here, title, "charges", lambda _, name: api.charges(name, objects), wish.rounds, lists),
            copying(here, parents, "invoices", lambda _, name: api.invoices(name, objects // 4), wish.rounds, children),
        ]
    with with_api(ground, _ANSWER_SECONDS) as here:
        slow = here.source
        assert isinstance(slow, Api)
        title = f"{parents}, {_ANSWER_SECONDS * 1000:.0f} ms an answer"
        few = objects // 20

        def make(_: Ground, name: str) -> list[str]:
            return slow.invoices(name, few)

        return [*found, copying(here, title, "slow_invoices", make, wish.rounds, children)]


def _memory(ground: Ground, wish: Wish) -> list[Section]:
    """Ours alone: is the peak the same whatever the size?"""
    found = []
    for number, scale in enumerate((0.01, 0.05, 0.1) if wish.smoke else (1.0, 5.0, 10.0)):

        def make(here: Ground, database: str, scale: float = scale) -> list[str]:
            return data.tpch(here.server, database, scale, ["lineitem"])

        found.append(copying(ground, f"memory: lineitem, scale {scale:g}", f"memory_{number}", make, 1, ourselves))
    rows = 200 if wish.smoke else 10_000

    def make_wide(here: Ground, database: str) -> list[str]:
        return data.wide_rows(here.server, database, rows)

    return [*found, copying(ground, "memory: rows of 50 kB", "memory_wide", make_wide, 1, ourselves)]


def _soak(ground: Ground, wish: Wish) -> list[Section]:
    return [soak(ground, wish.runs or (12 if wish.smoke else 1440))]


def _cdc(ground: Ground, wish: Wish) -> list[Section]:
    return cdc(ground, wish.smoke)


def _cdc_latency(ground: Ground, wish: Wish) -> list[Section]:
    return latency(ground, Writes(1, 15) if wish.smoke else Writes(10, 300))


def _cdc_log(ground: Ground, wish: Wish) -> list[Section]:
    sections, lines = log_kept(ground, Writes(1, 10) if wish.smoke else Writes(10, 240))
    if wish.plots:
        (wish.plots / "cdc-log.svg").write_text(svg("Log kept at the source while nothing is applied", lines))
    return sections


def _nothing_new(ground: Ground, wish: Wish) -> list[Section]:
    runs, tables = (5, 10) if wish.smoke else (20, 200)
    return [nothing_new(ground, runs, tables, wish.peers)]


def _append(ground: Ground, wish: Wish) -> list[Section]:
    rows = 20_000 if wish.smoke else 6_000_000
    return [following(ground, "append", rows, False, appends([1] if wish.smoke else [1, 10]), wish.peers)]


def _upsert(millions: int) -> Callable[[Ground, Wish], list[Section]]:
    def run(ground: Ground, wish: Wish) -> list[Section]:
        rows = millions * 10_000 if wish.smoke else millions * 1_000_000
        steps = upserts([10] if wish.smoke else [1, 10])
        return [following(ground, f"upserts into {millions} M", rows, True, steps, wish.peers)]

    return run


WORKLOADS: Mapping[str, Workload] = {
    "lineitem": Workload("lineitem of TPC-H at scale 1", _lineitem(1.0, 9)),
    "lineitem-5": Workload("the same at scale 5", _lineitem(5.0, 1)),
    "lineitem-mariadb": Workload("lineitem in MariaDB at scale 1", _lineitem_mariadb),
    "tpch": Workload("all eight tables of TPC-H at scale 1", _tpch),
    "wide": Workload("a table of 301 columns", _wide),
    "wide-rows": Workload("rows with a jsonb of 50 kB", _wide_rows),
    "many-tables": Workload("500 tables of 1,000 rows", _many),
    "nothing-new": Workload("incremental runs that find nothing", _nothing_new),
    "append": Workload("new rows appended to 6 M", _append),
    "upsert-1m": Workload("upserts into 1 M rows: recent, uniform, zipf", _upsert(1)),
    "upsert-6m": Workload("the same into 6 M rows", _upsert(6)),
    "upsert-30m": Workload("the same into 30 M rows", _upsert(30), main=False),
    "memory": Workload("our memory at scale 1, 5, 10 and with wide rows", _memory, main=False),
    "csv-20gb": Workload("one CSV file of 20 GB, or of --gigabytes", _csv, main=False),
    "rest": Workload("lists of an API, and the objects of parents", _rest, main=False),
    "cdc": Workload("changes of a log: captured, and applied to 6 M rows", _cdc, main=False),
    "cdc-latency": Workload("from a commit to the lake, beside pgbench for 5 minutes", _cdc_latency, main=False),
    "cdc-log": Workload("the log that a source keeps while nothing is applied", _cdc_log, main=False),
    "soak": Workload("a day of 1-minute incremental runs, back to back", _soak, main=False),
}
