"""The tables of the workloads, made in a database of their own. Every load ends vacuumed, so that nobody has to be the
first who reads new rows."""

from typing import Any

import psycopg

from local.demo.tpch import TABLES, load
from local.postgres import PostgresServer

CURSOR = "updated_at"
_WIDE_GROUPS = 60
"""Of five columns each."""


def tpch(server: PostgresServer, database: str, scale: float, names: list[str] | None = None) -> list[str]:
    """All of TPC-H's tables, or those; with its own columns only."""
    wanted = [table for table in TABLES if names is None or table.name in names]
    _make(server, database, lambda connection: load(connection, scale, wanted, cursor=False))
    return [table.name for table in wanted]


def lineitem_with_cursor(server: PostgresServer, database: str, rows: int) -> list[str]:
    """About so many rows of TPC-H's ``lineitem`` with ``updated_at``, indexed."""
    wanted = [table for table in TABLES if table.name == "lineitem"]
    _make(server, database, lambda connection: load(connection, rows / 6_000_000, wanted))
    return ["lineitem"]


def wide(server: PostgresServer, database: str, rows: int) -> list[str]:
    """300 columns of five types, a tenth of the values null."""
    columns, values = [], []
    for number in range(_WIDE_GROUPS):
        null = f"(n + {number}) % 10 = 0"
        for name, kind, value in (
            (f"i{number}", "integer", f"(n * {number + 7}) % 100000"),
            (f"b{number}", "boolean", f"(n + {number}) % 3 = 0"),
            (f"d{number}", "numeric(18,4)", f"(n * {number + 3} % 1000000) / 10000.0"),
            (f"t{number}", "text", f"'value ' || (n * {number + 11}) % 5000"),
            (f"s{number}", "timestamptz", f"timestamptz '2024-01-01Z' + make_interval(secs => n + {number})"),
        ):
            columns.append(f"{name} {kind}")
            values.append(f"CASE WHEN {null} THEN NULL ELSE {value} END")
    statement = (
        f"CREATE TABLE wide (id bigint, {', '.join(columns)}); "
        f"INSERT INTO wide SELECT n, {', '.join(values)} FROM generate_series(1::bigint, {rows}) n; "
        "ALTER TABLE wide ADD PRIMARY KEY (id)"
    )
    _make(server, database, lambda connection: connection.execute(statement.encode()))
    return ["wide"]


def wide_rows(server: PostgresServer, database: str, rows: int, row_bytes: int = 50_000) -> list[str]:
    """Documents of 50 kB that do not compress well: the digits of hashes."""
    hashes = row_bytes // 47
    statement = f"""
        CREATE TABLE documents (id bigint PRIMARY KEY, body jsonb);
        INSERT INTO documents SELECT n, (
            SELECT jsonb_object_agg('k' || k, md5(n || '-' || k)) FROM generate_series(1, {hashes}) k
        ) FROM generate_series(1::bigint, {rows}) n;
    """
    _make(server, database, lambda connection: connection.execute(statement.encode()))
    return ["documents"]


def many(server: PostgresServer, database: str, tables: int, rows: int) -> list[str]:
    """Small tables with a key and an indexed cursor."""
    names = [f"small_{number:03}" for number in range(tables)]

    def make(connection: psycopg.Connection[Any]) -> None:
        for number, name in enumerate(names):
            statement = f"""
                CREATE TABLE {name} (id bigint PRIMARY KEY, label text, amount numeric(12,2), {CURSOR} timestamptz);
                INSERT INTO {name} SELECT n, 'row ' || n, n * {number + 1} / 100.0,
                    timestamptz '2024-01-01Z' + make_interval(secs => n) FROM generate_series(1, {rows}) n;
                CREATE INDEX ON {name} ({CURSOR});
            """
            connection.execute(statement.encode())

    _make(server, database, make)
    return names


def _make(server: PostgresServer, database: str, make: Any) -> None:
    server.create_database(database)
    with server.connect(database) as connection:
        with connection.transaction():
            make(connection)
        connection.execute("VACUUM (FREEZE, ANALYZE)")
        connection.execute("CHECKPOINT")
