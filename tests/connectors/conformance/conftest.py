from collections.abc import Iterator

import pytest

from local.postgres import PostgresServer
from tests.connectors.conformance.subject import Subject
from tests.connectors.conformance.subjects import SUBJECTS

OF_ITS_TYPE = {"SQLite in a bucket"}
"""Beside another subject of the same type: held to the suite where proofs may take longer."""


@pytest.fixture(params=[pytest.param(each, marks=[pytest.mark.long] * (each in OF_ITS_TYPE)) for each in SUBJECTS])
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
