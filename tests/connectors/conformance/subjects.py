"""Every registered source type has a subject here: a new one is a line."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.connectors.conformance.files import FilesSubject
from tests.connectors.conformance.mysql import MySqlSubject
from tests.connectors.conformance.postgres import PostgresSubject
from tests.connectors.conformance.sqlite import SqliteSubject
from tests.connectors.conformance.subject import Subject

SUBJECTS: dict[str, Callable[[pytest.FixtureRequest], AbstractContextManager[Subject]]] = {
    "Postgres": PostgresSubject.opened,
    "MySQL": MySqlSubject.opened,
    "SQLite": SqliteSubject.opened,
    "Files": FilesSubject.opened,
}
