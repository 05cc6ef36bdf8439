"""A running installation on real servers, for tests that behave as a user does."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from tests.connectors.singer.programs import printing_tap, setting
from tests.kit.compare import assert_equal
from tests.kit.operator import Operator
from tests.kit.platform import Platform, run_platform
from tests.kit.servers import MetadataTemplates, RunningStore, RunningTemporal


@pytest.fixture(scope="session")
def platform(
    temporal: RunningTemporal,
    object_store: RunningStore,
    metadata_templates: MetadataTemplates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    """SQLite metadata, S3 lake. Shared: a test makes sources of its own and leaves the processes alone."""
    folder = tmp_path_factory.mktemp("platform")
    url = metadata_templates.sqlite_copy(folder / "metadata.db")
    taps = setting(printing_tap(folder))
    with run_platform(folder, url, object_store.new_url(), temporal, object_store, SINGER_TAPS=taps) as running:
        yield running


@pytest.fixture
def own_platform(
    temporal: RunningTemporal,
    object_store: RunningStore,
    sqlite_metadata_url: str,
    lake_url: str,
    tmp_path: Path,
) -> Iterator[Platform]:
    """Of this test alone, which may kill its processes."""
    with run_platform(tmp_path, sqlite_metadata_url, lake_url, temporal, object_store) as running:
        yield running


@pytest.fixture
def idle_platform(
    temporal: RunningTemporal,
    object_store: RunningStore,
    sqlite_metadata_url: str,
    lake_url: str,
    tmp_path: Path,
) -> Iterator[Platform]:
    """Of this test alone, with no worker yet."""
    with run_platform(tmp_path, sqlite_metadata_url, lake_url, temporal, object_store, worker=False) as running:
        yield running


@dataclass
class SourceDatabase:
    """A database of this test alone, on a real server."""

    server: PostgresServer
    name: str
    store: RunningStore

    @property
    def dsn(self) -> str:
        return self.server.dsn(self.name)

    @property
    def inputs(self) -> dict[str, Any]:
        """What a user types into the form."""
        info = psycopg.conninfo.conninfo_to_dict(self.dsn)
        return {
            "host": info["host"],
            "port": int(str(info["port"])),
            "database": self.name,
            "user": info["user"],
            "password": info["password"],
            "schema": "public",
            "sslmode": "disable",
        }

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def assert_in_lake(self, platform: Platform, schema: dict[str, Any], table: str | None = None) -> None:
        """The lake table has the source's rows, value by value."""
        found = platform.schema(schema["id"])["table"]
        assert found is not None, f"{schema['name']} has no table"
        assert_equal(self.dsn, table or schema["name"], found["url_pattern"], self.store)


@pytest.fixture
def database(postgres18: PostgresServer, object_store: RunningStore) -> SourceDatabase:
    return SourceDatabase(postgres18, postgres18.create_database(), object_store)


@pytest.fixture
def operator(own_platform: Platform, temporal: RunningTemporal) -> Operator:
    return Operator(temporal, own_platform.environment["SYNCLINE_TASK_QUEUE"])
