import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from connectors.errors import ConfigurationError, CredentialsError, SourceError
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings
from tests.connectors.conformance.subject import SqlSubject
from tests.kit.servers import RunningStore


class _Database(SqlSubject):
    source_type = "SQLite"
    types = {"integer": "BIGINT", "text": "TEXT", "time": "DATETIME"}  # noqa: RUF012

    def __init__(self, path: Path) -> None:
        self.path = path
        self.execute("VACUUM")

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(statement)


class SqliteSubject(_Database):
    def __init__(self, folder: Path) -> None:
        for each in (folder / "data", folder / "other"):
            each.mkdir()
        super().__init__(folder / "data" / "shop.db")
        self.surroundings = Surroundings(OPEN, (self.path.parent,))
        self.closed = Surroundings(OPEN, (folder / "other",))

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["SqliteSubject"]:
        folder: Path = request.getfixturevalue("tmp_path")
        yield cls(folder.resolve())

    def inputs(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [({"path": ""}, "path"), ({"path": "data/shop.db"}, "path"), ({"path": 7}, "path")]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        notes = self.path.with_name("notes.txt")
        notes.write_text("no database" * 100)
        return [({"path": str(path)}, ConfigurationError) for path in (self.path.with_name("gone.db"), notes)]


class StoredSqliteSubject(_Database):
    """The same as an object in a bucket, which is put there anew whenever somebody is to look."""

    def __init__(self, folder: Path, store: RunningStore, url: str) -> None:
        super().__init__(folder / "shop.db")
        self._store = store
        self._url = url
        self._client = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            aws_access_key_id=store.access_key_id,
            aws_secret_access_key=store.secret_access_key,
            region_name=store.region,
        )

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["StoredSqliteSubject"]:
        folder: Path = request.getfixturevalue("tmp_path")
        patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield cls(folder, request.getfixturevalue("object_store"), request.getfixturevalue("lake_url"))

    def inputs(self) -> dict[str, Any]:
        return {
            "path": self._put("shop.db", self.path.read_bytes()),
            "access_key_id": self._store.access_key_id,
            "secret_access_key": self._store.secret_access_key,
            "region": self._store.region,
            "endpoint": self._store.endpoint,
        }

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [
            ({"path": f"s3://{self._store.bucket}"}, "path"),
            ({"secret_access_key": ""}, "secret_access_key"),
            ({"region": "Frankfurt!"}, "region"),
            ({"endpoint": "s3.example.com"}, "endpoint"),
        ]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        return [
            ({"path": f"{self._url}/gone.db"}, ConfigurationError),
            ({"path": self._put("notes.txt", b"no database" * 100)}, ConfigurationError),
            ({"secret_access_key": self.secret}, CredentialsError),
        ]

    def _put(self, name: str, content: bytes) -> str:
        path = f"{self._url}/{name}"
        key = path.removeprefix(f"s3://{self._store.bucket}/")
        self._client.put_object(Bucket=self._store.bucket, Key=key, Body=content)
        return path
