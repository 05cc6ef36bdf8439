"""Queries in their own processes, over a lake in a folder."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lake.storage import LakeStore
from query.errors import UnknownTableError
from query.messages import Format, LakeTable, NamedTable, QueryLimits, Summary
from query.runner import QueryRunner


@dataclass
class Project:
    """Tables of a lake, and a runner with its limits."""

    runner: QueryRunner
    folder: str
    tables: dict[str, NamedTable] = field(default_factory=dict)

    def write(self, name: str, rows: pa.Table, **options: Any) -> None:
        path = f"{self.folder}/{name}"
        store = self.runner.store
        write_deltalake(store.uri(path), rows, storage_options=store.storage_options(), **options)
        self.tables[name] = LakeTable(name, path)

    def resolve(self, names: list[str]) -> list[NamedTable]:
        for name in names:
            if name not in self.tables:
                raise UnknownTableError(f"There is no table {name}.")
        return [self.tables[name] for name in names]

    def ask(self, sql: str, rows: int = 1000, format: Format = Format.JSON) -> tuple[bytes, Summary]:
        answer = self.runner.run(sql, rows, format, self.resolve)
        with answer.body as body:
            return body.read(), answer.summary

    def arrow(self, sql: str, rows: int = 1_000_000) -> pa.Table:
        body, _ = self.ask(sql, rows, Format.ARROW)
        return pa.ipc.open_stream(body).read_all()


@contextmanager
def project_with(folder: Path, limits: QueryLimits, most_at_once: int = 2) -> Iterator[Project]:
    runner = QueryRunner(LakeStore(f"file://{folder}/lake"), limits, most_at_once, 1_000_000)
    yield Project(runner, "project_1")
    runner.close()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project_with(tmp_path_factory.mktemp("queries"), QueryLimits()) as project:
        yield project


@pytest.fixture
def project(shared: Project) -> Project:
    """With tables of this test alone."""
    return Project(shared.runner, f"project_{secrets.token_hex(4)}")
