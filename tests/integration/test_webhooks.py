"""A provider's events, from its signed requests to rows: what was acknowledged is there once, in its newest state."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_changes import table
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, eventually, named, run_platform
from tests.kit.servers import RunningStore, run_object_store, run_temporal
from tests.providers.sender import Sender
from tests.providers.server import running
from tests.providers.stripe import StripePlayer
from tests.providers.telling import Telling, stripe

COLUMNS = ("id", "object", "created", "amount", "currency", "metadata", "livemode")
TABLES = ("customers", "products")


class Shop:
    """Stripe as a source whose tables are kept by its events."""

    def __init__(self, platform: Platform, store: RunningStore, player: StripePlayer) -> None:
        self.platform = platform
        self.store = store
        schemas = [{"name": name, "should_sync": True, "sync_type": "webhook"} for name in TABLES]
        body = {"source_type": "Stripe", "prefix": "shop_", "payload": {**player.inputs(), "schemas": schemas}}
        self.source = platform.call("POST", "/external_data_sources/", body, status=201)
        (endpoint,) = player.endpoints.known
        self.url = endpoint["url"]
        self.telling: Telling = stripe(player, player.endpoints.secrets[endpoint["id"]])

    def loaded(self) -> None:
        for name in TABLES:
            (job,) = self.platform.wait_for_jobs(self.source, named(self.source, name))
            assert job["status"] == "Completed", job["latest_error"]

    def expected(self, name: str) -> list[tuple[Any, ...]]:
        return sorted(
            tuple(_value(column, row[column]) for column in COLUMNS) for row in self.telling.rows(name).values()
        )

    def stored(self, name: str) -> list[tuple[Any, ...]]:
        frame = lake_frame(table(self.platform, self.source, name)["url_pattern"], self.store)
        return sorted(tuple(_value(c, row[c]) for c in COLUMNS) for row in frame.to_dicts())

    def is_up_to_date(self) -> bool:
        return all(Counter(self.stored(name)) == Counter(self.expected(name)) for name in TABLES)

    def assert_up_to_date(self, patience_seconds: float = 60.0) -> None:
        """Within so long; if not, see the difference."""
        deadline = time.monotonic() + patience_seconds
        while not self.is_up_to_date() and time.monotonic() < deadline:
            time.sleep(0.5)
        for name in TABLES:
            assert self.stored(name) == self.expected(name)


def _value(column: str, value: Any) -> Any:
    if column == "created" and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value


@pytest.fixture
def player() -> Iterator[StripePlayer]:
    with running() as provider:
        yield StripePlayer(provider)


def stock(player: StripePlayer, count: int) -> None:
    """So many customers and products, before there is anybody who is told."""
    for name in TABLES:
        for number in range(count):
            player.put(name, number, number)


@pytest.fixture
def receiving(own_platform: Platform) -> Platform:
    """Known at its own address."""
    return at_its_address(own_platform)


def at_its_address(platform: Platform) -> Platform:
    platform.kill("api")
    _start_api(platform)
    return platform


def _start_api(platform: Platform) -> None:
    platform.start_api(PUBLIC_URL=f"http://127.0.0.1:{platform.api_port}", WEBHOOK_APPLY_SECONDS="1")


def traffic(shop: Shop, sender: Sender, count: int, seed: int) -> None:
    """So many changes of customers and products, each told by an event."""
    chance = random.Random(seed)  # noqa: S311
    alive = {name: sorted(shop.telling.rows(name)) for name in TABLES}
    begun = time.monotonic()
    for number in range(count):
        name = chance.choice(TABLES)
        what = chance.random()
        if what < 0.3 or not alive[name]:
            event = shop.telling.create(name, 100_000 * seed + number)
            alive[name].append(str(event.about))
        elif what < 0.9:
            event = shop.telling.change(name, chance.choice(alive[name]))
        else:
            key = alive[name].pop(chance.randrange(len(alive[name])))
            event = shop.telling.delete(name, key)
        sender.send(event)
        # What happens at the provider has its pace, too.
        time.sleep(max(0.0, begun + number / sender.per_second - time.monotonic()))


@contextmanager
def killing(kill: Callable[[random.Random], None], seed: int, mean_seconds: float) -> Iterator[None]:
    """At random times, until the block ends."""
    chance, over = random.Random(seed), threading.Event()  # noqa: S311

    def go_on() -> None:
        while not over.wait(chance.expovariate(1 / mean_seconds)):
            kill(chance)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kill_something(platform: Platform) -> Callable[[random.Random], None]:
    def kill(chance: random.Random) -> None:
        if chance.random() < 0.5:
            platform.kill()
            platform.start_worker()
        else:
            platform.kill("api")
            _start_api(platform)

    return kill


def play(shop: Shop, count: int, seed: int, mean_seconds: float) -> Sender:
    """Events at 200 a second, late, doubled and out of order, while processes die; until the rows are right."""
    with Sender(shop.url, per_second=200, doubles=0.1, spread_seconds=3.0, seed=seed) as sender:
        with killing(kill_something(shop.platform), seed, mean_seconds):
            traffic(shop, sender, count, seed)
        assert sender.wait(120)
    assert len(sender.acknowledged) == count
    shop.assert_up_to_date()
    return sender


def test_what_was_acknowledged_is_there_once_whatever_is_killed(
    receiving: Platform, player: StripePlayer, object_store: RunningStore
) -> None:
    stock(player, 150)
    shop = Shop(receiving, object_store, player)
    shop.loaded()
    shop.assert_up_to_date()
    play(shop, 600, seed=1, mean_seconds=1.5)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_events_while_everything_is_killed(
    receiving: Platform, player: StripePlayer, object_store: RunningStore, seed: int
) -> None:
    """They begin while the tables are still read."""
    stock(player, 1_000)
    shop = Shop(receiving, object_store, player)
    play(shop, 10_000, seed=seed, mean_seconds=4.0)


def test_events_are_rows_within_seconds_and_a_table_that_was_off_is_read_anew(
    receiving: Platform, player: StripePlayer, object_store: RunningStore
) -> None:
    for name in TABLES:
        player.put(name, 1, 1)
    shop = Shop(receiving, object_store, player)
    shop.loaded()
    with Sender(shop.url) as sender:
        sender.send(shop.telling.create("customers", 2))
        sender.send(shop.telling.change("products", "prod_1"))
        assert sender.wait(20)
        shop.assert_up_to_date(20)

        customers = named(shop.source, "customers")
        receiving.call("PATCH", f"/external_data_schemas/{customers['id']}/", {"should_sync": False})
        time.sleep(2.5)
        sender.send(shop.telling.delete("customers", "cus_1"))
        sender.send(shop.telling.create("customers", 3))
        assert sender.wait(20)
    assert [row[0] for row in shop.stored("customers")] == ["cus_1", "cus_2"]
    receiving.call("PATCH", f"/external_data_schemas/{customers['id']}/", {"should_sync": True})
    eventually(shop.is_up_to_date, "the customers, read anew")


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("step", ["applying", "staged", "before-commit", "after-commit", "after-publish"])
def test_a_worker_killed_as_it_applies_events_and_as_it_reads_a_table_anew(
    receiving: Platform, player: StripePlayer, object_store: RunningStore, step: str
) -> None:
    """What came before it died and after, up to its successor, is there all the same."""
    stock(player, 50)
    shop = Shop(receiving, object_store, player)
    shop.loaded()

    def doom(seed: int, *begin: Callable[[], Any]) -> None:
        receiving.kill()
        traffic(shop, sender, 80, seed)
        assert sender.wait(60)
        receiving.start_worker("doomed", FAILPOINT=step)
        for each in begin:
            each()
        receiving.wait_killed("doomed")
        traffic(shop, sender, 80, seed + 1)
        assert sender.wait(60)
        receiving.start_worker()
        shop.assert_up_to_date()

    with Sender(shop.url, per_second=100, doubles=0.1, spread_seconds=1.0) as sender:
        doom(1)
        customers = named(shop.source, "customers")
        doom(3, lambda: receiving.call("POST", f"/external_data_schemas/{customers['id']}/resync/"))
    assert len(sender.acknowledged) == 320


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_object_store_is_away_for_a_minute_and_temporal_dies(
    player: StripePlayer, sqlite_metadata_url: str, tmp_path: Path
) -> None:
    """Nothing is acknowledged meanwhile; the provider tries again, and nothing is lost."""
    stock(player, 100)
    with (
        run_object_store() as store,
        run_temporal(in_memory=False) as temporal,
        run_platform(tmp_path, sqlite_metadata_url, store.new_url(), temporal, store) as platform,
    ):
        shop = Shop(at_its_address(platform), store, player)
        shop.loaded()
        with Sender(shop.url, per_second=100, doubles=0.1, spread_seconds=2.0) as sender:
            traffic(shop, sender, 500, seed=1)
            store.kill()
            away = time.time()
            traffic(shop, sender, 500, seed=2)
            time.sleep(max(0.0, away + 60 - time.time()))
            answers = [each.status for each in sender.answers if each.at > away + 1]
            assert 200 not in answers
            assert 503 in answers
            store.restart()
            traffic(shop, sender, 300, seed=3)
            temporal.kill()
            traffic(shop, sender, 300, seed=4)
            temporal.restart()
            assert sender.wait(180)
        assert len(sender.acknowledged) == 1600
        shop.assert_up_to_date(180)
