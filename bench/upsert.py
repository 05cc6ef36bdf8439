"""Upserts into a table of many rows, ours beside delta-rs ``merge``, each in a process of its own.

``python -m bench.upsert [--rows 1000000,6000000,30000000] [--kind recent,uniform,zipf] [--changes 100000,1%,10%]``:
a table like TPC-H's ``lineitem``, written by our own writer to a folder; a batch of changed rows is upserted into two
copies of it. Prints wall and CPU time, peak memory above what the process held before, and the bytes that were written.
Ends with 1 where the two copies do not hold the same rows afterwards.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from rich.console import Console
from rich.table import Table

from activities.children import ALLOCATORS
from lake.manifest import RunRef, save
from lake.position import EMPTY
from lake.publish import PublishPlan, publish
from lake.staging import CursorSpec, stage
from lake.storage import LakeStore
from lake.table import open_table

TABLE = "bench/lineitem"
KEY = ("l_orderkey", "l_linenumber")
CURSOR = "l_updated"
LINES_PER_ORDER = 4
STEP_ROWS = 500_000
OURS, MERGE = "Syncline", "delta-rs merge"


@dataclass(frozen=True)
class Spent:
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    """Above what the process held before."""
    bytes_written: int


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        subject, folder, changes = arguments.child
        print(json.dumps(asdict(_measured(subject, Path(folder), Path(changes)))))
        return
    console, failed = Console(width=140), False
    report = Table("rows", "changed", "", "wall s", "CPU-s", "peak MB", "MB written", "x merge", "contents", box=None)
    with tempfile.TemporaryDirectory(prefix="syncline-bench-", dir=arguments.scratch) as scratch:
        for rows in map(int, arguments.rows.split(",")):
            base = Path(scratch, "base")
            _load(base, rows)
            for kind in arguments.kind.split(","):
                for share in arguments.changes.split(","):
                    failed |= not _compare(Path(scratch), base, rows, kind, share, arguments.rounds, report)
            shutil.rmtree(base)
    console.print(report)
    sys.exit(int(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.upsert", description=__doc__)
    parser.add_argument("--rows", default="1000000,6000000", help="sizes of the table, e.g. 1000000,6000000,30000000")
    parser.add_argument("--kind", default="recent,uniform", help="which keys change: recent, uniform, zipf")
    parser.add_argument(
        "--changes", default="100000", help="rows of the batch, or per cent of the table: 100000,1%%,10%%"
    )
    parser.add_argument("--rounds", type=int, default=1, help="the quickest of so many counts")
    parser.add_argument("--scratch", help="folder for the tables")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(scratch: Path, base: Path, rows: int, kind: str, share: str, rounds: int, report: Table) -> bool:
    """Both subjects on copies of the table; adds their rows to the report, and tells whether the copies are equal."""
    count = rows * int(share.removesuffix("%")) // 100 if share.endswith("%") else int(share)
    changes = scratch / "changes.parquet"
    _write_changes(changes, rows, kind, count)
    spent: dict[str, Spent] = {}
    contents = set()
    for subject in (MERGE, OURS):
        for _ in range(rounds):
            copy = scratch / "copy"
            shutil.copytree(base, copy, copy_function=os.link)
            one = _run(subject, copy, changes)
            spent[subject] = min(spent.get(subject, one), one, key=lambda cost: cost.wall_seconds)
            contents.add(_contents(copy))
            shutil.rmtree(copy)
    for subject, cost in spent.items():
        report.add_row(
            f"{rows:,}",
            f"{count:,} {kind}",
            subject,
            f"{cost.wall_seconds:.2f}",
            f"{cost.cpu_seconds:.2f}",
            f"{cost.peak_memory_bytes / 2**20:.0f}",
            f"{cost.bytes_written / 1e6:.0f}",
            f"{spent[MERGE].wall_seconds / cost.wall_seconds:.2f}",
            "equal" if len(contents) == 1 else "DIFFERENT",
        )
    return len(contents) == 1


def _run(subject: str, folder: Path, changes: Path) -> Spent:
    command = [sys.executable, "-m", "bench.upsert", "--child", subject, str(folder), str(changes)]
    environment = ALLOCATORS if subject == OURS else {}
    done = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    return Spent(**json.loads(done.stdout))


def _measured(subject: str, folder: Path, changes: Path) -> Spent:
    store = LakeStore(f"file://{folder}")
    upsert = {OURS: _upsert, MERGE: _merge}[subject]
    known = set(DeltaTable(store.uri(TABLE)).file_uris())
    process = psutil.Process()
    # Linux begins a new high-water mark of the process's memory.
    Path("/proc/self/clear_refs").write_text("5")
    base, cpu, started = process.memory_info().rss, _cpu_seconds(), time.monotonic()
    upsert(store, changes)
    wall, cpu = time.monotonic() - started, _cpu_seconds() - cpu
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    written = set(DeltaTable(store.uri(TABLE)).file_uris()) - known
    return Spent(wall, cpu, peak - base, sum(Path(path).stat().st_size for path in written))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _upsert(store: LakeStore, changes: Path) -> None:
    _copy(store, pq.ParquetFile(changes).iter_batches(), pq.read_schema(changes), RunRef("changes", 2, 1))


def _merge(store: LakeStore, changes: Path) -> None:
    rows = pq.read_table(changes)
    rows = rows.append_column("_sync_at", pa.nulls(rows.num_rows, pa.timestamp("us", "UTC")))
    on = " and ".join(f"t.{name} = s.{name}" for name in KEY)
    merger = DeltaTable(store.uri(TABLE)).merge(rows, on, source_alias="s", target_alias="t")
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


def _load(folder: Path, rows: int) -> None:
    """The table as a first load leaves it."""
    store = LakeStore(f"file://{folder}")
    with duckdb.connect(config={"memory_limit": "1GB"}) as connection:
        steps = (
            connection.sql(_rows(f"range({first}, {min(first + STEP_ROWS, rows)})")).to_arrow_reader()
            for first in range(0, rows, STEP_ROWS)
        )
        first_step = connection.sql(_rows("range(1)")).to_arrow_table()
        _copy(store, (batch for step in steps for batch in step), first_step.schema, RunRef("load", 1, 1))


def _copy(store: LakeStore, batches: Iterator[pa.RecordBatch], schema: pa.Schema, run: RunRef) -> None:
    base = open_table(store, TABLE).position
    edge = int(base.cursor) if base.cursor else None
    cursor = CursorSpec(CURSOR, lambda value: str(value.as_py()), edge)
    staged = stage(store, TABLE, run, batches, schema, cursor=cursor, primary_key=KEY)
    plan = PublishPlan(TABLE, "incremental", base or EMPTY, run, primary_key=KEY, cursor_field=CURSOR)
    publish(store, save(store, TABLE, staged), plan)


def _write_changes(path: Path, rows: int, kind: str, count: int) -> None:
    """Nine in ten replace a row, one in ten is new; ``zipf``: half of the changes fall on a fiftieth of the keys."""
    old, new = count - count // 10, count // 10
    chosen = {
        "recent": f"range({rows - old}, {rows})",
        "uniform": f"(select (i * {rows} // {old})::bigint as range from range({old}) as t(i))",
        "zipf": f"(select distinct (pow(hash(i) / pow(2, 64), 4) * {rows})::bigint as range from range({old}) as t(i))",
    }[kind]
    numbers = f"(select range from {chosen} union all select range from range({rows}, {rows + new}))"
    with duckdb.connect(config={"memory_limit": "1GB"}) as connection:
        connection.sql(f"select * from ({_rows(numbers, version=1)}) order by {CURSOR}").write_parquet(str(path))


def _rows(numbers: str, version: int = 0) -> str:
    """SQL of rows that depend on their numbers and a version alone."""
    words = "['carefully','final','deposits','sleep','above','the','furious','ironic','packages','quickly','bold']"
    picks = [f"{words}[1 + (hash(range, {position}, {version}) % 11)::int]" for position in range(5)]
    chance = [f"hash(range, {column}, {version})" for column in range(100, 112)]
    return f"""select
        (range // {LINES_PER_ORDER})::bigint as l_orderkey, (range % {LINES_PER_ORDER})::int as l_linenumber,
        ({chance[0]} % 200000)::bigint as l_partkey, ({chance[1]} % 10000)::bigint as l_suppkey,
        ({chance[2]} % 50 + 1)::decimal(15,2) as l_quantity,
        (({chance[3]} % 9000000) / 100)::decimal(15,2) as l_extendedprice,
        (({chance[4]} % 11) / 100)::decimal(15,2) as l_discount, (({chance[5]} % 9) / 100)::decimal(15,2) as l_tax,
        ['A', 'N', 'R'][1 + ({chance[6]} % 3)::int] as l_returnflag,
        ['F', 'O'][1 + ({chance[7]} % 2)::int] as l_linestatus,
        date '1992-01-01' + ({chance[8]} % 2500)::int as l_shipdate,
        date '1992-01-01' + ({chance[9]} % 2500)::int as l_commitdate,
        date '1992-01-01' + ({chance[10]} % 2500)::int as l_receiptdate,
        ['COLLECT COD', 'DELIVER IN PERSON', 'NONE', 'TAKE BACK RETURN'][1 + ({chance[11]} % 4)::int] as l_shipinstruct,
        ['AIR', 'FOB', 'MAIL', 'RAIL', 'REG AIR', 'SHIP', 'TRUCK'][1 + ({chance[1]} % 7)::int] as l_shipmode,
        {" || ' ' || ".join(picks)} as l_comment,
        (range + {version} * 1000000000)::bigint as {CURSOR}
        from {numbers}"""


def _contents(folder: Path) -> tuple[int, int]:
    """Number of rows and a checksum of all columns but ``_sync_at``, whatever the order."""
    files = DeltaTable(str(folder / TABLE)).file_uris()
    with duckdb.connect(config={"memory_limit": "1GB"}) as connection:
        found = connection.execute(
            "select count(*), sum(hash(t)::hugeint) from (select columns(c -> c <> '_sync_at') from read_parquet(?)) t",
            [files],
        ).fetchone()
    assert found
    return int(found[0]), int(found[1])


if __name__ == "__main__":
    main()
