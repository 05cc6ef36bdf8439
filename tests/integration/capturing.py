"""A source whose changes are captured, as a user has it, with what its server says of the slot."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import polars as pl
import psycopg

from local.postgres import PostgresServer
from tests.integration.conftest import SourceDatabase
from tests.kit.compare import assert_follows, assert_same, counted, source_table, storage_options
from tests.kit.platform import Platform, eventually, named
from tests.kit.servers import RunningStore

CDC = {"should_sync": True, "sync_type": "cdc", "sync_frequency": "never"}
ROWS = 1000


@contextmanager
def capture_database(server: PostgresServer, store: RunningStore) -> Iterator[SourceDatabase]:
    """A database of its own; nothing is left of it, slots included."""
    database = SourceDatabase(server, server.create_database(), store)
    try:
        yield database
    finally:
        drop_slots(database)
        server.drop_database(database.name)


def drop_slots(database: SourceDatabase) -> None:
    """As somebody does who knows nothing of us, or needs the disk."""
    with database.server.connect() as connection:

        def dropped() -> bool:
            connection.execute(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = %s AND active",
                [database.name],
            )
            try:
                connection.execute(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s",
                    [database.name],
                )
            except psycopg.errors.ObjectInUse:
                return False
            return True

        eventually(dropped, "the slot's reader to end")


def fill(database: SourceDatabase, *tables: str, rows: int = ROWS) -> None:
    for table in tables:
        database.execute(
            f"CREATE TABLE {table} (id bigint PRIMARY KEY, v text, n int)",
            f"INSERT INTO {table} SELECT n, 'v' || n, n FROM generate_series(1, {rows}) n",
        )


def change(database: SourceDatabase, *tables: str) -> None:
    """Some of everything, in one transaction; again and again as well."""
    for table in tables:
        database.execute("BEGIN; " + "; ".join(_changes(table)) + "; COMMIT")


def _changes(table: str) -> list[str]:
    return [
        f"INSERT INTO {table} SELECT max(id) + 1, 'new', 0 FROM {table}",
        f"INSERT INTO {table} SELECT max(id) + 1, 'newer', 0 FROM {table}",
        f"UPDATE {table} SET n = n + 1 WHERE id % 7 = 0",
        f"UPDATE {table} SET id = -id WHERE id = (SELECT max(id) FROM {table}) AND -id NOT IN (SELECT id FROM {table})",
        f"DELETE FROM {table} WHERE id = (SELECT min(id) FROM {table} WHERE id > 0)",
    ]


def swell(database: SourceDatabase, table: str) -> None:
    """Some 4 MB of the source's log: what cannot be compressed, in each row."""
    noise = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 120))"
    database.execute(f"UPDATE {table} SET v = {noise}")


