"""``make bench``: one big table from PostgreSQL into the lake, beside the least that it can cost on this machine.

``python -m bench [--scale 1] [--rounds 2]``; the best round of each row counts. Ends with 1 where contents differ.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow.dataset as ds
from pyarrow.fs import S3FileSystem
from rich.console import Console

from bench.measure import Cost, measure, watch_memory
from bench.report import Row, print_report
from local.demo.client import DemoClient, Json
from local.demo.contents import Contents, dataset_contents, lake_contents, source_columns, source_contents
from local.demo.progress import await_runs
from local.demo.story import connection_inputs, lake_options, make_key
from local.demo.tpch import TABLES, load
from local.ports import choose_ports
from local.postgres import PostgresServer
from local.stack import RunningStack, start_stack, stop_signals
from settings import Settings

TABLE = "lineitem"
DATABASE = "tpch"
PREFIX = "bench_"
FLOOR_OBJECT = "bench/floor.parquet"
FLOOR, FIRST, AGAIN = (
    "floor: DuckDB, pyarrow, one Parquet file on S3",
    "Syncline: create the source, table committed",
    "Syncline: reload, table committed again",
)


@dataclass
class Bench:
    server: PostgresServer
    platform: RunningStack
    client: DemoClient
    rows: int
    stop: threading.Event
    best: dict[str, Cost] = field(default_factory=dict)
    quiet: Console = field(default_factory=lambda: Console(quiet=True))

    def round(self) -> Json:
        """Each row once; the source that was made."""
        self._keep(FLOOR, self._run_floor())
        self.client.delete_sources(PREFIX)
        wish = {"name": TABLE, "should_sync": True, "sync_type": "full_refresh"}
        worker = psutil.Process(int(self.platform.layout.worker_ready_file.read_text()))
        with measure(worker) as first:
            source = self.client.create_source(PREFIX, connection_inputs(self.server, DATABASE), [wish])
            self._await(source, set())
        self._keep(FIRST, first)
        seen = {job["id"] for job in self.client.jobs(source)}
        with measure(worker) as again:
            self.client.reload(_schema(source)["id"])
            self._await(source, seen)
        self._keep(AGAIN, again)
        return source

    def contents(self, source: Json) -> dict[str, Contents]:
        """What each side holds in the end."""
        url = self.client.schema(_schema(source)["id"])["table"]["url_pattern"]
        with self.server.connect(DATABASE) as connection:
            columns = source_columns(connection, TABLE)
            here = source_contents(connection, TABLE)
        bucket, endpoint, keys = self._store()
        s3 = S3FileSystem(
            access_key=keys[0], secret_key=keys[1], endpoint_override=endpoint.removeprefix("http://"), scheme="http"
        )
        return {
            "source": here,
            FLOOR: dataset_contents(ds.dataset(f"{bucket}/{FLOOR_OBJECT}", filesystem=s3), columns),
            AGAIN: lake_contents(url, lake_options(self.platform), columns),
        }

    def _run_floor(self) -> Cost:
        bucket, endpoint, keys = self._store()
        environment = {
            **os.environ,
            "BENCH_ENDPOINT": endpoint.removeprefix("http://"),
            "BENCH_ACCESS_KEY_ID": keys[0],
            "BENCH_SECRET_ACCESS_KEY": keys[1],
        }
        argv = [sys.executable, "-m", "bench.floor", self.server.dsn(DATABASE), TABLE, f"{bucket}/{FLOOR_OBJECT}"]
        cost = Cost()
        with (
            subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as process,
            watch_memory(psutil.Process(process.pid), cost),
        ):
            output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError("The floor script failed.")
        told = json.loads(output)
        cost.wall_seconds, cost.cpu_seconds = told["wall_seconds"], told["cpu_seconds"]
        return cost

    def _await(self, source: Json, seen: set[str]) -> None:
        await_runs(self.client, source, {TABLE: self.rows}, seen, self.quiet, self.stop)

    def _store(self) -> tuple[str, str, tuple[str, str]]:
        store = self.platform.layout.object_store
        assert store, "the benchmark runs on the embedded object store"
        return store.bucket, store.endpoint, (store.credentials.access_key_id, store.credentials.secret_access_key)

    def _keep(self, row: str, cost: Cost) -> None:
        if row not in self.best or cost.wall_seconds < self.best[row].wall_seconds:
            self.best[row] = cost


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of TPC-H; 1 has 6 million rows")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with running(arguments.scale, print) as bench:
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            source = bench.round()
        print("comparing contents", flush=True)
        contents = bench.contents(source)
        rows = [Row(name, cost, contents.get(name)) for name, cost in bench.best.items()]
    print_report(Console(width=130), TABLE, contents["source"], rows, floor=bench.best[FLOOR])
    return 0 if len(set(contents.values())) == 1 else 1


@contextmanager
def running(scale: float, say: Callable[[str], None]) -> Iterator[Bench]:
    """A PostgreSQL with the table, and the platform, in a folder that is gone afterwards."""
    with ExitStack() as stack:
        stop, in_haste = stack.enter_context(stop_signals())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncline-bench-")))
        home.chmod(0o711)
        port = choose_ports(["postgres"])["postgres"]
        server = PostgresServer(18, home / "source", port, secrets.token_hex(12), throwaway=True)
        stack.callback(server.remove)
        server.start()
        server.create_database(DATABASE)
        started = time.monotonic()
        with server.connect(DATABASE) as connection:
            rows = load(connection, scale, [table for table in TABLES if table.name == TABLE], cursor=False)[TABLE]
        say(f"{rows:,} rows of {TABLE} in PostgreSQL 18 after {time.monotonic() - started:.0f} s")
        settings = Settings(home=home, lake_url=None, temporal_address=None, database_url=None)
        platform = stack.enter_context(start_stack(settings, lambda line: None, stop, in_haste))
        client = stack.enter_context(DemoClient(platform.api_url, make_key(platform, "bench")))
        yield Bench(server, platform, client, rows, stop)


def _schema(source: Json) -> Json:
    found: Json = next(schema for schema in source["schemas"] if schema["name"] == TABLE)
    return found


if __name__ == "__main__":
    sys.exit(main())
