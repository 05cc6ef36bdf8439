"""Random transactions while everything is killed at random: at every stop the lake equals the source.

Another seed: ``SYNCLINE_CDC_SEEDS=17,99 pytest tests/integration/test_cdc_random.py``; ``make soak`` runs 200.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from tests.integration.conftest import SourceDatabase
from tests.integration.test_cdc import enable, settle
from tests.kit.compare import assert_follows
from tests.kit.platform import Platform, named, run_platform
from tests.kit.servers import MetadataTemplates, RunningStore, RunningTemporal, run_postgres
from tests.kit.transactions import NAMES, SETUP, Transactions

WRITERS = 2
ROUNDS = 3
TRANSACTIONS_A_ROUND = 60


def seeds() -> list[int]:
    given = os.environ.get("SYNCLINE_CDC_SEEDS", "2")
    if ".." in given:
        first, last = given.split("..")
        return list(range(int(first), int(last) + 1))
    return [int(seed) for seed in given.split(",")]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[int, PostgresServer]]:
    """Of this module alone, which kills them: each version takes its turn."""
    options = {"wal_level": "logical", "max_replication_slots": "20"}
    with run_postgres(16, **options) as older, run_postgres(18, **options) as newer:
        yield {0: older, 1: newer}


@pytest.fixture(scope="module")
def killed_platform(
    temporal: RunningTemporal,
    object_store: RunningStore,
    metadata_templates: MetadataTemplates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    url = metadata_templates.sqlite_copy(folder / "metadata.db")
    with run_platform(Path(folder), url, object_store.new_url(), temporal, object_store) as running:
        yield running


class Writer(threading.Thread):
    """Commits random transactions, so many; those that clash with another's are rolled back."""

    def __init__(self, database: SourceDatabase, transactions: Iterator[list[str]], count: int) -> None:
        super().__init__(daemon=True)
        self._database = database
        self._transactions = transactions
        self._count = count
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for _ in range(self._count):
                self._write(next(self._transactions))
        except Exception as error:
            self.failure = error

    def _write(self, statements: list[str]) -> None:
        """A server that is away or busy takes it later, or never: what counts is what it has."""
        with contextlib.suppress(psycopg.Error):
            with psycopg.connect(self._database.dsn, autocommit=True, connect_timeout=2) as connection:
                connection.execute("SET lock_timeout = '3s'")
                for statement in statements:
                    connection.execute(statement.encode())
            return
        time.sleep(0.05)


class Trouble:
    """One kind of misfortune after another, until it is over."""

    def __init__(self, platform: Platform, database: SourceDatabase, source: dict[str, Any], seed: int) -> None:
        self._platform = platform
        self._database = database
        self._source = source
        self._random = random.Random(seed)  # noqa: S311

    def strike(self) -> None:
        time.sleep(self._random.uniform(0.1, 1.5))
        self._random.choice([self._worker, self._worker, self._reader, self._server, self._reload, self._reload])()

    def _worker(self) -> None:
        self._platform.kill()
        self._platform.start_worker()

    def _reader(self) -> None:
        with self._database.server.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = %s AND active",
                [self._database.name],
            )

    def _server(self) -> None:
        self._database.server.kill()
        time.sleep(self._random.uniform(0, 1))
        self._database.server.restart()

    def _reload(self) -> None:
        for name in NAMES:
            self._platform.reload(named(self._source, name))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", seeds())
def test_the_lake_equals_the_source_whatever_is_killed(
    killed_platform: Platform, servers: dict[int, PostgresServer], object_store: RunningStore, seed: int
) -> None:
    print(f"SYNCLINE_CDC_SEEDS={seed}")
    platform, server = killed_platform, servers[seed % 2]
    database = SourceDatabase(server, server.create_database(), object_store)
    database.execute(*SETUP)
    transactions = [iter(Transactions(seed * 10 + number)) for number in range(WRITERS)]
    Writer(database, transactions[0], TRANSACTIONS_A_ROUND).run()
    source = platform.create_source(database.inputs, [])
    enable(platform, source, cdc_continuous=seed % 4 < 2)
    schemas = [named(source, name) for name in NAMES]
    try:
        for number, schema in enumerate(schemas):
            settings = {"should_sync": True, "sync_type": "cdc", "sync_frequency": "1min"}
            key = {"primary_key_columns": ["id"]} if schema["name"] == "whole" else {}
            platform.call("PATCH", f"/external_data_schemas/{schema['id']}/", settings | key)
            if number == 1:
                Writer(database, transactions[1], 10).run()
        trouble = Trouble(platform, database, source, seed)
        for _ in range(ROUNDS):
            writers = [Writer(database, each, TRANSACTIONS_A_ROUND) for each in transactions]
            for writer in writers:
                writer.start()
            while any(writer.is_alive() for writer in writers):
                trouble.strike()
            assert [writer.failure for writer in writers] == [None] * WRITERS
            settle(platform, source, *schemas)
            for schema in schemas:
                table = platform.schema(schema["id"])["table"]
                assert_follows(database.dsn, f'"{schema["name"]}"', table["url_pattern"], object_store)
    finally:
        platform.call("DELETE", f"/external_data_sources/{source['id']}/", status=204)
