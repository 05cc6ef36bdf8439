from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.errors import CredentialsError, SourceError, UnreachableError
from local.mariadb import MariaDbServer
from local.ports import choose_ports
from tests.connectors.conformance.subject import SqlSubject


class MySqlSubject(SqlSubject):
    source_type = "MySQL"
    types = {"integer": "BIGINT", "text": "VARCHAR(3000)", "time": "DATETIME"}  # noqa: RUF012

    def __init__(self, server: MariaDbServer, database: str) -> None:
        self.server = server
        self.database = database

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["MySqlSubject"]:
        server: MariaDbServer = request.getfixturevalue("mariadb")
        database = server.create_database()
        yield cls(server, database)
        server.drop_database(database)

    def inputs(self) -> dict[str, Any]:
        return {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.database,
            "user": self.server.user,
            "password": self.server.password,
        }

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [({"host": ""}, "host"), ({"host": "a b"}, "host"), ({"port": "x"}, "port"), ({"user": None}, "user")]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        return [
            ({"database": "nowhere"}, CredentialsError),
            ({"password": self.secret}, CredentialsError),
            ({"user": "nobody", "password": self.secret}, CredentialsError),
            ({"port": choose_ports(["nobody"])["nobody"], "password": self.secret}, UnreachableError),
        ]

    def execute(self, statement: str) -> None:
        self.server.execute(statement, database=self.database)
