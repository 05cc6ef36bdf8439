"""Change data capture of a real source through the whole platform: the lake table equals the source."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import psycopg
import pytest

from local.postgres import PostgresServer
from tests.integration.conftest import SourceDatabase
from tests.kit.compare import counted, source_rows, storage_options
from tests.kit.platform import Platform, eventually, named
from tests.kit.servers import RunningStore

CDC = {"should_sync": True, "sync_type": "cdc", "sync_frequency": "never"}


@pytest.fixture
def captured(postgres: PostgresServer, object_store: RunningStore) -> Iterator[SourceDatabase]:
    """A database of this test alone; nothing is left of it, slots included."""
    database = SourceDatabase(postgres, postgres.create_database(), object_store)
    yield database
    with postgres.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = %s AND active",
            [database.name],
        )
        eventually(lambda: not _slots(connection, database, "AND active"), "the slot's reader to end")
        connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", [database.name]
        )
    postgres.drop_database(database.name)


def _slots(connection: psycopg.Connection[Any], database: SourceDatabase, more: str = "") -> list[tuple[Any, ...]]:
    query = f"SELECT slot_name FROM pg_replication_slots WHERE database = %s {more}"
    return connection.execute(query.encode(), [database.name]).fetchall()


def enable(platform: Platform, source: dict[str, Any], **settings: Any) -> None:
    platform.call("POST", f"/external_data_sources/{source['id']}/enable_cdc/", settings)


def follow(platform: Platform, schema: dict[str, Any], **settings: Any) -> None:
    platform.call("PATCH", f"/external_data_schemas/{schema['id']}/", {**CDC, **settings})


SETUP = [
    "CREATE TABLE orders (id bigint PRIMARY KEY, customer text, amount numeric(12,2), note text, at timestamptz)",
    "ALTER TABLE orders ALTER COLUMN note SET STORAGE EXTERNAL",
    "INSERT INTO orders SELECT n, 'c' || n % 10, n / 7.0, repeat('long ' || n, 1000), now() "
    "FROM generate_series(1, 500) n",
]


def test_a_table_follows_its_source(platform: Platform, captured: SourceDatabase) -> None:
    captured.execute(*SETUP)
    source = platform.create_source(captured.inputs, [])
    orders = named(source, "orders")
    enable(platform, source)
    follow(platform, orders)
    platform.reload(orders)
    job = platform.wait_for_jobs(source, orders)[0]
    assert job["status"] == "Completed", job["latest_error"]
    captured.assert_in_lake(platform, orders)

    captured.execute(
        "INSERT INTO orders VALUES (1000, 'new', 1, 'n', now())",
        "UPDATE orders SET amount = amount + 1 WHERE id <= 50",
        "UPDATE orders SET id = id + 5000 WHERE id BETWEEN 100 AND 110",
        "DELETE FROM orders WHERE id BETWEEN 200 AND 250",
        "BEGIN; DELETE FROM orders WHERE id = 300; INSERT INTO orders VALUES (300, 'again', null, null, null); COMMIT",
    )
    settle(platform, source, orders)
    captured.assert_in_lake(platform, orders)


def settle(platform: Platform, source: dict[str, Any], *schemas: dict[str, Any]) -> None:
    """Bring these tables up to date: a run that is asked for has all that was committed before."""
    for schema in schemas:
        job = platform.sync(source, schema)
        assert job["status"] == "Completed", job["latest_error"]


def history(platform: Platform, schema: dict[str, Any], store: RunningStore) -> pl.DataFrame:
    """The table of all versions, as its own path has it."""
    table = platform.schema(schema["id"])["table"]
    url = table["url_pattern"] if table["name"].endswith("_cdc") else f"{table['url_pattern'].rstrip('/')}_cdc"
    return pl.read_delta(url, storage_options=storage_options(store))


@pytest.mark.parametrize("mode", ["both", pytest.param("cdc_only", marks=pytest.mark.long)])
def test_a_history_has_every_version(platform: Platform, captured: SourceDatabase, mode: str) -> None:
    captured.execute(
        "CREATE TABLE other (id int PRIMARY KEY)",
        "CREATE TABLE t (id int PRIMARY KEY, v text, long text)",
        "ALTER TABLE t ALTER COLUMN long SET STORAGE EXTERNAL",
        "INSERT INTO t SELECT n, 'v' || n, repeat('long', 2000) FROM generate_series(1, 20) n",
    )
    source = platform.create_source(captured.inputs, [])
    t = named(source, "t")
    enable(platform, source)
    follow(platform, t, cdc_table_mode=mode)
    settle(platform, source, t)
    captured.execute("UPDATE t SET v = 'a' WHERE id = 1", "UPDATE t SET v = 'b' WHERE id = 1")
    settle(platform, source, t)
    captured.execute(
        "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 'again', 'x')", "DELETE FROM t WHERE id = 2"
    )
    settle(platform, source, t)
    settle(platform, source, t)

    versions = history(platform, t, captured.store).sort("_sync_lsn", "_sync_ordinal")
    of_one = versions.filter(pl.col("id") == 1)
    assert of_one["_sync_op"].to_list() == ["insert", "update", "update", "delete", "insert"]
    assert of_one["v"].to_list() == ["v1", "a", "b", None, "again"]
    assert of_one["long"].to_list()[1] == "long" * 2000
    begun, ended = of_one["_sync_valid_from"].to_list(), of_one["_sync_valid_to"].to_list()
    assert ended == [begun[1], begun[2], begun[3], begun[3], None]
    current = versions.filter(pl.col("_sync_valid_to").is_null()).select("id", "v", "long")
    assert counted(current.rows()) == source_rows(captured.dsn, "t")
    if mode == "both":
        captured.assert_in_lake(platform, t)

    # What is recorded stays, also where the log has a gap: here the table is not captured for a while.
    platform.call("PATCH", f"/external_data_schemas/{t['id']}/", {"should_sync": False})
    captured.execute("UPDATE t SET v = 'unseen' WHERE id = 3")
    follow(platform, named(source, "other"))
    settle(platform, source, named(source, "other"))
    follow(platform, t)
    settle(platform, source, t)
    after = history(platform, t, captured.store)
    assert after.height > versions.height
    current = after.filter(pl.col("_sync_valid_to").is_null()).select("id", "v", "long")
    assert counted(current.rows()) == source_rows(captured.dsn, "t")
    kept = after.filter((pl.col("id") == 1) & (pl.col("_sync_op") == "update"))["v"].to_list()
    assert sorted(kept) == ["a", "b"]
