"""The API behind a real socket, over a real object store and metadata database."""

import asyncio
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import uvicorn

import assembly
from api.app import create_app
from lake.storage import LakeStore
from metadata.database import Database
from metadata.keys import ensure_bootstrap
from metadata.vault import Vault, generate_key
from settings import Settings
from tests.api.test_limits import NOBODY
from tests.api.test_metrics import Series, series_of
from tests.kit.hooks import Hook, change, events_of, make_hook
from tests.kit.platform import eventually
from tests.kit.servers import MetadataTemplates, RunningStore


@dataclass
class Served:
    """A running API, and what stands behind it."""

    port: int
    client: httpx2.Client
    database: Database
    vault: Vault
    store: LakeStore
    key: str | None
    """Of project 1, where this is its first API."""

    def hook(self, **enabled: bool) -> Hook:
        return make_hook(self.database, self.vault, **enabled)

    def send(self, hook: Hook, body: bytes, **headers: str) -> httpx2.Response:
        """Well signed, but for what the headers change; one that is empty is left out."""
        given = hook.headers(body) | {name.replace("_", "-").title(): value for name, value in headers.items()}
        return self.client.post(hook.path, content=body, headers={name: each for name, each in given.items() if each})

    def bodies(self, hook: Hook, table: str) -> list[bytes]:
        return [event.body for event in events_of(self.store, hook.schemas[table])]

    def change(self, kind: type[Any], id: str, **values: Any) -> None:
        change(self.database, kind, id, **values)

    def figures(self) -> Series:
        return series_of(self.client.get("/metrics").text)

    def count(self, outcome: str) -> float:
        """Requests that were answered so."""
        name = ("syncline_webhook_requests_total", frozenset({("outcome", outcome)}))
        return self.figures().get(name, 0.0)


@contextmanager
def serving(
    metadata_url: str, lake_url: str, store: RunningStore, temporal: str = NOBODY, **more: Any
) -> Iterator[Served]:
    settings = Settings(
        database_url=metadata_url,
        encryption_keys=more.pop("encryption_keys", generate_key()),
        temporal_address=temporal,
        task_queue=f"test-{secrets.token_hex(6)}",
        lake_url=lake_url,
        s3_endpoint=store.endpoint,
        s3_access_key_id=store.access_key_id,
        s3_secret_access_key=store.secret_access_key,
        s3_region=store.region,
        outbound="any",
        **more,
    )
    database = Database(metadata_url)
    with database.transaction() as session:
        key = ensure_bootstrap(session, None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(create_app(settings), lifespan="on", log_config=None))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            eventually(lambda: server.started, "the API", 20)
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield Served(port, client, database, assembly.vault(settings), assembly.lake_store(settings), key)
        finally:
            server.should_exit = True
            thread.join()
            database.dispose()


@pytest.fixture(scope="module")
def served(
    metadata_templates: MetadataTemplates, object_store: RunningStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Shared by the tests of a module, which have a webhook each. Nobody asks for runs: there is no Temporal."""
    url = metadata_templates.sqlite_copy(tmp_path_factory.mktemp("ingress") / "metadata.db")
    with serving(url, object_store.new_url(), object_store) as served:
        yield served
