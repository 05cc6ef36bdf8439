"""A database in a bucket: written as a file, put there as an object, and read through the connector."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest

from connectors.base import ReadRequest
from connectors.outbound import OPEN, OutboundPolicy
from connectors.s3 import BucketClient
from connectors.sqlite.config import SqliteConfig
from connectors.surroundings import Surroundings
from tests.connectors.sqlite.files import SQLITE, SqliteFile
from tests.kit.servers import RunningStore


@dataclass
class StoredFile(SqliteFile):
    """``path`` is where it is written. What was put last is what is read."""

    store: RunningStore
    url: str
    temporary: Path
    """The temporary folder of the process."""

    @cached_property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.store.endpoint,
            aws_access_key_id=self.store.access_key_id,
            aws_secret_access_key=self.store.secret_access_key,
            region_name=self.store.region,
        )

    @property
    def key(self) -> str:
        return f"{self.url.removeprefix(f's3://{self.store.bucket}/')}/shop.db"

    def put(self, content: bytes | None = None, beside: str = "") -> None:
        """``beside``: what the object's name has more than the database's."""
        body = self.path.read_bytes() if content is None else content
        self.client.put_object(Bucket=self.store.bucket, Key=self.key + beside, Body=body)

    def delete(self, beside: str = "") -> None:
        self.client.delete_object(Bucket=self.store.bucket, Key=self.key + beside)

    def inputs(self) -> dict[str, Any]:
        return {
            "path": f"{self.url}/shop.db",
            "endpoint": self.store.endpoint,
            "region": self.store.region,
            "access_key_id": self.store.access_key_id,
            "secret_access_key": self.store.secret_access_key,
        }

    def config(self, policy: OutboundPolicy = OPEN, **changes: Any) -> SqliteConfig:
        return SQLITE.parse_config({**self.inputs(), **changes}, Surroundings(policy))

    def copies(self) -> list[Path]:
        """What the connector has in the temporary folder."""
        return [path for path in self.temporary.rglob("*") if not path.is_dir()]


def ways_in(config: SqliteConfig) -> list[Callable[[], Any]]:
    """Each way to reach the database of a configuration."""
    return [
        lambda: SQLITE.validate(config),
        lambda: SQLITE.discover(config),
        lambda: SQLITE.read(config, ReadRequest("t", "test-read")).__enter__(),
    ]


@dataclass
class Watch:
    """What is asked of the store: ``whole`` objects from their first byte, and so many bytes of ``pieces``."""

    whole: int = 0
    pieces: list[int] = field(default_factory=list)

    @classmethod
    def over(cls, monkeypatch: pytest.MonkeyPatch) -> "Watch":
        watch, original = cls(), BucketClient.body

        def watched(self: BucketClient, wanted: Any, position: int, most: int | None = None) -> Any:
            if most is not None:
                watch.pieces.append(most)
            elif position == 0:
                watch.whole += 1
            return original(self, wanted, position, most)

        monkeypatch.setattr(BucketClient, "body", watched)
        return watch
