"""A source of its own for each test, and a lake in a folder.

Each case runs on one version of Postgres, in turns, and on the other ones among the long proofs.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.storage import LakeStore
from local.postgres import PostgresServer
from tests.cdc.lab import Lab, open_lab
from tests.connectors.source import Source

VERSIONS = ("postgres16", "postgres18")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        version = getattr(item, "callspec", None) and item.callspec.params.get("postgres")  # type: ignore[attr-defined]
        if version is None or item.path.parent != Path(__file__).parent:
            continue
        name = item.name.replace(version, "")
        if VERSIONS[zlib.crc32(name.encode()) % len(VERSIONS)] != version:
            item.add_marker(pytest.mark.long)


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
