import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.errors import ConfigurationError, CredentialsError, SourceError, UnreachableError
from local.ports import choose_ports
from local.postgres import PostgresServer
from tests.connectors.conformance.subject import SqlSubject


class PostgresSubject(SqlSubject):
    source_type = "Postgres"
    types = {"integer": "bigint", "text": "text", "time": "timestamp"}  # noqa: RUF012

    def __init__(self, server: PostgresServer, database: str, schema: str) -> None:
        self.server = server
        self.database = database
        self.schema = schema

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["PostgresSubject"]:
        server: PostgresServer = request.getfixturevalue("postgres18")
        database: str = request.getfixturevalue("postgres_database")
        schema = f"s{secrets.token_hex(6)}"
        server.execute(f"CREATE SCHEMA {schema}", database)
        yield cls(server, database, schema)

    def inputs(self) -> dict[str, Any]:
        return {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.database,
            "user": self.server.user,
            "password": self.server.password,
            "schema": self.schema,
        }

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [({"host": ""}, "host"), ({"host": "a b"}, "host"), ({"port": "x"}, "port"), ({"user": None}, "user")]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        return [
            ({"database": "nowhere"}, CredentialsError),
            ({"user": "nobody", "password": self.secret}, CredentialsError),
            ({"schema": "nowhere"}, ConfigurationError),
            ({"port": choose_ports(["nobody"])["nobody"], "password": self.secret}, UnreachableError),
        ]

    def execute(self, statement: str) -> None:
        self.server.execute(f"SET search_path TO {self.schema}; {statement}", self.database)
