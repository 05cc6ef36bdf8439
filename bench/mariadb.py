"""MariaDB as a source: what contestants are told of it, what it says of them, its tables and their checksums."""

import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pymysql

from bench.contents import NULL, SEPARATOR, Column, SourceTable
from bench.measure import tree_cpu_seconds
from local.binaries import find_program
from local.demo.client import Json
from local.demo.tpch import TABLES
from local.mariadb import MariaDbServer
from local.ports import choose_ports

_OPTIONS = {
    # The tables stay in memory, as PostgreSQL's do in that of the system.
    "innodb-buffer-pool-size": "2G",
    "innodb-log-file-size": "1G",
    "local-infile": "1",
    "userstat": "1",  # counts the rows that are read of a table
}
_TYPES = {"bigint": "bigint", "int": "integer", "date": "date", "varchar": "character varying", "text": "text"}


@dataclass(frozen=True)
class MariaDb:
    """``bench.ground.Source``."""

    server: MariaDbServer
    source_type = "MySQL"

    def inputs(self, database: str) -> Json:
        server = self.server
        return {
            "host": server.host,
            "port": server.port,
            "database": database,
            "user": server.user,
            "password": server.password,
        }

    def url(self, database: str) -> str:
        server = self.server
        return f"mysql://{server.user}:{server.password}@{server.host}:{server.port}/{database}"

    @contextmanager
    def originals(self, database: str, tables: Sequence[str]) -> Iterator[dict[str, SourceTable]]:
        with self.server.connect(database) as connection:
            yield {name: SourceTable(_Sums(connection, name)) for name in tables}

    def drop(self, database: str) -> None:
        self.server.drop_database(database)

    def cpu_seconds(self) -> float:
        ((pid_file,),) = self.server.rows("SELECT @@pid_file")
        return tree_cpu_seconds(psutil.Process(int(Path(pid_file).read_text())))

    def rows_read(self, database: str) -> int:
        query = "SELECT coalesce(sum(rows_read), 0) FROM information_schema.table_statistics WHERE table_schema = "
        ((found,),) = self.server.rows(f"{query}'{database}'")
        return int(found)


@contextmanager
def running_mariadb(folder: Path) -> Iterator[MariaDb]:
    """Its data are gone afterwards."""
    port = choose_ports(["mariadb"])["mariadb"]
    server = MariaDbServer(folder, port, secrets.token_hex(12), throwaway=True, options=_OPTIONS)
    server.start()
    ((data,),) = server.rows("SELECT @@datadir")
    try:
        yield MariaDb(server)
    finally:
        server.kill()
        shutil.rmtree(Path(data).parent)


def lineitem(server: MariaDbServer, database: str, scale: float) -> list[str]:
    """TPC-H's ``lineitem``, as the generator writes it; nothing of it is still to be written to the disk."""
    table = next(table for table in TABLES if table.name == "lineitem")
    server.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    server.execute(
        f"CREATE TABLE {table.name} ({table.columns}, PRIMARY KEY ({', '.join(table.primary_key)}))", database=database
    )
    argv = [str(find_program("tpchgen-cli", "tpchgen-cli")), "csv", f"--scale-factor={scale}"]
    argv += [f"--tables={table.name}", "--stdout", "--quiet"]
    with (
        subprocess.Popen(argv, stdout=subprocess.PIPE) as process,
        server.connect(database, local_infile=True) as connection,
        connection.cursor() as cursor,
    ):
        assert process.stdout
        cursor.execute(
            f"LOAD DATA LOCAL INFILE '/dev/fd/{process.stdout.fileno()}' INTO TABLE {table.name} "
            "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' IGNORE 1 LINES"
        )
        cursor.execute(f"ANALYZE TABLE {table.name}")
        cursor.execute(f"FLUSH TABLES {table.name} FOR EXPORT")
        cursor.execute("UNLOCK TABLES")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return [table.name]


class _Sums:
    """``bench.contents.Summed``."""

    def __init__(self, connection: "pymysql.Connection[Any]", name: str) -> None:
        self._connection, self._name = connection, name
        query = (
            "SELECT column_name, column_type FROM information_schema.columns "
            "WHERE table_schema = database() AND table_name = %s ORDER BY ordinal_position"
        )
        with connection.cursor() as cursor:
            cursor.execute(query, [name])
            self.columns: Sequence[Column] = [Column(column, _type(kind)) for column, kind in cursor.fetchall()]

    def of_rows(self) -> tuple[int, int]:
        texts = ", ".join(map(_text, self.columns))
        rows, checksum = self._ask(["count(*)", _sum(f"concat_ws({_literal(SEPARATOR)}, {texts})")])
        return rows, checksum

    def of_columns(self) -> list[int]:
        return self._ask([_sum(_text(column)) for column in self.columns])

    def _ask(self, expressions: Sequence[str]) -> list[int]:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(expressions)} FROM {self._name}")
            found = cursor.fetchone()
        assert found
        return [int(value) for value in found]


def _type(found: str) -> str:
    """As PostgreSQL calls it. Other types are not in these tables."""
    kind, arguments = re.fullmatch(r"([a-z]+)(\(.*\))?", found).groups("")  # type: ignore[union-attr]
    return f"numeric{arguments}" if kind == "decimal" else _TYPES[kind]


def _text(column: Column) -> str:
    return f"coalesce(cast({column.name} AS char), {_literal(NULL)})"


def _literal(text: str) -> str:
    return f"_utf8mb4 x'{text.encode().hex()}'"


def _sum(text: str) -> str:
    return f"coalesce(sum(cast(conv(left(md5({text}), 16), 16, 10) AS decimal(20))), 0)"
