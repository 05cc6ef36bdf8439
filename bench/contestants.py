"""Whoever copies whole tables: we, and the peers. Each is one row of the printed table."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as ds
from deltalake import DeltaTable

from bench.ground import PEERS_PYTHON, Ground
from bench.measure import Cost
from bench.ours import PATIENCE, Ours, full_refresh
from bench.peers.parquet import file_system
from local.demo.story import lake_options


class Contestant(Protocol):
    name: str

    def copy(self) -> Iterator[tuple[str, Cost]]:
        """Copy all tables once, or more often under several names."""

    def dataset(self, table: str) -> ds.Dataset | None:
        """What the last copy of a table holds; None where it went nowhere."""

    def clean(self) -> None:
        """Remove what was copied."""


@dataclass(frozen=True)
class Job:
    ground: Ground
    database: str
    tables: Sequence[str]

    @property
    def url(self) -> str:
        return self.ground.source.url(self.database)

    @property
    def schema(self) -> str:
        """What stands before the name of a table."""
        return "public" if self.url.startswith("postgresql:") else self.database

    def place(self, name: str) -> str:
        return self.ground.place(f"{self.database}/{name}")


class Syncline:
    name = "Syncline"

    def __init__(self, job: Job, reloads: bool = True, patience: timedelta = PATIENCE) -> None:
        self._job, self._reloads = job, reloads
        self._ours = Ours(job.ground, job.database, patience)

    def copy(self) -> Iterator[tuple[str, Cost]]:
        self._ours.remove()
        yield "Syncline, create the source", self._ours.create(full_refresh(self._job.tables))
        if self._reloads:
            yield "Syncline, reload", self._ours.reload_all()

    def dataset(self, table: str) -> ds.Dataset:
        return self._ours.dataset(table)

    def clean(self) -> None:
        self._ours.remove()


class Floor:
    def __init__(
        self,
        job: Job,
        name: str = "floor script (Parquet)",
        python: Path | str = sys.executable,
        module: str = "bench.peers.floor",
    ) -> None:
        self.name = name
        self._python, self._module = python, module
        self._job, self._target = job, job.place("floor")

    def copy(self) -> Iterator[tuple[str, Cost]]:
        job = self._job
        task = {"url": job.url, "tables": list(job.tables), "store": job.ground.store, "target": self._target}
        yield self.name, job.ground.run_script(self._python, self._module, task, job.database)

    def dataset(self, table: str) -> ds.Dataset:
        files = file_system(self._job.ground.store)
        return ds.dataset(f"{self._target}/{table}.parquet", filesystem=files)

    def clean(self) -> None:
        self._job.ground.remove_objects(self._target)


class CopyOut:
    name = "COPY (FORMAT binary) to nowhere"

    def __init__(self, job: Job) -> None:
        self._job = job

    def copy(self) -> Iterator[tuple[str, Cost]]:
        task = {"url": self._job.url, "tables": list(self._job.tables)}
        yield self.name, self._job.ground.run_script(sys.executable, "bench.peers.copy_out", task, self._job.database)

    def dataset(self, table: str) -> None:
        return None

    def clean(self) -> None:
        """It leaves nothing."""


class Dlt:
    """A fresh pipeline for each round: its folder and its tables are removed before it.

    ``sqlalchemy`` makes Python objects of all values, which takes so much longer that one round is enough.
    """

    def __init__(self, job: Job, backend: str) -> None:
        self.name = f"dlt, {backend}"
        self._job, self._backend = job, backend
        self._target = job.place(f"dlt-{backend}")
        self._rounds = 0

    def copy(self) -> Iterator[tuple[str, Cost]]:
        if self._rounds and self._backend == "sqlalchemy":
            return
        self.clean()
        self._rounds += 1
        task = {
            "url": self._job.url,
            "schema": self._job.schema,
            "tables": list(self._job.tables),
            "backend": self._backend,
            "bucket_url": f"s3://{self._target}",
            "store": self._job.ground.store,
            "folder": str(self._job.ground.home / f"{self._job.database}-{self._backend}-{self._rounds}"),
        }
        yield self.name, self._job.ground.run_script(PEERS_PYTHON, "bench.peers.dlt_copy", task, self._job.database)

    def dataset(self, table: str) -> ds.Dataset:
        url = f"s3://{self._target}/copy/{table}"
        return DeltaTable(url, storage_options=lake_options(self._job.ground.platform)).to_pyarrow_dataset()

    def clean(self) -> None:
        self._job.ground.remove_objects(self._target)


class DltRest:
    """Lists of an API; each round is a fresh pipeline."""

    name = "dlt, rest_api"

    def __init__(self, job: Job, children: str | None, threads: int) -> None:
        """``children``: where the objects of each customer are."""
        self._job, self._children, self._threads = job, children, threads
        self._target = job.place("dlt-rest")
        self._rounds = 0

    def copy(self) -> Iterator[tuple[str, Cost]]:
        self.clean()
        self._rounds += 1
        (table,) = self._job.tables
        task = {
            "url": self._job.url,
            "table": table,
            "children": self._children,
            "bucket_url": f"s3://{self._target}",
            "store": self._job.ground.store,
            "folder": str(self._job.ground.home / f"{self._job.database}-dlt-{self._rounds}"),
            "threads": self._threads,
        }
        yield self.name, self._job.ground.run_script(PEERS_PYTHON, "bench.peers.dlt_rest", task, self._job.database)

    def dataset(self, table: str) -> ds.Dataset:
        url = f"s3://{self._target}/copy/{table}"
        return DeltaTable(url, storage_options=lake_options(self._job.ground.platform)).to_pyarrow_dataset()

    def clean(self) -> None:
        self._job.ground.remove_objects(self._target)


class Sling:
    """CSV on the same store: it writes no Delta tables, and for Parquet it downloads another program when it runs.

    Its whole process counts; it starts in no time.
    """

    name = "Sling (CSV)"

    def __init__(self, job: Job) -> None:
        self._job, self._target = job, job.place("sling")

    def copy(self) -> Iterator[tuple[str, Cost]]:
        total = Cost()
        for table in self._job.tables:
            total.add(self._copy_table(table))
        yield self.name, total

    def _copy_table(self, table: str) -> Cost:
        store, home = self._job.ground.store, self._job.ground.home / "sling"
        environment = {
            "SLING_HOME_DIR": str(home),
            "SLING_DISABLE_TELEMETRY": "TRUE",
            "SOURCE": self._job.url + ("?sslmode=disable" if self._job.schema == "public" else ""),
            "STORE": json.dumps({"type": "s3", **store}),
        }
        target = f"s3://{self._target}/{table}.csv"
        argv = [str(sling_program()), "run", "--src-conn", "SOURCE", "--src-stream", f"{self._job.schema}.{table}"]
        argv += ["--tgt-conn", "STORE", "--tgt-object", target]
        return self._job.ground.run_program(argv, self._job.database, environment=environment)

    def dataset(self, table: str) -> ds.Dataset:
        files, place = file_system(self._job.ground.store), f"{self._target}/{table}.csv"
        with files.open_input_stream(place) as stream:
            names = pa_csv.open_csv(stream).schema.names
        texts = pa_csv.ConvertOptions(column_types={name: pa.string() for name in names})
        return ds.dataset(place, filesystem=files, format=ds.CsvFileFormat(convert_options=texts))

    def clean(self) -> None:
        self._job.ground.remove_objects(self._target)


def sling_program() -> Path:
    """The last release whose package brings the program along: later ones download it when they are first run."""
    packages = next((PEERS_PYTHON.parent.parent / "lib").glob("python3*/site-packages"))
    return packages / "sling_linux_amd64" / "bin" / "sling-linux-amd64"
