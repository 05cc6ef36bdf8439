"""Servers and places for every test. A server starts when a test first asks for it, once per process."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.mariadb import MariaDbServer
from local.postgres import PostgresServer
from tests.kit.mariadb import run_mariadb
from tests.kit.servers import (
    MetadataTemplates,
    RunningStore,
    RunningTemporal,
    run_object_store,
    run_postgres,
    run_temporal,
)


@pytest.fixture(scope="session")
def postgres18() -> Iterator[PostgresServer]:
    """With logical decoding switched on. Kill or restart it only if you bring it back."""
    with run_postgres(18, wal_level="logical") as server:
        yield server


@pytest.fixture(scope="session")
def postgres16() -> Iterator[PostgresServer]:
    with run_postgres(16, wal_level="logical") as server:
        yield server


@pytest.fixture(scope="session", params=["postgres16", "postgres18"])
def postgres(request: pytest.FixtureRequest) -> PostgresServer:
    """Each version that the suite covers, one after the other."""
    server = request.getfixturevalue(request.param)
    assert isinstance(server, PostgresServer)
    return server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDbServer]:
    """Kill or restart it only if you bring it back."""
    with run_mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def object_store() -> Iterator[RunningStore]:
    with run_object_store() as store:
        yield store


@pytest.fixture
def lake_url(object_store: RunningStore) -> str:
    """An empty place on the S3 server, of this test alone."""
    return object_store.new_url()


@pytest.fixture(scope="session")
def temporal() -> Iterator[RunningTemporal]:
    with run_temporal() as server:
        yield server


@pytest.fixture
def task_queue() -> str:
    """A queue that no other test's worker polls."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def metadata_templates(tmp_path_factory: pytest.TempPathFactory) -> MetadataTemplates:
    from metadata.migrate import migrate

    return MetadataTemplates(tmp_path_factory.mktemp("metadata"), migrate)


@pytest.fixture(params=["sqlite", "postgresql"])
def metadata_url(
    request: pytest.FixtureRequest, metadata_templates: MetadataTemplates, tmp_path: Path
) -> Iterator[str]:
    """A migrated, empty metadata database of this test alone, on each kind of database."""
    if request.param == "sqlite":
        yield metadata_templates.sqlite_copy(tmp_path / "metadata.db")
    else:
        with metadata_templates.postgres_copy(request.getfixturevalue("postgres18")) as url:
            yield url


@pytest.fixture
def sqlite_metadata_url(metadata_templates: MetadataTemplates, tmp_path: Path) -> str:
    """As ``metadata_url``, for tests to which the kind of database makes no difference."""
    return metadata_templates.sqlite_copy(tmp_path / "metadata.db")
