import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import ConfigurationError, SourceError
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings
from tests.connectors.conformance.subject import SqlSubject


class SqliteSubject(SqlSubject):
    source_type = "SQLite"
    types = {"integer": "BIGINT", "text": "TEXT", "time": "DATETIME"}  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        self.path = folder / "data" / "shop.db"
        for each in (self.path.parent, folder / "other"):
            each.mkdir()
        self.execute("VACUUM")
        self.surroundings = Surroundings(OPEN, (self.path.parent,))
        self.closed = Surroundings(OPEN, (folder / "other",))

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["SqliteSubject"]:
        folder: Path = request.getfixturevalue("tmp_path")
        yield cls(folder.resolve())

    def inputs(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [({"path": ""}, "path"), ({"path": "data/shop.db"}, "path"), ({"path": 7}, "path")]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        notes = self.path.with_name("notes.txt")
        notes.write_text("no database" * 100)
        return [({"path": str(path)}, ConfigurationError) for path in (self.path.with_name("gone.db"), notes)]

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(statement)
