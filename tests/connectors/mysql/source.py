"""A database of MariaDB under test, seen through the connector."""

from dataclasses import dataclass
from typing import Any

from connectors.mysql import MySqlConnector
from connectors.mysql.config import MySqlConfig
from local.mariadb import MariaDbServer
from tests.connectors.databases import DatabaseSource

MYSQL = MySqlConnector()


@dataclass
class Source(DatabaseSource[MariaDbServer, MySqlConfig]):
    connector = MYSQL

    def execute(self, *statements: str) -> None:
        self.server.execute(*statements, database=self.database)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.rows(statement, self.database)
