"""A source of its own for each test, on every version of Postgres that the suite covers, and a lake in a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.storage import LakeStore
from local.postgres import PostgresServer
from tests.cdc.lab import Lab, open_lab
from tests.connectors.source import Source


@pytest.fixture
def source(postgres: PostgresServer) -> Iterator[Source]:
    database = postgres.create_database()
    yield Source(postgres, database)
    postgres.drop_database(database)


@pytest.fixture
def store(tmp_path: Path) -> LakeStore:
    return LakeStore(f"file://{tmp_path}/lake")


@pytest.fixture
def lab(source: Source, store: LakeStore) -> Iterator[Lab]:
    with open_lab(source, store) as lab:
        yield lab
