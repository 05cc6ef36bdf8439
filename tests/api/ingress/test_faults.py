"""Stores that are away, floods, and several processes: what was acknowledged is in the inbox, whatever happens."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest
from sqlalchemy import text

from api.ingress import ingress
from api.ingress.answers import AnswerError
from api.ingress.gathering import Waiting
from api.ingress.room import LEAST_BYTES, Place, Room
from metadata.vault import generate_key
from metadata.webhooks import ENDPOINT_SECONDS
from tests.api.ingress.conftest import Served, serving
from tests.api.ingress.test_receiving import event
from tests.kit.hooks import Hook
from tests.kit.platform import eventually
from tests.kit.servers import RunningStore, run_object_store

FLOOD = 40
LARGE = 300_000


@pytest.fixture(scope="module")
def own_store() -> Iterator[RunningStore]:
    """Of this module, which stops it."""
    with run_object_store() as store:
        yield store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress, "ANSWER_SECONDS", 1.0)


@contextmanager
def paused(store: RunningStore) -> Iterator[None]:
    """It takes connections and says nothing."""
    os.kill(store.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(store.pid, signal.SIGCONT)


def test_an_object_store_that_is_killed_and_comes_back(
    sqlite_metadata_url: str, own_store: RunningStore, impatient: None
) -> None:
    acknowledged = []
    with serving(sqlite_metadata_url, own_store.new_url(), own_store) as served:
        hook = served.hook()
        assert served.send(hook, event(0)).status_code == 200
        own_store.kill()
        for number in (1, 2):
            answer = served.send(hook, event(number))
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        own_store.restart()

        def is_back() -> bool:
            number = len(acknowledged) + 100
            if served.send(hook, event(number)).status_code == 200:
                acknowledged.append(event(number))
            return len(acknowledged) == 3

        eventually(is_back, "events to be safe again", 60)
        found = served.bodies(hook, "customers")
        assert set(found) >= {event(0), *acknowledged}
        assert set(found) <= {event(0), event(1), event(2), *(event(number) for number in (100, 101, 102))}


def flood(served: Served, hook: Hook, numbers: range) -> dict[int, int]:
    """All at once; the status of each."""

    def send(number: int) -> int:
        body = event(number, pad="x" * LARGE)
        with httpx2.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60) as client:
            return client.post(hook.path, content=body, headers=hook.headers(body)).status_code

    with ThreadPoolExecutor(len(numbers)) as pool:
        return dict(zip(numbers, pool.map(send, numbers), strict=True))


def test_a_flood_while_the_store_is_slow(sqlite_metadata_url: str, own_store: RunningStore) -> None:
    """What there is no room for is refused at once, and nothing of it is stored. Others have their own half."""
    with (
        serving(sqlite_metadata_url, own_store.new_url(), own_store, webhook_waiting_mb=16) as served,
        ThreadPoolExecutor(2) as pool,
    ):
        hook, other = served.hook(), served.hook()
        for each in (hook, other):
            assert served.send(each, event(-1)).status_code == 200
        with paused(own_store):
            flooding = pool.submit(flood, served, hook, range(FLOOD))
            eventually(lambda: served.count("busy") > 0, "the room to be full", 20)
            beside = pool.submit(served.send, other, event(1))
            time.sleep(0.3)
        statuses = flooding.result()
        assert set(statuses.values()) == {200, 503}, Counter(statuses.values())
        assert beside.result().status_code == 200
        found = Counter(served.bodies(hook, "customers"))
        acknowledged = [event(number, pad="x" * LARGE) for number, status in statuses.items() if status == 200]
        assert found == Counter([event(-1), *acknowledged])
        assert served.bodies(other, "customers") == [event(-1), event(1)]
        assert served.send(hook, event(-2)).status_code == 200, "there is room again"


def test_who_sends_too_much_waits_and_no_other_does(sqlite_metadata_url: str, object_store: RunningStore) -> None:
    with serving(sqlite_metadata_url, object_store.new_url(), object_store, webhook_events_per_second=1) as served:
        hook, other = served.hook(), served.hook()
        answers = [served.send(hook, event(number)) for number in range(8)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        assert (answers[-1].status_code, answers[-1].headers["Retry-After"]) == (429, "1")
        assert answers[-1].json()["type"] == "throttled"
        assert served.send(other, event(1)).status_code == 200
        acknowledged = [event(number) for number, answer in enumerate(answers) if answer.status_code == 200]
        assert sorted(served.bodies(hook, "customers")) == sorted(acknowledged)
        assert served.count("limited") == 8 - len(acknowledged)


def test_without_the_metadata_what_is_known_is_good_for_a_while(served: Served) -> None:
    hook, unknown = served.hook(), served.hook()
    assert served.send(hook, event(1)).status_code == 200
    known_until = time.monotonic() + ENDPOINT_SECONDS
    rename(served, "webhook", "elsewhere")
    try:
        assert served.send(hook, event(2)).status_code == 200
        answer = served.send(unknown, event(1))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        time.sleep(max(0.0, known_until - time.monotonic()))
        assert served.send(hook, event(3)).status_code == 503
    finally:
        rename(served, "elsewhere", "webhook")
    eventually(lambda: served.send(hook, event(4)).status_code == 200, "the metadata to be asked again", 10)
    assert served.send(unknown, event(5)).status_code == 200
    assert served.bodies(hook, "customers") == [event(1), event(2), event(4)]


def rename(served: Served, before: str, after: str) -> None:
    with served.database.transaction() as session:
        session.connection().execute(text(f"ALTER TABLE {before} RENAME TO {after}"))


def test_several_processes_share_an_inbox(sqlite_metadata_url: str, object_store: RunningStore) -> None:
    lake_url, keys = object_store.new_url(), generate_key()
    one = serving(sqlite_metadata_url, lake_url, object_store, encryption_keys=keys)
    other = serving(sqlite_metadata_url, lake_url, object_store, encryption_keys=keys)
    with one as first, other as second, ThreadPoolExecutor(8) as pool:
        hook = first.hook()
        sent = [pool.submit((first, second)[number % 2].send, hook, event(number)) for number in range(60)]
        assert {each.result().status_code for each in sent} == {200}
        assert Counter(first.bodies(hook, "customers")) == Counter(map(event, range(60)))
        eventually(lambda: first.count("accepted") == second.count("accepted") == 30, "both to have taken part", 5)


def test_an_event_of_two_tables_is_acknowledged_when_both_have_it() -> None:
    """As the room has it: the place is free once the last put has ended, and a failed one is the answer."""

    async def wait() -> None:
        room = Room(10 * LEAST_BYTES)
        for second in (True, False):
            place = Place(room, "a")
            place.read(1)
            waiting = Waiting(2, place.handed_over())
            waiting.ended(ok=True)
            assert not waiting.safe.done()
            waiting.ended(ok=second)
            assert await waiting.safe is second
            Place(room, "a").read(5 * LEAST_BYTES)
            room.give_back("a", 5 * LEAST_BYTES)

    asyncio.run(wait())


def test_one_endpoint_gets_half_of_the_room() -> None:
    room = Room(10 * LEAST_BYTES)
    places = [Place(room, "a") for _ in range(5)]
    for place in places:
        place.read(100)
        place.read(100)
    with pytest.raises(AnswerError):
        Place(room, "a").read(1)
    with pytest.raises(AnswerError):
        Place(room, "b").read(5 * LEAST_BYTES + 1)
    with Place(room, "b") as place:
        place.read(5 * LEAST_BYTES)
        with pytest.raises(AnswerError):
            Place(room, "c").read(1)
    places[0].give_back()
    Place(room, "a").read(1)