@dataclass
class Captured:
    """``source`` as the API answered when it was made."""

    platform: Platform
    database: SourceDatabase
    source: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/external_data_sources/{self.source['id']}/"

    @property
    def slot(self) -> str:
        return f"syncline_{str(self.source['id']).replace('-', '')}"

    def schema(self, table: str) -> dict[str, Any]:
        return named(self.source, table)

    def patch(self, table: str, **settings: Any) -> None:
        self.platform.call("PATCH", f"/external_data_schemas/{self.schema(table)['id']}/", settings)

    def follow(self, *tables: str, **settings: Any) -> None:
        """Enabled, and being read: by itself a table of this frequency is not."""
        for table in tables:
            self.patch(table, **{**CDC, **settings})
            self.platform.reload(self.schema(table))

    def loaded(self, *tables: str) -> None:
        """Enabled, read and equal."""
        for table in tables:
            job = self.platform.wait_for_jobs(self.source, self.schema(table))[0]
            assert job["status"] == "Completed", (table, job["latest_error"])
        self.assert_equal(*tables)

    def jobs(self, table: str) -> list[dict[str, Any]]:
        return self.platform.jobs(self.source, self.schema(table))

    def settle(self, *tables: str) -> None:
        """A run that is asked for has all that was committed before; those of several tables run at once."""
        before = {table: len(self.jobs(table)) for table in tables}
        for table in tables:
            self.platform.reload(self.schema(table))
        for table in tables:
            job = self.platform.wait_for_jobs(self.source, self.schema(table), before[table] + 1)[0]
            assert job["status"] == "Completed", (table, job["latest_error"])

    def assert_equal(self, *tables: str) -> None:
        for table in tables:
            assert_follows(self.database.dsn, table, self.url(table), self.database.store)

    def assert_settled(self, *tables: str) -> None:
        """Nothing is lost or doubled, and the source need not keep what was written up to now."""
        end = self.number("SELECT (pg_current_wal_insert_lsn() - '0/0')::int8")
        self.settle(*tables)
        self.assert_equal(*tables)
        eventually(lambda: self.confirmed() >= end, "the slot to move")

    def assert_recorded(self, table: str) -> None:
        """The history beside the table has no version twice, and those that hold are the source's rows."""
        options = storage_options(self.database.store)
        versions = pl.read_delta(f"{self.url(table).rstrip('/')}_cdc", storage_options=options)
        columns, found = source_table(self.database.dsn, table)
        current = versions.filter(pl.col("_sync_valid_to").is_null()).select(columns)
        assert_same(counted(found), counted(current.rows()))
        changes = versions.select("id", "_sync_lsn", "_sync_ordinal", "_sync_op")
        assert changes.n_unique() == changes.height

    def url(self, table: str) -> str:
        found = self.platform.schema(self.schema(table)["id"])["table"]
        assert found is not None, f"{table} has no table"
        return str(found["url_pattern"])

    def reads(self, table: str) -> int:
        """How often it was read from the source as a whole."""
        return sum(line["fields"].get("action") in ("rebuild", "overwrite") for line in self.lines(table))

    def told(self, table: str) -> list[str]:
        """What its runs have done, the oldest first."""
        return [line["fields"]["event"] for line in self.lines(table)]

    def lines(self, table: str) -> list[dict[str, Any]]:
        """Of the logs of all runs, the oldest first."""
        page = self.platform.call("GET", f"/external_data_schemas/{self.schema(table)['id']}/logs/?limit=500")
        lines: list[dict[str, Any]] = page["results"][::-1]
        return lines

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.platform.call("GET", f"{self.path}cdc_status/")
        return found

    def events(self) -> list[str]:
        """The oldest first."""
        return [event["fields"]["event"] for event in self.status()["events"]][::-1]

    def latest_error(self) -> str | None:
        error: str | None = self.platform.call("GET", self.path)["latest_error"]
        return error

    def number(self, query: str) -> int:
        with psycopg.connect(self.database.dsn, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def confirmed(self, slot: str | None = None) -> int:
        return self.number(
            "SELECT coalesce(max(confirmed_flush_lsn - '0/0'), 0)::int8 FROM pg_replication_slots "
            f"WHERE slot_name = '{slot or self.slot}'"
        )

    def at_source(self) -> tuple[int, int]:
        """How many slots and publications there are in the database."""
        return (
            self.number("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"),
            self.number("SELECT count(*) FROM pg_publication"),
        )

    def delete(self) -> None:
        self.platform.call("DELETE", self.path, status=204)


def begin(
    platform: Platform,
    database: SourceDatabase,
    *tables: str,
    table_settings: Mapping[str, dict[str, Any]] | None = None,
    **settings: Any,
) -> Captured:
    """A source whose changes are captured, and these tables of it, which are made and being read."""
    fill(database, *tables)
    captured = Captured(platform, database, platform.create_source(database.inputs, []))
    platform.call("POST", f"{captured.path}enable_cdc/", settings)
    for table in tables:
        captured.follow(table, **(table_settings or {}).get(table, {}))
    return captured


@contextmanager
def writing(database: SourceDatabase, *tables: str, pause_seconds: float = 0.02) -> Iterator[None]:
    """Somebody changes the tables meanwhile. A server that is away is waited for."""
    stop = threading.Event()
    failures: list[Exception] = []

    def write() -> None:
        statements = cycle([statement for table in tables for statement in _changes(table)])
        try:
            while not stop.is_set():
                _write(database, statements, stop, pause_seconds)
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()
    if failures:
        raise failures[0]


def _write(database: SourceDatabase, statements: Iterator[str], stop: threading.Event, pause_seconds: float) -> None:
    try:
        with psycopg.connect(database.dsn, autocommit=True, connect_timeout=2) as connection:
            while not stop.wait(pause_seconds):
                connection.execute(next(statements).encode())
    except psycopg.OperationalError:
        stop.wait(0.1)


@contextmanager
def watched(look: Callable[[], int], least: int) -> Iterator[None]:
    """A reader who never sees fewer rows than that."""
    stop = threading.Event()
    seen: list[int] = []
    failures: list[Exception] = []

    def watch() -> None:
        try:
            while not stop.wait(0.05):
                seen.append(look())
        except Exception as error:
            failures.append(error)

    reader = threading.Thread(target=watch, daemon=True)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        reader.join()
    assert failures == []
    assert seen
    assert min(seen) >= least


def statuses(jobs: Sequence[dict[str, Any]]) -> list[str]:
    """The newest first."""
    return [job["status"] for job in jobs]
