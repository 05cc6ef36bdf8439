"""A source database under test, seen through the connector."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.base import CursorRange, DiscoveredTable, ReadReport, ReadRequest, RowFilter
from connectors.outbound import OPEN
from connectors.postgres.config import PostgresConfig
from connectors.registry import connector
from connectors.surroundings import Surroundings
from local.postgres import PostgresServer

POSTGRES = connector("Postgres")
ANYWHERE = Surroundings(OPEN)


@dataclass
class Source:
    server: PostgresServer
    database: str

    def execute(self, statements: str) -> None:
        self.server.execute(statements, self.database)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.server.connect(self.database) as connection:
            connection.execute("SET timezone = 'UTC'")
            return connection.execute(statement.encode()).fetchall()

    def inputs(self, **changes: Any) -> dict[str, Any]:
        return {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.database,
            "user": self.server.user,
            "password": self.server.password,
            "schema": "public",
            **changes,
        }

    def config(self, **changes: Any) -> PostgresConfig:
        config = POSTGRES.parse_config(self.inputs(**changes), ANYWHERE)
        assert isinstance(config, PostgresConfig)
        return config

    def discover(self, *names: str, **changes: Any) -> dict[str, DiscoveredTable]:
        found = POSTGRES.discover(self.config(**changes), names or None)
        assert len({table.name for table in found}) == len(found)
        return {table.name: table for table in found}

    def read(
        self,
        table: str,
        *,
        cursor: CursorRange | None = None,
        filters: tuple[RowFilter, ...] = (),
        config: PostgresConfig | None = None,
        **request: Any,
    ) -> "ReadResult":
        wanted = ReadRequest(table, "test-read", cursor=cursor, row_filters=filters, **request)
        with POSTGRES.read(config or self.config(), wanted) as read:
            batches = list(read.batches())
            return ReadResult(pa.Table.from_batches(batches, read.schema), batches, read.report)


@dataclass
class ReadResult:
    table: pa.Table
    batches: list[pa.RecordBatch]
    report: ReadReport

    def column(self, name: str) -> list[Any]:
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def warnings(self) -> dict[tuple[str, str], int]:
        return {(each.column, each.reason): each.count for each in self.report.warnings}
