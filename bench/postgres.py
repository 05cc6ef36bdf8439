"""PostgreSQL as a source: what contestants are told of it, what it says of them, and its tables' checksums."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from bench.contents import NULL, SEPARATOR, Column, SourceTable
from bench.measure import tree_cpu_seconds
from local.demo.client import Json
from local.demo.story import connection_inputs
from local.ports import choose_ports
from local.postgres import PostgresServer

OPTIONS = {
    "autovacuum": "off",  # the data are vacuumed when they are loaded: nothing then runs beside a contestant
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "512MB",
}
LOGGING_OPTIONS = {
    **OPTIONS,
    "wal_level": "logical",
    "max_wal_senders": "4",
    "max_replication_slots": "4",
}
"""Its log says which rows changed."""


@dataclass(frozen=True)
class Postgres:
    """``bench.ground.Source``."""

    server: PostgresServer
    source_type = "Postgres"

    def inputs(self, database: str) -> Json:
        return connection_inputs(self.server, database)

    def url(self, database: str) -> str:
        return self.server.dsn(database)

    @contextmanager
    def originals(self, database: str, tables: Sequence[str]) -> Iterator[dict[str, SourceTable]]:
        with self.server.connect(database) as connection:
            yield {name: table(connection, name) for name in tables}

    def drop(self, database: str) -> None:
        self.server.drop_database(database)

    def cpu_seconds(self) -> float:
        return tree_cpu_seconds(psutil.Process(self.server.pid))

    def rows_read(self, database: str) -> int:
        query = (
            "SELECT coalesce((SELECT sum(seq_tup_read) FROM pg_stat_user_tables), 0) + "
            "coalesce((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes), 0)"
        )
        with self.server.connect(database) as connection:
            found = connection.execute(query).fetchone()
        assert found
        return int(found[0])


@contextmanager
def running_postgres(folder: Path, options: Mapping[str, str] = OPTIONS) -> Iterator[Postgres]:
    port = choose_ports(["postgres"])["postgres"]
    server = PostgresServer(18, folder, port, secrets.token_hex(12), throwaway=True, options=options)
    try:
        server.start()
        yield Postgres(server)
    finally:
        server.remove()


def table(connection: psycopg.Connection[Any], name: str) -> SourceTable:
    """As it is now; its columns are compared while the connection is open."""
    return SourceTable(_Sums(connection, name))


class _Sums:
    """``bench.contents.Summed``."""

    def __init__(self, connection: psycopg.Connection[Any], name: str) -> None:
        self._connection, self._name = connection, name
        query = (
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        self.columns: Sequence[Column] = [Column(*row) for row in connection.execute(query, [f'public."{name}"'])]

    def of_rows(self) -> tuple[int, int]:
        texts = sql.SQL(", ").join(map(_text, self.columns))
        row = sql.SQL("concat_ws({}, VARIADIC ARRAY[{}])").format(SEPARATOR, texts)
        rows, checksum = self._ask([sql.SQL("count(*)"), _sum(row)])
        return rows, checksum

    def of_columns(self) -> list[int]:
        return self._ask([_sum(_text(column)) for column in self.columns])

    def _ask(self, expressions: Sequence[sql.Composable]) -> list[int]:
        query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(expressions), sql.Identifier(self._name))
        found = self._connection.execute(query).fetchone()
        assert found
        # A session counts what it read some seconds later, unless it is asked to: it would be somebody else's then.
        self._connection.execute("SELECT pg_stat_force_next_flush()")
        return [int(value) for value in found]


def _text(column: Column) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.type.startswith("timestamp"):
        text = "(extract(epoch FROM {}) * 1000000)::bigint::text"
    elif column.type.startswith(("character(", "bpchar")):
        # A cast to text would take the blanks away at the end.
        text = "textin(bpcharout({}))"
    else:
        text = "{}::text"
    return sql.SQL("coalesce({}, {})").format(sql.SQL(text).format(name), NULL)


def _sum(text: sql.Composable) -> sql.Composable:
    return sql.SQL("coalesce(sum(('x' || left(md5({}), 16))::bit(64)::bigint::numeric), 0)").format(text)
