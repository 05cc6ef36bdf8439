"""The API in this process, over a real metadata database, a real Temporal and a real Postgres as source."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from api.app import create_app
from local.postgres import PostgresServer
from metadata.database import Database
from metadata.keys import READ_SCOPE, WRITE_SCOPE, create_key
from metadata.projects import create_project
from metadata.vault import generate_key
from settings import Settings
from tests.kit.servers import RunningTemporal

SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON customer (updated_at);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int, total numeric(12, 2), placed_on date);
CREATE TABLE keyless (a int, b text);
INSERT INTO customer SELECT n, 'customer ' || n FROM generate_series(1, 5) n;
"""
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
            _, secret = create_key(session, project, "another key", scopes)
        return Api(self.client, self.database, project, secret)

    def other_project(self) -> "Api":
        with self.database.transaction() as session:
            project = create_project(session, "another")
        assert project.id is not None
        return self.with_key(READ_SCOPE, WRITE_SCOPE, project_id=project.id)


def make_api(metadata_url: str, temporal_address: str, task_queue: str, lake: Path) -> Iterator[Api]:
    settings = Settings(
        database_url=metadata_url,
        encryption_keys=generate_key(),
        temporal_address=temporal_address,
        task_queue=task_queue,
        lake_url=f"file://{lake}",
    )
    database = Database(metadata_url)
    with database.transaction() as session:
        project = create_project(session, "shop")
        assert project.id is not None
        _, secret = create_key(session, project.id, "a key", [READ_SCOPE, WRITE_SCOPE])
    try:
        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            yield Api(client, database, project.id, secret)
    finally:
        database.dispose()


@pytest.fixture
def api(metadata_url: str, temporal: RunningTemporal, task_queue: str, tmp_path: Path) -> Iterator[Api]:
    yield from make_api(metadata_url, temporal.address, task_queue, tmp_path / "lake")


@pytest.fixture
def quick_api(sqlite_metadata_url: str, temporal: RunningTemporal, task_queue: str, tmp_path: Path) -> Iterator[Api]:
    """For what has nothing to do with the kind of metadata database."""
    yield from make_api(sqlite_metadata_url, temporal.address, task_queue, tmp_path / "lake")


@dataclass(frozen=True)
class Shop:
    """A source database of one test."""

    server: PostgresServer
    database: str
    inputs: dict[str, Any]

    def execute(self, statements: str) -> None:
        self.server.execute(statements, self.database)

    def body(self, *schemas: dict[str, Any], prefix: str = "", **more: Any) -> dict[str, Any]:
        """What creates a source of it."""
        payload = {**self.inputs, "schemas": list(schemas)}
        return {"source_type": "Postgres", "prefix": prefix, "payload": payload, **more}


@pytest.fixture
def shop(postgres18: PostgresServer) -> Iterator[Shop]:
    name = f"shop_{secrets.token_hex(4)}"
    postgres18.create_database(name)
    postgres18.execute(SHOP, name)
    inputs = {
        "host": "127.0.0.1",
        "port": postgres18.port,
        "database": name,
        "user": "postgres",
        "password": postgres18.password,
        "schema": "public",
    }
    yield Shop(postgres18, name, inputs)
    postgres18.drop_database(name)
