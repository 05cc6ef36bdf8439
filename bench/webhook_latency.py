"""From an event to the table: how long a provider's events take until a query sees them, with the settings as shipped.

``python -m bench.webhook_latency [--events 300] [--rate 2]``; ends with 1 where one of them is not there in the end.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from metadata.migrate import migrate
from tests.kit.compare import storage_options
from tests.kit.platform import Platform, eventually, named, run_platform
from tests.kit.servers import RunningStore, run_object_store, run_temporal
from tests.providers.sender import Sender
from tests.providers.server import running
from tests.providers.stripe import StripePlayer
from tests.providers.telling import stripe

LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 60.0


class Watch:
    """When the table first had each customer, in a thread of its own. A query reads the newest version."""

    def __init__(self, url: str, store: RunningStore) -> None:
        self.seen: dict[str, float] = {}
        self._table = DeltaTable(url, storage_options=storage_options(store))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go(self) -> None:
        version = -1
        while not self._over.wait(LOOK_SECONDS):
            self._table.update_incremental()
            if self._table.version() != version:
                version, now = self._table.version(), time.monotonic()
                for key in self._table.to_pyarrow_table(columns=["id"]).column("id").to_pylist():
                    self.seen.setdefault(key, now)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.webhook_latency", description=__doc__)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--rate", type=float, default=2.0)
    arguments = parser.parse_args()
    with started() as (platform, store, player):
        source = created(platform, player)
        schema = named(source, "customers")
        platform.wait_for_jobs(source, schema)
        (endpoint,) = player.endpoints.known
        telling = stripe(player, player.endpoints.secrets[endpoint["id"]])
        sent: dict[str, float] = {}
        with (
            Watch(platform.schema(schema["id"])["table"]["url_pattern"], store) as watch,
            Sender(endpoint["url"]) as sender,
        ):
            for number in range(arguments.events):
                event = telling.create("customers", 1_000 + number)
                sent[event.about] = time.monotonic()
                sender.send(event)
                time.sleep(1 / arguments.rate)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not sent.keys() <= watch.seen.keys() and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
        missing = sent.keys() - watch.seen.keys()
        waits = sorted(watch.seen[key] - at for key, at in sent.items() if key not in missing)
        jobs = len(platform.jobs(source, schema))
    p50, p99 = (waits[min(int(len(waits) * share), len(waits) - 1)] for share in (0.5, 0.99))
    print(
        f"{len(waits)} events at {arguments.rate:g} a second: p50 {p50:.1f} s, p99 {p99:.1f} s, "
        f"most {waits[-1]:.1f} s; "
        f"{jobs} runs shown; {len(missing)} events missing"
    )
    return 1 if missing else 0


def created(platform: Platform, player: StripePlayer) -> Any:
    schemas = [{"name": "customers", "should_sync": True, "sync_type": "webhook"}]
    body = {"source_type": "Stripe", "payload": {**player.inputs(), "schemas": schemas}}
    return platform.call("POST", "/external_data_sources/", body, status=201)


@contextmanager
def started() -> Iterator[tuple[Platform, RunningStore, StripePlayer]]:
    """The whole platform, and a provider with a thousand customers."""
    with (
        tempfile.TemporaryDirectory(prefix="syncline-bench-") as folder,
        run_object_store() as store,
        run_temporal() as temporal,
        running() as provider,
    ):
        url = f"sqlite:///{folder}/metadata.db"
        migrate(url)
        player = StripePlayer(provider)
        for number in range(1_000):
            player.put("customers", number, number)
        with run_platform(Path(folder), url, store.new_url(), temporal, store) as platform:
            platform.kill("api")
            platform.start_api(PUBLIC_URL=f"http://127.0.0.1:{platform.api_port}")
            eventually(lambda: platform.call("GET", "/external_data_sources/"), "the API")
            yield platform, store, player


if __name__ == "__main__":
    sys.exit(main())
