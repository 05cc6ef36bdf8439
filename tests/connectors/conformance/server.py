from typing import Any

from connectors.errors import CredentialsError, SourceError, UnreachableError
from local.ports import choose_ports
from tests.connectors.conformance.subject import SqlSubject
from tests.connectors.databases import Server, login


class ServerSubject(SqlSubject):
    """A database of a server that one logs in to."""

    def __init__(self, server: Server, database: str) -> None:
        self.server = server
        self.database = database

    def inputs(self) -> dict[str, Any]:
        return login(self.server, self.database)

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [({"host": ""}, "host"), ({"host": "a b"}, "host"), ({"port": "x"}, "port"), ({"user": None}, "user")]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        return [
            ({"database": "nowhere"}, CredentialsError),
            ({"user": "nobody", "password": self.secret}, CredentialsError),
            ({"port": choose_ports(["nobody"])["nobody"], "password": self.secret}, UnreachableError),
        ]

    def execute(self, statement: str) -> None:
        self.server.execute(statement, database=self.database)
