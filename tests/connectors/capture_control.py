"""A source whose changes are captured, seen from the side that sets it up."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import pq

from connectors.capture import CaptureProblem, CaptureSetup, CaptureStatus, FollowedTable, TableShape
from connectors.errors import SourceError
from connectors.postgres import PostgresConnector
from connectors.postgres.config import PostgresConfig
from connectors.postgres.replication.shapes import shapes
from tests.connectors.source import Source

POSTGRES = PostgresConnector()
PASSWORD = "s3cret"


def followed(name: str, *key: str) -> FollowedTable:
    return FollowedTable(f"id of {name}", name, key or ("id",))


@dataclass
class Captured:
    """``config`` may be of a role that lacks rights; ``source`` is the superuser's."""

    source: Source
    managed: bool = True
    config: PostgresConfig = field(init=False)
    setup: CaptureSetup = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.source.config()
        name = f"syncline_{self.source.database}"
        self.setup = CaptureSetup(name, name, self.managed)

    def become(self, role: str) -> None:
        self.config = self.source.config(user=role, password=PASSWORD)

    def set_up(self, *tables: str) -> int:
        return POSTGRES.set_up_capture(self.config, self.setup, tables)

    def tear_down(self) -> None:
        POSTGRES.tear_down_capture(self.config, self.setup)

    def publish(self, *tables: str) -> Mapping[str, SourceError]:
        return POSTGRES.publish_tables(self.config, self.setup, tables)

    def status(self) -> CaptureStatus:
        return POSTGRES.capture_status(self.config, self.setup)

    def problems(self, *tables: FollowedTable, existing: bool = False) -> list[CaptureProblem]:
        found = POSTGRES.capture_problems(self.config, self.setup, tables, existing)
        for problem in found:
            assert problem.message.endswith(".")
            assert "\n" not in problem.message + problem.fix
            assert PASSWORD not in problem.message + problem.fix
        return found

    def codes(self, *tables: FollowedTable, existing: bool = False) -> list[str]:
        return [problem.code for problem in self.problems(*tables, existing=existing)]

    def mend(self, *tables: FollowedTable, existing: bool = False) -> list[str]:
        """Run the fix of each problem, as it is given, until there is none; the codes of those that there were."""
        met: list[str] = []
        while problems := self.problems(*tables, existing=existing):
            assert problems[0].code not in met, "the fix did not help"
            met.append(problems[0].code)
            # Each statement by itself, as a user would run it.
            for statement in problems[0].fix.split(" -- ")[0].rstrip(";").split("; "):
                self.source.execute(statement)
        return met

    def shapes(self, *names: str) -> dict[str, TableShape]:
        """By name; asked as the stream asks."""
        wanted = [FollowedTable(name, name, ("id",)) for name in names]
        with self.source.server.connect(self.source.database) as connection:
            return shapes(connection, self.config, wanted, self.setup.publication)

    def value(self, query: str) -> Any:
        ((value,),) = self.source.rows(query)
        return value

    def slots(self) -> int:
        return int(self.value(f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{self.setup.slot}'"))

    def publications(self) -> int:
        return int(self.value(f"SELECT count(*) FROM pg_publication WHERE pubname = '{self.setup.publication}'"))

    @contextmanager
    def reader(self, slot: str | None = None) -> Iterator[pq.PGconn]:
        """A session that streams from the slot, until somebody ends it."""
        info = f"{self.source.server.dsn(self.source.database)}?replication=database"
        stream = pq.PGconn.connect(info.encode())
        try:
            options = f"proto_version '1', publication_names '{self.setup.publication}'"
            started = stream.exec_(f"START_REPLICATION SLOT {slot or self.setup.slot} LOGICAL 0/0 ({options})".encode())
            assert started.status == pq.ExecStatus.COPY_BOTH, stream.error_message
            yield stream
        finally:
            stream.finish()

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection]:
        """A session of some other user, that does not commit by itself."""
        with closing(psycopg.connect(self.source.server.dsn(self.source.database))) as connection:
            yield connection
