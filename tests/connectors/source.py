"""A database of PostgreSQL under test, seen through the connector."""

from dataclasses import dataclass
from typing import Any

from connectors.postgres import PostgresConnector
from connectors.postgres.config import PostgresConfig
from local.postgres import PostgresServer
from tests.connectors.databases import DatabaseSource
from tests.connectors.reading import ReadResult

__all__ = ["POSTGRES", "ReadResult", "Source"]

POSTGRES = PostgresConnector()


@dataclass
class Source(DatabaseSource[PostgresServer, PostgresConfig]):
    connector = POSTGRES

    def execute(self, statements: str) -> None:
        self.server.execute(statements, self.database)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.server.connect(self.database) as connection:
            connection.execute("SET timezone = 'UTC'")
            return connection.execute(statement.encode()).fetchall()

    def inputs(self, **changes: Any) -> dict[str, Any]:
        return super().inputs(**{"schema": "public", **changes})
