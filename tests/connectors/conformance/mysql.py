from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.errors import CredentialsError, SourceError
from tests.connectors.conformance.server import ServerSubject
from tests.connectors.databases import own_database


class MySqlSubject(ServerSubject):
    source_type = "MySQL"
    types = {"integer": "BIGINT", "text": "VARCHAR(3000)", "time": "DATETIME"}  # noqa: RUF012

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["MySqlSubject"]:
        server = request.getfixturevalue("mariadb")
        with own_database(server) as database:
            yield cls(server, database)

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        return [*super().unwelcome(), ({"password": self.secret}, CredentialsError)]
