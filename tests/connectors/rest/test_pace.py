"""The declared limit, as the provider itself counts what it is asked."""

import pickle
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connectors.budget import OWN, Budget
from connectors.outbound import OPEN
from connectors.rest import RestApiConnector
from connectors.rest.pace import Pace
from connectors.surroundings import Surroundings
from metadata.budgets import SharedBudget
from tests.connectors.rest.library import read_all
from tests.providers.server import Asked, Provider, Reply, running

SECONDS = 20
LATENCY_SECONDS = 0.05
READS = (
    "import pickle, sys; from tests.connectors.rest.test_pace import paced_read; "
    "paced_read(*pickle.load(sys.stdin.buffer))"
)


def test_what_is_missed_is_not_sent_later() -> None:
    """It would go together with what others have reserved."""
    pace = Pace(OWN, "missed", 20)
    for _ in range(12):
        pace.wait(60)
    time.sleep(0.5)
    began, times = time.monotonic(), []
    for _ in range(5):
        pace.wait(60)
        times.append(time.monotonic() - began)
    assert times[-1] >= 0.15, "four gaps, of which the first may be half a one"


class Noting:
    """``Budget``: notes how much was reserved at once."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def reserve(self, account: str, per_second: float, count: int) -> float:
        self.counts.append(count)
        return OWN.reserve(account, per_second, count)

    def hold(self, account: str, seconds: float) -> None:
        OWN.hold(account, seconds)


def test_a_slow_reader_reserves_no_more_than_it_uses() -> None:
    budget = Noting()
    pace = Pace(budget, "slow", 100)
    for _ in range(40):
        pace.wait(60)
    assert max(budget.counts) > 10
    for _ in range(8):
        time.sleep(0.1)
        pace.wait(60)
    assert budget.counts[-1] <= 2


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as found:
        yield found


@pytest.mark.long
@pytest.mark.parametrize("per_second", [20, 200])
def test_two_tables_on_two_processes_keep_to_the_limit(
    provider: Provider, per_second: int, metadata_templates: Any, postgres18: Any
) -> None:
    """And use it: requests in flight make up for what each answer takes."""
    times: list[float] = []
    lock = threading.Lock()
    parents = per_second * SECONDS // 2

    def listed(asked: Asked) -> Reply:
        with lock:
            times.append(time.monotonic())
        time.sleep(LATENCY_SECONDS)
        if asked.path.endswith("/parents"):
            return Reply([{"id": number} for number in range(parents)])
        return Reply([{"n": asked.path}])

    provider.routes["/*"] = listed
    with metadata_templates.postgres_copy(postgres18) as url, ThreadPoolExecutor() as threads:
        orders = [pickle.dumps((provider.url, table, per_second, SharedBudget(url))) for table in ("one", "two")]
        list(threads.map(lambda order: subprocess.run([sys.executable, "-c", READS], input=order, check=True), orders))
    times.sort()
    assert len(times) == 2 * (parents + 1)
    most = max(bisect_left(times, begin + 1) - first for first, begin in enumerate(times))
    # From when both are there until the first of them is done.
    inner = times[per_second:-per_second]
    rate = (len(inner) - 1) / (inner[-1] - inner[0])
    print(f"{per_second} a second: {most} in the busiest second, {rate:.1f} a second in the long run")
    assert most <= 1.05 * per_second + 1
    assert rate >= 0.95 * per_second


def paced_read(url: str, table: str, per_second: int, budget: Budget) -> None:
    resources = [
        {"name": "parents", "path": f"{table}/parents"},
        {"name": "children", "path": f"{table}/children/{{of}}", "parent": _PARENT},
    ]
    limits = {"requests_per_second": per_second, "concurrency": 8}
    given = {"base_url": url, "declaration": {"limits": limits, "resources": resources}}
    read_all(RestApiConnector().parse_config(given, Surroundings(OPEN, budget=budget)), "children")


_PARENT = {"resource": "parents", "include": {"of": "id"}}
