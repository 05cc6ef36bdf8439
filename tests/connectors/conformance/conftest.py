from collections.abc import Iterator

import pytest

from local.postgres import PostgresServer
from tests.connectors.conformance.subject import Subject
from tests.connectors.conformance.subjects import SUBJECTS


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """A source of every kind, one after the other."""
    with SUBJECTS[request.param](request) as found:
        yield found


@pytest.fixture(scope="session")
def postgres_database(postgres18: PostgresServer) -> Iterator[str]:
    """For many tests, each of which has a schema in it."""
    database = postgres18.create_database()
    yield database
    postgres18.drop_database(database)
