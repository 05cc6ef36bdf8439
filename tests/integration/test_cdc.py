"""Change data capture of a real source through the whole platform: the lake table equals the source."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from tests.integration.conftest import SourceDatabase
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
