"""One account's requests keep their distance, whoever sends them; and wait for all when the provider says so."""

import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connectors.budget import OWN, Budget
from connectors.errors import BusyError
from connectors.rest.pace import Pace
from metadata.budgets import SharedBudget
from metadata.database import database_of_process

PER_SECOND = 40.0


@pytest.fixture(params=["own", "sqlite", "postgresql"])
def budget(request: pytest.FixtureRequest) -> Iterator[Budget]:
    if request.param == "own":
        yield OWN
    elif request.param == "sqlite":
        yield SharedBudget(request.getfixturevalue("sqlite_metadata_url"))
    else:
        templates, server = request.getfixturevalue("metadata_templates"), request.getfixturevalue("postgres18")
        with templates.postgres_copy(server) as url:
            yield SharedBudget(url)
            database_of_process(url).dispose()


def sent(budget: Budget, account: str, count: int) -> list[float]:
    """When each of so many requests of one reader went, by the clock of all."""
    pace = Pace(budget, account, PER_SECOND)
    times = []
    for _ in range(count):
        pace.wait(60)
        times.append(time.time())
    return times


def test_readers_share_the_budget(budget: Budget, request: pytest.FixtureRequest) -> None:
    account, readers, each = request.node.name, 4, 20
    with ThreadPoolExecutor(readers) as threads:
        times = sorted(t for found in threads.map(lambda _: sent(budget, account, each), range(readers)) for t in found)
    # A busy machine may be late with some of them: then the others seem to come closer.
    assert times[-1] - times[0] >= (readers * each - 1) / PER_SECOND - 0.3
    assert len(sent(budget, "another", 3)) == 3
    if budget is not OWN:
        order = pickle.dumps((budget, account, 5))
        code = (
            "import pickle, sys; from tests.metadata.test_budgets import sent; "
            "print(*sent(*pickle.load(sys.stdin.buffer)))"
        )
        done = subprocess.run([sys.executable, "-c", code], input=order, stdout=subprocess.PIPE, check=True)
        elsewhere = [float(text) for text in done.stdout.split()]
        assert (len(elsewhere), elsewhere[0] > times[-1]) == (5, True)


def test_all_wait_when_the_provider_asks_for_it(budget: Budget, request: pytest.FixtureRequest) -> None:
    account = request.node.name
    began = time.time()
    Pace(budget, account, PER_SECOND).hold(0.5)
    assert sent(budget, account, 1)[0] - began >= 0.45
    Pace(budget, account, PER_SECOND).hold(3600)
    with pytest.raises(BusyError, match="used up by other tables") as caught:
        Pace(budget, account, PER_SECOND).wait(10)
    assert caught.value.retry_after_seconds == pytest.approx(3600, abs=5)


def test_an_account_without_a_limit_waits_for_nobody(budget: Budget) -> None:
    """But the requests of a reader that was asked to wait."""
    pace = Pace(budget, "unlimited", None)
    pace.hold(3600)
    Pace(budget, "unlimited", None).wait(0)
    with pytest.raises(BusyError):
        pace.wait(60)


def test_a_budget_that_is_away_holds_nobody_up_for_good(tmp_path: Path) -> None:
    """Each process keeps to its own then."""
    away = SharedBudget(f"sqlite:///{tmp_path}/gone/metadata.db")
    times = sent(away, "away", 30)
    assert times[-1] - times[0] >= 29 / PER_SECOND - 0.1
    Pace(away, "away", PER_SECOND).hold(3600)
    with pytest.raises(BusyError):
        Pace(away, "away", PER_SECOND).wait(1)
