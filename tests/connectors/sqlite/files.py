"""A database file under test, written by SQLite's own library and read through the connector."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.base import CursorRange, DiscoveredTable, ReadRequest, RowFilter
from connectors.outbound import OPEN
from connectors.sqlite import SqliteConnector
from connectors.sqlite.config import SqliteConfig
from connectors.surroundings import Surroundings
from tests.connectors.source import ReadResult

SQLITE = SqliteConnector()


@dataclass
class SqliteFile:
    path: Path

    def connect(self, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, **options)

    def execute(self, statements: str) -> None:
        with closing(self.connect()) as connection:
            connection.executescript(statements)

    def insert(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with closing(self.connect()) as connection:
            connection.execute("BEGIN")
            for row in rows:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            connection.execute("COMMIT")

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection:
            return connection.execute(statement).fetchall()

    def config(self) -> SqliteConfig:
        return SQLITE.parse_config({"path": str(self.path)}, Surroundings(OPEN, (self.path.parent,)))

    def discover(self, *names: str) -> dict[str, DiscoveredTable]:
        return {table.name: table for table in SQLITE.discover(self.config(), names or None)}

    def read(
        self, table: str, *, cursor: CursorRange | None = None, filters: tuple[RowFilter, ...] = (), **request: Any
    ) -> ReadResult:
        wanted = ReadRequest(table, "test-read", cursor=cursor, row_filters=filters, **request)
        with SQLITE.read(self.config(), wanted) as read:
            batches = list(read.batches())
            return ReadResult(pa.Table.from_batches(batches, read.schema), batches, read.report)

    def beside(self) -> set[str]:
        """What lies in the file's folder."""
        return {path.name for path in self.path.parent.iterdir()}
