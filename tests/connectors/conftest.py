"""A database of its own for each test, on every version of Postgres that the suite covers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.postgres import reader
from local.postgres import PostgresServer
from tests.connectors.databases import own_database
from tests.connectors.source import Source
from tests.connectors.tunnels import tunnels
from tests.kit.sshd import Sshd, run_sshd
from tests.kit.turns import take_turns


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the tests of change data capture, which are many."""
    here = (item for item in items if item.path.parent == Path(__file__).parent)
    take_turns(item for item in here if item.path.name.startswith(("test_postgres_stream", "test_postgres_capture")))


@pytest.fixture(autouse=True)
def fast_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of tests are small: without this only the narrow driver would be seen."""
    monkeypatch.setattr(reader, "FEW_VALUES", 0)


@pytest.fixture
def source(postgres: PostgresServer) -> Iterator[Source]:
    with own_database(postgres) as database:
        yield Source(postgres, database)


@pytest.fixture
def source18(postgres18: PostgresServer) -> Iterator[Source]:
    """For what does not depend on the version."""
    with own_database(postgres18) as database:
        yield Source(postgres18, database)


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with run_sshd() as server:
        yield server


@pytest.fixture
def no_tunnel_is_left() -> Iterator[None]:
    yield
    assert tunnels() == 0
