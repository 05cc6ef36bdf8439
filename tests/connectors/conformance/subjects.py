"""Every registered source type has a subject here: a new one is a line. One may have several, by where it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.connectors.conformance.files import FilesSubject
from tests.connectors.conformance.mysql import MySqlSubject
from tests.connectors.conformance.postgres import PostgresSubject
from tests.connectors.conformance.rest import RestSubject
from tests.connectors.conformance.singer import SingerSubject
from tests.connectors.conformance.sqlite import SqliteSubject, StoredSqliteSubject
from tests.connectors.conformance.subject import Subject

SUBJECTS: dict[str, Callable[[pytest.FixtureRequest], AbstractContextManager[Subject]]] = {
    "Postgres": PostgresSubject.opened,
    "MySQL": MySqlSubject.opened,
    "SQLite": SqliteSubject.opened,
    "SQLite in a bucket": StoredSqliteSubject.opened,
    "Files": FilesSubject.opened,
    "RestApi": RestSubject.opened,
    "Singer": SingerSubject.opened,
}
