"""A database of its own for each test."""

from collections.abc import Iterator

import pytest

from local.mariadb import MariaDbServer
from tests.connectors.mysql.source import Source


@pytest.fixture
def source(mariadb: MariaDbServer) -> Iterator[Source]:
    database = mariadb.create_database()
    yield Source(mariadb, database)
    mariadb.drop_database(database)
