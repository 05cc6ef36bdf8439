"""The whole platform as a user has it: API and worker processes, spoken to over HTTP."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from local.ports import choose_ports
from metadata.database import Database
from metadata.keys import ensure_bootstrap
from metadata.migrate import migrate
from metadata.vault import generate_key
from tests.kit.servers import RunningStore, RunningTemporal

SYNCLINE = str(Path(sys.executable).with_name("syncline"))
API_KEY = "slk_test-key-of-project-one-0123456789abcdef"
PATIENCE_SECONDS = 120.0
T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, patience_seconds: float = PATIENCE_SECONDS) -> T:
    """Look again and again until there is something to see; fails with ``what`` was waited for."""
    deadline = time.monotonic() + patience_seconds
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"waited {patience_seconds:.0f} s for {what}"
        time.sleep(0.2)


@dataclass
class Platform:
    """Processes of one installation, and a client of its first project."""

    folder: Path
    environment: dict[str, str]
    api_port: int
    client: httpx2.Client = field(init=False)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{self.api_port}/api/projects/1",
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=60,
        )

    # Processes

    def start(self, name: str, command: str, **settings: str) -> None:
        """``name`` tells several workers apart; ``settings`` add to the environment (``FAILPOINT="after-commit"``)."""
        extra = {f"SYNCLINE_{key}": value for key, value in settings.items()}
        log = (self.folder / f"{name}.log").open("ab")
        self._processes[name] = subprocess.Popen(
            [SYNCLINE, command], env={**os.environ, **self.environment, **extra}, stdout=log, stderr=log
        )

    def start_api(self, **settings: str) -> None:
        self.start("api", "api", **settings)
        eventually(self._answers, "the API")

    def start_worker(self, name: str = "worker", **settings: str) -> None:
        self.start(name, "worker", **settings)

    def kill(self, name: str = "worker") -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str = "worker") -> int:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    def wait_killed(self, name: str = "worker") -> None:
        """Until a fail point has ended it."""
        assert self._processes.pop(name).wait(PATIENCE_SECONDS) == -signal.SIGKILL

    def pid(self, name: str = "worker") -> int:
        return self._processes[name].pid

    def kill_workers(self) -> None:
        for name in [name for name in self._processes if name != "api"]:
            self.kill(name)

    def close(self) -> None:
        self.client.close()
        for name in list(self._processes):
            self.kill(name)

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.api_port}/healthz").status_code == 200
        except httpx2.TransportError:
            return False

    # The REST API

    def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        response = self.client.request(method, path, json=body)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def create_source(self, inputs: dict[str, Any], schemas: list[dict[str, Any]], prefix: str | None = None) -> Any:
        return self.call(
            "POST",
            "/external_data_sources/",
            {
                "source_type": "Postgres",
                "prefix": prefix if prefix is not None else f"t{secrets.token_hex(3)}_",
                "payload": {**inputs, "schemas": schemas},
            },
            status=201,
        )

    def schema(self, schema_id: str) -> Any:
        return self.call("GET", f"/external_data_schemas/{schema_id}/")

    def jobs(self, source: dict[str, Any], schema: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Newest first, of one schema or of all."""
        found = self.call("GET", f"/external_data_sources/{source['id']}/jobs/")
        return [job for job in found if schema is None or job["schema"]["id"] == schema["id"]]

    def reload(self, schema: dict[str, Any]) -> None:
        self.call("POST", f"/external_data_schemas/{schema['id']}/reload/")

    def wait_for_jobs(
        self, source: dict[str, Any], schema: dict[str, Any], count: int = 1, patience_seconds: float = PATIENCE_SECONDS
    ) -> list[dict[str, Any]]:
        """Until that many runs of the schema have ended and none is running."""

        def ended() -> list[dict[str, Any]]:
            found = self.jobs(source, schema)
            over = [job for job in found if job["status"] != "Running"]
            return over if len(over) >= count and len(over) == len(found) else []

        return eventually(ended, f"{count} ended jobs of {schema['name']}", patience_seconds)

    def sync(self, source: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
        """Run once more, to the end."""
        before = len(self.jobs(source, schema))
        self.reload(schema)
        return self.wait_for_jobs(source, schema, before + 1)[0]


def named(source: dict[str, Any], name: str) -> dict[str, Any]:
    """The source's schema of that name."""
    found = [schema for schema in source["schemas"] if schema["name"] == name]
    assert len(found) == 1, [schema["name"] for schema in source["schemas"]]
    schema: dict[str, Any] = found[0]
    return schema


def _prepare(metadata_url: str) -> None:
    """As ``syncline migrate``, without a process of its own."""
    migrate(metadata_url)
    database = Database(metadata_url)
    with database.transaction() as session:
        ensure_bootstrap(session, API_KEY)
    database.dispose()


@contextmanager
def run_platform(
    folder: Path,
    metadata_url: str,
    lake_url: str,
    temporal: RunningTemporal,
    store: RunningStore | None,
    *,
    worker: bool = True,
    **settings: str,
) -> Iterator[Platform]:
    """API and one worker, where one is wanted. Each platform has a task queue and keys of its own, so that many share
    one Temporal.
    """
    port = choose_ports(["api"])["api"]
    environment = {
        "SYNCLINE_HOME": str(folder / "home"),
        "SYNCLINE_API_PORT": str(port),
        "SYNCLINE_BOOTSTRAP_API_KEY": API_KEY,
        "SYNCLINE_DATABASE_URL": metadata_url,
        "SYNCLINE_ENCRYPTION_KEYS": generate_key(),
        "SYNCLINE_TEMPORAL_ADDRESS": temporal.address,
        "SYNCLINE_TEMPORAL_NAMESPACE": temporal.namespace,
        "SYNCLINE_OUTBOUND": "any",
        "SYNCLINE_TASK_QUEUE": f"test-{secrets.token_hex(6)}",
        "SYNCLINE_LAKE_URL": lake_url,
        **{f"SYNCLINE_{name}": value for name, value in settings.items()},
    }
    if store is not None:
        environment |= {
            "SYNCLINE_S3_ENDPOINT": store.endpoint,
            "SYNCLINE_S3_ACCESS_KEY_ID": store.access_key_id,
            "SYNCLINE_S3_SECRET_ACCESS_KEY": store.secret_access_key,
            "SYNCLINE_S3_REGION": store.region,
        }
    platform = Platform(folder, environment, port)
    try:
        _prepare(metadata_url)
        platform.start_api()
        if worker:
            platform.start_worker()
        yield platform
    finally:
        platform.close()
