"""The API in this process, over a real metadata database, a real Temporal and a real Postgres as source."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.app import create_app
from local.postgres import PostgresServer
from metadata.database import Database
from metadata.keys import FIRST_PROJECT_ID, READ_SCOPE, WRITE_SCOPE, create_key, ensure_bootstrap
from metadata.projects import create_project
from metadata.vault import generate_key
from settings import Settings
from tests.kit.servers import MetadataTemplates, RunningTemporal, run_postgres

SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON customer (updated_at);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int, total numeric(12, 2), placed_on date);
CREATE TABLE keyless (a int, b text);
INSERT INTO customer SELECT n, 'customer ' || n FROM generate_series(1, 5) n;
"""
PUBLIC_URL = "https://syncline.example.com"
CUSTOMER = {
    "name": "customer",
    "should_sync": True,
    "sync_type": "incremental",
    "incremental_field": "updated_at",
    "incremental_field_type": "timestamp",
}


@dataclass
class Api:
    """A client with a key of a project, and what stands behind the API."""

    client: TestClient
    database: Database
    project_id: int
    key: str

    def __call__(self, method: str, path: str, status: int = 200, **request: Any) -> Any:
        """``path`` is below the project. Answers the body of a response of that status."""
        response = self.respond(method, path, **request)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def respond(self, method: str, path: str, **request: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.key}", **request.pop("headers", {})}
        url = f"/api/projects/{self.project_id}/{path}"
        return self.client.request(method, url, headers=headers, follow_redirects=False, **request)

    def refused(self, method: str, path: str, attr: str | None, status: int = 400, **request: Any) -> dict[str, Any]:
        """The error of a call that must fail because of this field."""
        error = self(method, path, status, **request)
        assert set(error) == {"type", "code", "detail", "attr"}
        assert error["attr"] == attr, error
        assert error["detail"].endswith("."), error
        return error

    def with_key(self, *scopes: str, project_id: int | None = None) -> "Api":
        """The same API with a new key."""
        project = project_id or self.project_id
        with self.database.transaction() as session:
            _, secret = create_key(session, project, "a key", scopes)
        return Api(self.client, self.database, project, secret)

    def other_project(self) -> "Api":
        """The same API with the key of a new, empty project."""
        with self.database.transaction() as session:
            project = create_project(session, "another")
        assert project.id is not None
        return self.with_key(READ_SCOPE, WRITE_SCOPE, project_id=project.id)


@contextmanager
def running_api(metadata_url: str, temporal_address: str, lake: Path, **more: Any) -> Iterator[Api]:
    """With the instance's own key. Nobody polls its task queue: runs start and stay where they are.

    ``more`` settings; neither requests nor what sources may reach are limited but where these say so.
    """
    unlimited = {"api_requests_per_second": 0, "api_failed_logins_per_minute": 0, "encryption_keys": generate_key()}
    anywhere = {"outbound": "any", "public_url": PUBLIC_URL}
    settings = Settings(
        database_url=metadata_url,
        temporal_address=temporal_address,
        task_queue=f"test-{secrets.token_hex(6)}",
        lake_url=f"file://{lake}",
        **(unlimited | anywhere | more),
    )
    database = Database(metadata_url)
    with database.transaction() as session:
        secret = ensure_bootstrap(session, None)
    assert secret is not None
    try:
        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            yield Api(client, database, FIRST_PROJECT_ID, secret)
    finally:
        database.dispose()


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def instance(
    request: pytest.FixtureRequest,
    metadata_templates: MetadataTemplates,
    temporal: RunningTemporal,
    tmp_path_factory: pytest.TempPathFactory,
    lake: Path,
) -> Iterator[Api]:
    """An installation on each kind of metadata database, which the tests share by a project each."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = metadata_templates.sqlite_copy(tmp_path_factory.mktemp("api") / "metadata.db")
        else:
            url = stack.enter_context(metadata_templates.postgres_copy(request.getfixturevalue("postgres18")))
        yield stack.enter_context(running_api(url, temporal.address, lake))


@pytest.fixture
def api(instance: Api) -> Api:
    """A project of this test alone."""
    return instance.other_project()


@pytest.fixture(scope="session")
def sqlite_instance(
    metadata_templates: MetadataTemplates,
    temporal: RunningTemporal,
    tmp_path_factory: pytest.TempPathFactory,
    lake: Path,
) -> Iterator[Api]:
    url = metadata_templates.sqlite_copy(tmp_path_factory.mktemp("api") / "metadata.db")
    with running_api(url, temporal.address, lake) as instance:
        yield instance


@pytest.fixture
def quick_api(sqlite_instance: Api) -> Api:
    """As ``api``, for what has nothing to do with the kind of metadata database."""
    return sqlite_instance.other_project()


@dataclass(frozen=True)
class Shop:
    """A source database of one test."""

    server: PostgresServer
    database: str
    inputs: dict[str, Any]

    def execute(self, statements: str) -> None:
        self.server.execute(statements, self.database)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.dsn(self.database)) as connection:
            return connection.execute(query.encode()).fetchall()

    def slots(self) -> list[str]:
        """Those of this database, in the order of the alphabet."""
        asked = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() ORDER BY slot_name"
        return [name for (name,) in self.ask(asked)]

    def publications(self) -> list[str]:
        return [name for (name,) in self.ask("SELECT pubname FROM pg_publication ORDER BY pubname")]

    def body(self, *schemas: dict[str, Any], prefix: str = "", **more: Any) -> dict[str, Any]:
        """What creates a source of it."""
        payload = {**self.inputs, "schemas": list(schemas)}
        return {"source_type": "Postgres", "prefix": prefix, "payload": payload, **more}


@contextmanager
def running_shop(server: PostgresServer) -> Iterator[Shop]:
    name = server.create_database()
    server.execute(SHOP, name)
    inputs = {
        "host": "127.0.0.1",
        "port": server.port,
        "database": name,
        "user": "postgres",
        "password": server.password,
        "schema": "public",
    }
    shop = Shop(server, name, inputs)
    yield shop
    server.execute(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{name}'")
    server.drop_database(name)


@pytest.fixture(scope="session")
def shop(postgres18: PostgresServer) -> Iterator[Shop]:
    """A source that all tests read and none changes."""
    with running_shop(postgres18) as shop:
        yield shop


@pytest.fixture
def own_shop(postgres18: PostgresServer) -> Iterator[Shop]:
    """A source of this test alone."""
    with running_shop(postgres18) as shop:
        yield shop


@pytest.fixture(scope="session")
def plain_shop() -> Iterator[Shop]:
    """A source that all tests read, on a server whose log does not have what changes."""
    with run_postgres(18) as server, running_shop(server) as shop:
        yield shop
