from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import PostgresServer
from tests.connectors.conformance.subject import Subject
from tests.connectors.conformance.subjects import SUBJECTS

HERE = Path(__file__).parent
OF_ITS_TYPE = {"SQLite in a bucket"}
"""Beside another subject of the same type: held to the suite where proofs may take longer."""

LIKE_OTHERS = {("Singer", "test_filters")}
"""Reads that start a program each, in parts of the suite that run the same code for another subject."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            module = item.path.stem if item.path.parent == HERE else ""
            if (item.callspec.params.get("subject"), module) in LIKE_OTHERS:
                item.add_marker(pytest.mark.long)


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
