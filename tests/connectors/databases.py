"""Databases of real servers, each of them of one test alone, seen through the connector."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from connectors.base import Connector, CursorRange, DiscoveredTable, ReadRequest, RowFilter
from connectors.outbound import OPEN
from connectors.servers import ServerConfig
from connectors.surroundings import Surroundings
from tests.connectors.reading import ReadResult, read_all

ANYWHERE = Surroundings(OPEN)


class Server(Protocol):
    host: str
    port: int
    user: str
    password: str

    def create_database(self) -> str: ...

    def drop_database(self, name: str) -> None: ...

    def execute(self, statement: str, /, *, database: str) -> None: ...


ServerT = TypeVar("ServerT", bound=Server)
ConfigT = TypeVar("ConfigT", bound=ServerConfig)


@contextmanager
def own_database(server: Server) -> Iterator[str]:
    name = server.create_database()
    yield name
    server.drop_database(name)


def login(server: Server, database: str) -> dict[str, Any]:
    """What a user types into the form."""
    return {
        "host": server.host,
        "port": server.port,
        "database": database,
        "user": server.user,
        "password": server.password,
    }


@dataclass
class DatabaseSource(Generic[ServerT, ConfigT]):
    server: ServerT
    database: str

    connector: ClassVar[Connector]

    def inputs(self, **changes: Any) -> dict[str, Any]:
        return {**login(self.server, self.database), **changes}

    def config(self, **changes: Any) -> ConfigT:
        config: ConfigT = self.connector.parse_config(self.inputs(**changes), ANYWHERE)
        return config

    def discover(self, *names: str, **changes: Any) -> dict[str, DiscoveredTable]:
        found = self.connector.discover(self.config(**changes), names or None)
        assert len({table.name for table in found}) == len(found)
        return {table.name: table for table in found}

    def read(
        self,
        table: str,
        *,
        cursor: CursorRange | None = None,
        filters: tuple[RowFilter, ...] = (),
        config: ConfigT | None = None,
        **request: Any,
    ) -> ReadResult:
        wanted = ReadRequest(table, "test-read", cursor=cursor, row_filters=filters, **request)
        return read_all(self.connector, config or self.config(), wanted)
