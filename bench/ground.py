"""What every contestant runs on: one PostgreSQL, one S3 server, the platform as ``syncline up`` starts it."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import psutil

from bench.measure import Cost, measure, tree_cpu_seconds, watch_memory
from local.demo.client import DemoClient
from local.demo.story import make_key
from local.ports import choose_ports
from local.postgres import PostgresServer
from local.stack import RunningStack, start_stack, stop_signals
from settings import Settings

PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
_PEERS_PREFIX = "peers"
_LAKE_PREFIX = "lake"
_SOURCE_OPTIONS = {
    "autovacuum": "off",  # the data are vacuumed when they are loaded: nothing then runs beside a contestant
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "512MB",
}
_LOGGING_OPTIONS = {
    **_SOURCE_OPTIONS,
    "wal_level": "logical",
    "max_wal_senders": "4",
    "max_replication_slots": "4",
}


class ContestantError(Exception):
    """A peer's script failed. The text is the end of what it said."""


@dataclass
class Ground:
    home: Path
    server: PostgresServer
    platform: RunningStack
    client: DemoClient
    stop: threading.Event
    say: Callable[[str], None]

    @property
    def worker(self) -> psutil.Process:
        return psutil.Process(int(self.platform.layout.worker_ready_file.read_text()))

    @cached_property
    def store(self) -> dict[str, str]:
        embedded = self.platform.layout.object_store
        assert embedded, "the benchmark runs on the embedded object store"
        return {
            "bucket": embedded.bucket,
            "endpoint": embedded.endpoint,
            "access_key_id": embedded.credentials.access_key_id,
            "secret_access_key": embedded.credentials.secret_access_key,
            "region": embedded.region,
        }

    def place(self, name: str) -> str:
        """``bucket/prefix`` where one contestant may write."""
        return f"{self.store['bucket']}/{_PEERS_PREFIX}/{name}"

    @contextmanager
    def worker_measured(self, database: str) -> Iterator[Cost]:
        """What the worker with its children costs, and what the source and the store saw of it."""
        with self._around(database, _LAKE_PREFIX) as told, measure(self.worker) as cost:
            told.append(cost)
            yield cost

    def run_script(self, python: Path | str, module: str, task: Mapping[str, Any], database: str) -> Cost:
        """``python -m module`` with the task on its standard input; wall and CPU time as it tells them itself."""
        return self.run_program([str(python), "-m", module], database, json.dumps(task))

    def run_program(
        self, argv: list[str], database: str, task: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Cost:
        """Without a ``task`` it is no script of ours: its whole life counts."""
        cost = Cost()
        with self._around(database, _PEERS_PREFIX) as told:
            told.append(cost)
            started = time.monotonic()
            with (
                subprocess.Popen(
                    argv,
                    env={**os.environ, **(environment or {})},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                ) as process,
                watch_memory(psutil.Process(process.pid), cost),
            ):
                before = os.times()
                output, _ = process.communicate(task or "")
                after = os.times()
            cost.wall_seconds = time.monotonic() - started
            used = after.children_user + after.children_system - before.children_user - before.children_system
            cost.cpu_seconds = used
        if process.returncode:
            raise ContestantError(output[-2000:])
        if task is not None:
            spent = json.loads(output.strip().splitlines()[-1])
            cost.wall_seconds, cost.cpu_seconds = spent["wall_seconds"], spent["cpu_seconds"]
        return cost

    def objects(self, prefix: str) -> dict[str, tuple[str, int]]:
        """Key to version and size of what lies below the prefix."""
        client = boto3.client(
            "s3",
            endpoint_url=self.store["endpoint"],
            aws_access_key_id=self.store["access_key_id"],
            aws_secret_access_key=self.store["secret_access_key"],
            region_name=self.store["region"],
        )
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.store["bucket"], Prefix=f"{prefix}/")
        return {item["Key"]: (item["ETag"], item["Size"]) for page in pages for item in page.get("Contents", [])}

    def remove_objects(self, place: str) -> None:
        bucket = boto3.resource(
            "s3",
            endpoint_url=self.store["endpoint"],
            aws_access_key_id=self.store["access_key_id"],
            aws_secret_access_key=self.store["secret_access_key"],
            region_name=self.store["region"],
        ).Bucket(self.store["bucket"])
        bucket.objects.filter(Prefix=place.removeprefix(f"{self.store['bucket']}/") + "/").delete()

    @contextmanager
    def _around(self, database: str, prefix: str) -> Iterator[list[Cost]]:
        """Completes the cost that it is given by what the source's server and the store say before and after."""
        told: list[Cost] = []
        postmaster = psutil.Process(self.server.pid)
        stored, read, used = self.objects(prefix), self._rows_read(database), tree_cpu_seconds(postmaster)
        yield told
        cost = told[0]
        cost.database_cpu_seconds = tree_cpu_seconds(postmaster) - used
        cost.source_rows_read = self._settled_rows_read(database) - read
        cost.bytes_written = sum(
            size for key, (version, size) in self.objects(prefix).items() if stored.get(key, ("", 0))[0] != version
        )

    def _settled_rows_read(self, database: str) -> int:
        """A session tells what it read when it ends, or a second after its transaction."""
        before = -1
        while before != (now := self._rows_read(database)):
            before = now
            self.stop.wait(1.2)
        return now

    def _rows_read(self, database: str) -> int:
        query = (
            "SELECT coalesce((SELECT sum(seq_tup_read) FROM pg_stat_user_tables), 0) + "
            "coalesce((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes), 0)"
        )
        with self.server.connect(database) as connection:
            found = connection.execute(query).fetchone()
        assert found
        return int(found[0])


@contextmanager
def running(say: Callable[[str], None]) -> Iterator[Ground]:
    """In a folder that is gone afterwards."""
    with ExitStack() as stack:
        stop, in_haste = stack.enter_context(stop_signals())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncline-bench-")))
        home.chmod(0o711)
        server = stack.enter_context(_source_server(home / "source", _SOURCE_OPTIONS))
        settings = Settings(home=home, lake_url=None, temporal_address=None, database_url=None)
        platform = stack.enter_context(start_stack(settings, lambda line: None, stop, in_haste))
        client = stack.enter_context(DemoClient(platform.api_url, make_key(platform, "bench")))
        yield Ground(home, server, platform, client, stop, say)


@contextmanager
def with_log(ground: Ground) -> Iterator[Ground]:
    """The same with a source of its own, whose log says which rows changed."""
    with _source_server(ground.home / "logging-source", _LOGGING_OPTIONS) as server:
        yield replace(ground, server=server)


@contextmanager
def _source_server(folder: Path, options: Mapping[str, str]) -> Iterator[PostgresServer]:
    port = choose_ports(["postgres"])["postgres"]
    server = PostgresServer(18, folder, port, secrets.token_hex(12), throwaway=True, options=options)
    try:
        server.start()
        yield server
    finally:
        server.remove()
