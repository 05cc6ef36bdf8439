"""The API as a process of its own, and the fuzzer that goes at it."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.ports import choose_ports
from local.postgres import PostgresServer
from metadata.database import Database
from metadata.keys import create_key
from metadata.projects import create_project
from metadata.vault import generate_key
from tests.api.conftest import Shop
from tests.kit.platform import API_KEY, SYNCLINE, Platform
from tests.kit.servers import MetadataTemplates, RunningTemporal

SECONDS = int(os.environ.get("SYNCLINE_FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("SYNCLINE_FUZZ_SEED", "20260131"))
ROOT = Path(__file__).parents[2]

NOT_CHECKED = "positive_data_acceptance,unsupported_method"
"""What fits the document may still break a rule that no schema can say: an unknown column, a prefix that is taken.
And another method on ``wizard`` and its like, which stand where an id could, is answered as an unknown id is: 404.
"""

CONFIG = """
[generation]
allow-x00 = true
[parameters]
{parameters}
"""


@dataclass(frozen=True)
class Server:
    """The API as a process of its own, with its metadata in PostgreSQL."""

    platform: Platform
    database: Database
    shop: Shop
    folder: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.platform.api_port}"

    def new_project(self) -> int:
        with self.database.transaction() as session:
            project = create_project(session, "fuzzed")
        assert project.id is not None
        return project.id

    def new_key(self, project: int, *scopes: str) -> tuple[str, str]:
        """Its id and its secret."""
        with self.database.transaction() as session:
            key, secret = create_key(session, project, "the fuzzer's", scopes)
        return str(key.id), secret

    def fuzz(
        self,
        *options: str,
        project: int | None,
        key: str = "",
        kept: tuple[str, ...] = (),
        objects: dict[str, str] | None = None,
        share: float = 1.0,
    ) -> None:
        """Takes this share of the time; fails with the fuzzer's report."""
        url = f"{self.address}/api/schema/"
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        fixed = f'"path.project_id" = "{project}"' if project else ""
        (folder / "schemathesis.toml").write_text(CONFIG.format(parameters=fixed))
        command = [str(Path(sys.executable).with_name("st")), "run", url, "--checks", "all", "--seed", str(SEED)]
        command += [
            "--max-time",
            str(max(1, int(SECONDS * share))),
            "--continue-on-failure",
            "--no-color",
            "--request-timeout",
            "60",
        ]
        command += ["--suppress-health-check", "all", "--exclude-checks", NOT_CHECKED, *options]
        if key:
            command += ["--header", f"Authorization: Bearer {key}"]
        ran = subprocess.run(
            command,
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.contract.fuzz_hooks",
                "FUZZ_CONNECTION": json.dumps(self.shop.inputs),
                "FUZZ_OBJECTS": json.dumps(objects or {}),
                "FUZZ_KEPT": " ".join(kept),
            },
            capture_output=True,
            text=True,
        )
        print(ran.stdout)
        assert ran.returncode == 0, f"seed {SEED}\n{ran.stdout[-20_000:]}\n{ran.stderr[-4_000:]}"


@contextmanager
def run_server(
    postgres18: PostgresServer,
    temporal: RunningTemporal,
    metadata_templates: MetadataTemplates,
    shop: Shop,
    folder: Path,
) -> Iterator[Server]:
    port = choose_ports(["api"])["api"]
    with metadata_templates.postgres_copy(postgres18) as url:
        environment = {
            "OUTBOUND": "any",
            "HOME": str(folder / "home"),
            "API_PORT": str(port),
            "API_REQUESTS_PER_SECOND": "0",
            "API_FAILED_LOGINS_PER_MINUTE": "0",
            "API_SOURCE_CALL_SECONDS": "5",
            "BOOTSTRAP_API_KEY": API_KEY,
            "DATABASE_URL": url,
            "ENCRYPTION_KEYS": generate_key(),
            "TEMPORAL_ADDRESS": temporal.address,
            "TASK_QUEUE": f"test-{secrets.token_hex(6)}",
            "LAKE_URL": f"file://{folder / 'lake'}",
        }
        platform = Platform(folder, {f"SYNCLINE_{name}": value for name, value in environment.items()}, port)
        database = Database(url)
        try:
            subprocess.run([SYNCLINE, "migrate"], env={**os.environ, **platform.environment}, check=True)
            platform.start_api()
            yield Server(platform, database, shop, folder)
        finally:
            platform.close()
            database.dispose()
