"""A database of its own for each test."""

from collections.abc import Iterator

import pytest

from local.mariadb import MariaDbServer
from tests.connectors.databases import own_database
from tests.connectors.mysql.source import Source


@pytest.fixture
def source(mariadb: MariaDbServer) -> Iterator[Source]:
    with own_database(mariadb) as database:
        yield Source(mariadb, database)
