"""The API at scale: 10,000 sources with 100,000 schemas in PostgreSQL, and a mix of requests at a fixed rate.

``python -m bench.api [--rate 50] [--seconds 60]``; ends with 1 where a request failed or p99 is above 50 ms.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

from bench.load import Plan
from local.binaries import find_program
from local.ports import choose_ports
from local.postgres import PostgresServer
from local.process import ChildProcess, Command
from local.temporal import PORT_NAMES, TemporalServer
from metadata.database import Database
from metadata.keys import ensure_bootstrap
from metadata.migrate import migrate
from metadata.vault import Vault, generate_key
from tests.kit.seed import Size, seed

TARGET_SECONDS = 0.050
WARM_UP_SECONDS = 5.0
FLOOD_CLIENTS = 8
DATABASE = "metadata"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sources", type=int, default=Size.sources, help="each with ten schemas")
    arguments = parser.parse_args()
    with running(Size(arguments.sources)) as (plan, api):
        load(replace(plan, seconds=WARM_UP_SECONDS, rate=arguments.rate))
        cpu_before = cpu_seconds(api)
        answers = load(replace(plan, seconds=arguments.seconds, rate=arguments.rate))
        used = cpu_seconds(api) - cpu_before
        print(f"\n{arguments.rate:.0f} requests/s for {arguments.seconds:.0f} s")
        slowest = report(answers)
        memory = api.memory_full_info().pss / 2**20
        print(f"API: {used / len(answers) * 1000:.1f} ms CPU per request, {memory:.0f} MB")
        flood_seconds = min(arguments.seconds, 20.0)
        flood = load(replace(plan, seconds=flood_seconds, rate=0, clients=FLOOD_CLIENTS))
        print(f"\nas fast as {FLOOD_CLIENTS} clients go: {len(flood) / flood_seconds:.0f} requests/s")
        report(flood)
    failed = sum(answer["status"] != 200 for answer in (*answers, *flood))
    print(f"\nfailed requests: {failed}; p99 {slowest * 1000:.1f} ms, to be at most {TARGET_SECONDS * 1000:.0f} ms")
    return 0 if failed == 0 and slowest <= TARGET_SECONDS else 1


@contextmanager
def running(size: Size) -> Iterator[tuple[Plan, psutil.Process]]:
    """PostgreSQL with the metadata, Temporal and the API as it ships, in a folder that is gone afterwards."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncline-bench-")))
        home.chmod(0o711)
        ports = choose_ports(["postgres", "api", *PORT_NAMES])
        server = PostgresServer(18, home / "metadata", ports["postgres"], secrets.token_hex(12), throwaway=True)
        stack.callback(server.remove)
        server.start()
        server.create_database(DATABASE)
        url, encryption_key = server.sqlalchemy_url(DATABASE), generate_key()
        key = prepare(url)
        started = time.monotonic()
        seeded = seed(server.dsn(DATABASE), Vault([encryption_key]), size)
        print(f"{size.sources:,} sources, {size.sources * size.schemas_per_source:,} schemas: ", end="")
        print(f"seeded in {time.monotonic() - started:.0f} s", flush=True)
        temporal = TemporalServer(home / "temporal", ports, in_memory=True)
        stack.enter_context(started(temporal.process()))
        api = stack.enter_context(started(api_process(home, ports["api"], url, encryption_key, temporal.address)))
        assert api.pid is not None
        plan = Plan(ports["api"], key, seeded.source_ids, seeded.schema_ids, 0, 0)
        yield plan, psutil.Process(api.pid)


def load(plan: Plan) -> list[dict[str, Any]]:
    """The answers, as ``bench.load.Answer`` has them, of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=json.dumps(asdict(plan)), capture_output=True, text=True, check=True
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def report(answers: list[dict[str, Any]]) -> float:
    """A line for each kind of request; p99 of all."""
    print(f"{'':22}{'requests':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'failed':>8}")
    kinds = sorted({answer["kind"] for answer in answers})
    for kind in (*kinds, "all"):
        of_kind = [answer for answer in answers if kind in (answer["kind"], "all")]
        times = sorted(answer["seconds"] for answer in of_kind)
        figures = [times[min(int(len(times) * share), len(times) - 1)] for share in (0.50, 0.95, 0.99)]
        failed = sum(answer["status"] != 200 for answer in of_kind)
        print(f"{kind:22}{len(times):>9}" + "".join(f"{f * 1000:>9.1f}" for f in figures) + f"{failed:>8}")
    return figures[-1]


def cpu_seconds(process: psutil.Process) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def prepare(url: str) -> str:
    """A migrated database, and a key of its first project."""
    migrate(url)
    database = Database(url)
    with database.transaction() as session:
        key = ensure_bootstrap(session, None)
    database.dispose()
    assert key is not None
    return key


def api_process(
    home: Path, port: int, database_url: str, encryption_key: str, temporal: str, **more: str
) -> ChildProcess:
    """As it ships; ``more`` settings."""
    settings = {
        "DATABASE_URL": database_url,
        "ENCRYPTION_KEYS": encryption_key,
        "TEMPORAL_ADDRESS": temporal,
        "LAKE_URL": f"file://{home}/lake",
        "API_PORT": str(port),
        "API_REQUESTS_PER_SECOND": "0",
        **more,
    }
    command = Command(
        name="api",
        argv=(sys.executable, str(find_program("syncline", "syncline")), "api"),
        env={**os.environ, **{f"SYNCLINE_{name}": value for name, value in settings.items()}},
        log_path=home / "api.log",
        is_ready=lambda: _answers(f"http://127.0.0.1:{port}/healthz"),
        folder=home,
    )
    return ChildProcess(command)


@contextmanager
def started(process: ChildProcess) -> Iterator[ChildProcess]:
    process.start()
    try:
        process.wait_ready()
        yield process
    finally:
        process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
