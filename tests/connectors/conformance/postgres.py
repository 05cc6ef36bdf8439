import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.errors import ConfigurationError, SourceError
from tests.connectors.conformance.server import ServerSubject
from tests.connectors.databases import Server


class PostgresSubject(ServerSubject):
    source_type = "Postgres"
    types = {"integer": "bigint", "text": "text", "time": "timestamp"}  # noqa: RUF012

    def __init__(self, server: Server, database: str, schema: str) -> None:
        super().__init__(server, database)
        self.schema = schema

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["PostgresSubject"]:
        server, database = (request.getfixturevalue(name) for name in ("postgres18", "postgres_database"))
        subject = cls(server, database, f"s{secrets.token_hex(6)}")
        subject.execute(f"CREATE SCHEMA {subject.schema}")
        yield subject

    def inputs(self) -> dict[str, Any]:
        return {**super().inputs(), "schema": self.schema}

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        return [*super().unwelcome(), ({"schema": "nowhere"}, ConfigurationError)]

    def execute(self, statement: str) -> None:
        super().execute(f"SET search_path TO {self.schema}; {statement}")
