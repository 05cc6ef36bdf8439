"""What every contestant runs on: one source, one S3 server, the platform as ``syncline up`` starts it."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import boto3
import psutil

from bench.client import BenchClient
from bench.contents import Original
from bench.folder import Folder
from bench.mariadb import running_mariadb
from bench.measure import Cost, measure, watch_memory
from bench.postgres import LOGGING_OPTIONS, Postgres, running_postgres
from bench.provided import running_api
from local.demo.client import Json
from local.demo.story import make_key
from local.postgres import PostgresServer
from local.stack import RunningStack, start_stack, stop_signals
from settings import Settings

PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
_PEERS_PREFIX = "peers"
_LAKE_PREFIX = "lake"


class Source(Protocol):
    """What contestants read from: a server, or a folder of files. Each workload has a database of its own there."""

    @property
    def source_type(self) -> str:
        """As the API calls it."""

    def inputs(self, database: str) -> Json:
        """The connection's part of a source's payload."""

    def url(self, database: str) -> str:
        """The same for scripts: ``postgresql://user:password@host:port/database``."""

    def originals(self, database: str, tables: Sequence[str]) -> AbstractContextManager[Mapping[str, Original]]:
        """The tables as they are now, by name. They can be compared with until the block is over."""

    def drop(self, database: str) -> None: ...

    def cpu_seconds(self) -> float:
        """What the server has used until now."""

    def rows_read(self, database: str) -> int:
        """How many rows and index entries of the tables were read until now, as far as the server knows already."""


class ContestantError(Exception):
    """A peer's script failed. The text is the end of what it said."""


@dataclass
class Ground:
    home: Path
    source: Source
    platform: RunningStack
    client: BenchClient
    stop: threading.Event
    say: Callable[[str], None]

    @property
    def server(self) -> PostgresServer:
        """Of the workloads that write to their source, all of which know PostgreSQL's ways."""
        assert isinstance(self.source, Postgres)
        return self.source.server

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
        """Completes the cost that it is given by what the source and the store say before and after."""
        told: list[Cost] = []
        stored, read, used = self.objects(prefix), self.source.rows_read(database), self.source.cpu_seconds()
        yield told
        cost = told[0]
        cost.database_cpu_seconds = self.source.cpu_seconds() - used
        cost.source_rows_read = self._settled_rows_read(database) - read
        cost.bytes_written = sum(
            size for key, (version, size) in self.objects(prefix).items() if stored.get(key, ("", 0))[0] != version
        )

    def _settled_rows_read(self, database: str) -> int:
        """A session tells what it read when it ends, or a second after its transaction."""
        before = -1
        while before != (now := self.source.rows_read(database)):
            before = now
            self.stop.wait(1.2)
        return now


@contextmanager
def running(say: Callable[[str], None]) -> Iterator[Ground]:
    """In a folder that is gone afterwards."""
    with ExitStack() as stack:
        stop, in_haste = stack.enter_context(stop_signals())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncline-bench-")))
        home.chmod(0o711)
        source = stack.enter_context(running_postgres(home / "source"))
        os.environ["SYNCLINE_SOURCE_FOLDERS"] = str(_files(home))
        settings = Settings(home=home, lake_url=None, temporal_address=None, database_url=None)
        platform = stack.enter_context(start_stack(settings, lambda line: None, stop, in_haste))
        client = BenchClient(platform.api_url, make_key(platform, "bench"))
        stack.enter_context(client)
        yield Ground(home, source, platform, client, stop, say)


@contextmanager
def with_log(ground: Ground) -> Iterator[Ground]:
    """The same with a source of its own, whose log says which rows changed."""
    with running_postgres(ground.home / "logging-source", LOGGING_OPTIONS) as source:
        yield replace(ground, source=source)


def with_folder(ground: Ground) -> Ground:
    """The same with files as its source."""
    return replace(ground, source=Folder(_files(ground.home)))


@contextmanager
def with_mariadb(ground: Ground) -> Iterator[Ground]:
    """The same with a MariaDB as its source."""
    with running_mariadb(ground.home / "mariadb-source") as source:
        yield replace(ground, source=source)


@contextmanager
def with_api(ground: Ground, seconds: float = 0.0) -> Iterator[Ground]:
    """The same with a provider's API as its source, whose answers take so long."""
    with running_api(ground.home / "api", seconds) as source:
        yield replace(ground, source=source)


def _files(home: Path) -> Path:
    """The folder that the platform may read files of."""
    return home.resolve() / "files"
