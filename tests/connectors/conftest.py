"""A database of its own for each test, on every version of Postgres that the suite covers."""

from collections.abc import Iterator

import pytest

from local.postgres import PostgresServer
from tests.connectors.source import Source


@pytest.fixture
def source(postgres: PostgresServer) -> Iterator[Source]:
    database = postgres.create_database()
    yield Source(postgres, database)
    postgres.drop_database(database)


@pytest.fixture
def source18(postgres18: PostgresServer) -> Iterator[Source]:
    """For what does not depend on the version."""
    database = postgres18.create_database()
    yield Source(postgres18, database)
    postgres18.drop_database(database)
