"""Webhooks: how many signed events of 2 KB an API takes, how long each waits until it is safe, and what a burst does.

``python -m bench.webhooks [--seconds 20] [--rate 200] [--burst 2000]``; ends with 1 where an event that was
acknowledged is not in the inbox, or one was answered otherwise than 200, 429 or 503.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from bench.api import DATABASE, api_process, cpu_seconds, prepare, started
from bench.sending import Plan, request_of
from lake.inbox import Inbox, inbox_root
from lake.storage import LakeStore
from local.ports import choose_ports
from local.postgres import PostgresServer
from metadata.database import Database
from metadata.vault import Vault, generate_key
from tests.kit.hooks import Hook, make_stripe_hook
from tests.kit.servers import run_object_store, run_temporal

FINE = {200, 429, 503}
WRK = """
local file = io.open(os.getenv("REQUESTS"), "rb")
local text = file:read("*a")
local requests, place = {}, 1
while place <= #text do
  local size = tonumber(text:sub(place, place + 9))
  requests[#requests + 1] = text:sub(place + 10, place + 9 + size)
  place = place + 10 + size
end
local number = 0
request = function()
  number = number % #requests + 1
  return requests[number]
end
"""


@dataclass(frozen=True)
class Running:
    plan: Plan
    hook: Hook
    store: LakeStore
    api: psutil.Process

    def events(self) -> Counter[str]:
        """How often each event is in the inbox."""
        inbox = Inbox(self.store, inbox_root(self.hook.schemas["customers"]))
        files = inbox.files(10**9)
        print(f"  {len(files)} files in the inbox")
        return Counter(json.loads(event.body)["id"] for file in files for event in inbox.read(file.path))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.webhooks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--burst", type=float, default=2000.0)
    parser.add_argument("--burst-seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    with running() as found:
        plan = found.plan
        send(replace(plan, seconds=3, rate=100, connections=16, first=90_000_000))
        answers: list[tuple[int, int, float]] = []
        for name, more in (
            (f"{arguments.rate:.0f} events/s", {"rate": arguments.rate, "connections": 64}),
            ("one after the other", {"rate": 0, "connections": 1}),
            ("as fast as 64 connections go", {"rate": 0, "connections": 64}),
            (
                f"burst of {arguments.burst:.0f} events/s",
                {"rate": arguments.burst, "connections": 512, "seconds": arguments.burst_seconds},
            ),
        ):
            step = replace(plan, **{"seconds": arguments.seconds, "first": len(answers), **more})
            before = cpu_seconds(found.api)
            came = send(step)
            used = cpu_seconds(found.api) - before
            report(name, step, came, used)
            answers += came
        wrk(found, arguments.seconds)
        return check(found, answers)


def send(plan: Plan) -> list[tuple[int, int, float]]:
    with tempfile.NamedTemporaryFile(prefix="syncline-bench-") as file:
        order = json.dumps(asdict(replace(plan, answers=file.name)))
        subprocess.run([sys.executable, "-m", "bench.sending"], input=order, text=True, check=True)
        return [tuple(answer) for answer in json.load(file)]


def report(name: str, plan: Plan, answers: list[tuple[int, int, float]], cpu: float) -> None:
    statuses = Counter(status for _, status, _ in answers)
    times = sorted(seconds for _, status, seconds in answers if status == 200)
    p50, p99, worst = (times[min(int(len(times) * share), len(times) - 1)] * 1000 for share in (0.5, 0.99, 1))
    print(
        f"{name}: {len(times) / plan.seconds:.0f} events/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.0f} ms, "
        f"{cpu / len(answers) * 1000:.2f} ms CPU each, answers {dict(statuses)}",
        flush=True,
    )


def wrk(found: Running, seconds: float) -> None:
    """The same by a faster client, where Debian's ``wrk`` is there: it sends some thousand signed events in turn."""
    if shutil.which("wrk") is None:
        print("wrk is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as folder:
        script, requests = Path(folder, "events.lua"), Path(folder, "requests")
        script.write_text(WRK)
        signed = [request_of(found.plan, 80_000_000 + number) for number in range(5000)]
        requests.write_bytes(b"".join(f"{len(each):010}".encode() + each for each in signed))
        url = f"http://127.0.0.1:{found.plan.port}{found.plan.path}"
        command = ["wrk", "-t1", "-c64", f"-d{seconds:.0f}s", "--latency", "-s", str(script), url]
        before = cpu_seconds(found.api)
        done = subprocess.run(command, env={**os.environ, "REQUESTS": str(requests)}, capture_output=True, text=True)
        print(done.stdout, done.stderr, f"API: {cpu_seconds(found.api) - before:.1f} s of CPU", flush=True)


def check(found: Running, answers: list[tuple[int, int, float]]) -> int:
    events = found.events()
    acknowledged = {f"evt_{number:09}" for number, status, _ in answers if status == 200}
    lost = acknowledged - set(events)
    strange = Counter(status for _, status, _ in answers if status not in FINE)
    print(f"acknowledged {len(acknowledged)}, of those lost {len(lost)}; other answers: {dict(strange)}")
    return 1 if lost or strange else 0


@contextmanager
def running() -> Iterator[Running]:
    """PostgreSQL with the metadata, Temporal, an object store and the API as it ships."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncline-bench-")))
        home.chmod(0o711)
        ports = choose_ports(["postgres", "api"])
        server = PostgresServer(18, home / "metadata", ports["postgres"], "bench-password", throwaway=True)
        stack.callback(server.remove)
        server.start()
        server.create_database(DATABASE)
        url, key = server.sqlalchemy_url(DATABASE), generate_key()
        prepare(url)
        database = Database(url)
        stack.callback(database.dispose)
        hook = make_stripe_hook(database, Vault([key]), "customers")
        temporal = stack.enter_context(run_temporal())
        objects = stack.enter_context(run_object_store())
        lake = {
            "LAKE_URL": objects.new_url(),
            "S3_ENDPOINT": objects.endpoint,
            "S3_ACCESS_KEY_ID": objects.access_key_id,
            "S3_SECRET_ACCESS_KEY": objects.secret_access_key,
        }
        unlimited = {"WEBHOOK_EVENTS_PER_SECOND": "0"}
        process = api_process(home, ports["api"], url, key, temporal.address, **lake, **unlimited)
        api = stack.enter_context(started(process))
        assert api.pid is not None
        store = LakeStore(*lake.values())
        plan = Plan(ports["api"], hook.path, hook.secret, 0, 0, 1)
        yield Running(plan, hook, store, psutil.Process(api.pid))


if __name__ == "__main__":
    sys.exit(main())
