"""A source database under test, seen through the connector."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.base import CursorRange, DiscoveredTable, ReadRequest, RowFilter
from connectors.mysql import MySqlConnector
from connectors.mysql.config import MySqlConfig
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings
from local.mariadb import MariaDbServer
from tests.connectors.source import ReadResult

MYSQL = MySqlConnector()
ANYWHERE = Surroundings(OPEN)


@dataclass
class Source:
    server: MariaDbServer
    database: str

    def execute(self, *statements: str) -> None:
        self.server.execute(*statements, database=self.database)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.rows(statement, self.database)

    def inputs(self, **changes: Any) -> dict[str, Any]:
        return {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.database,
            "user": self.server.user,
            "password": self.server.password,
            **changes,
        }

    def config(self, **changes: Any) -> MySqlConfig:
        return MYSQL.parse_config(self.inputs(**changes), ANYWHERE)

    def discover(self, *names: str, **changes: Any) -> dict[str, DiscoveredTable]:
        found = MYSQL.discover(self.config(**changes), names or None)
        assert len({table.name for table in found}) == len(found)
        return {table.name: table for table in found}

    def read(
        self,
        table: str,
        *,
        cursor: CursorRange | None = None,
        filters: tuple[RowFilter, ...] = (),
        config: MySqlConfig | None = None,
        **request: Any,
    ) -> ReadResult:
        wanted = ReadRequest(table, "test-read", cursor=cursor, row_filters=filters, **request)
        with MYSQL.read(config or self.config(), wanted) as read:
            batches = list(read.batches())
            return ReadResult(pa.Table.from_batches(batches, read.schema), batches, read.report)
