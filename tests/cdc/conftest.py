"""A source of its own for each test, and a lake in a folder.

Each case runs on one version of Postgres, in turns, and on the other ones among the long proofs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.storage import LakeStore
from local.postgres import PostgresServer
from tests.cdc.lab import Lab, open_lab
from tests.connectors.source import Source
from tests.kit.turns import take_turns


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    take_turns(item for item in items if item.path.parent == Path(__file__).parent)


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
