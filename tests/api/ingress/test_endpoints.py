"""What is known of endpoints: how often it is read, how old it may be, and what made-up ids cost."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from api.ingress import endpoints
from api.ingress.answers import AnswerError
from api.ingress.endpoints import Endpoints
from connectors.surroundings import Surroundings
from metadata.database import Database
from metadata.keys import ensure_bootstrap
from metadata.models import Schema
from metadata.vault import Vault, generate_key
from metadata.webhooks import WebhookEndpoint, Webhooks
from tests.kit.hooks import Hook, change, make_hook


class Counted(Webhooks):
    """Notes what the metadata are asked for; may be slow."""

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__(database, vault)
        self.asked: list[str] = []
        self.slow_seconds = 0.0

    def endpoint(self, webhook_id: str) -> WebhookEndpoint | None:
        self.asked.append(webhook_id)
        time.sleep(self.slow_seconds)
        return super().endpoint(webhook_id)


@dataclass
class World:
    database: Database
    vault: Vault
    webhooks: Counted = field(init=False)

    def __post_init__(self) -> None:
        self.webhooks = Counted(self.database, self.vault)

    def hook(self) -> Hook:
        return make_hook(self.database, self.vault)

    def run(self, scenario: Callable[[Endpoints], Awaitable[None]]) -> None:
        async def on_a_loop() -> None:
            found = Endpoints(self.webhooks, Surroundings())
            await scenario(found)
            found.close()

        asyncio.run(on_a_loop())


@pytest.fixture
def world(sqlite_metadata_url: str) -> Iterator[World]:
    database = Database(sqlite_metadata_url)
    with database.transaction() as session:
        ensure_bootstrap(session, None)
    yield World(database, Vault([generate_key()]))
    database.dispose()


def test_many_requests_at_once_are_one_look(world: World) -> None:
    hook = world.hook()

    async def scenario(found: Endpoints) -> None:
        known = await asyncio.gather(*(found.find(hook.id) for _ in range(50)))
        assert {None if each is None else tuple(each.schemas.items()) for each in known} == {
            tuple(hook.schemas.items())
        }
        assert len(world.webhooks.asked) == 1

    world.run(scenario)


def test_what_is_used_is_read_again_before_it_is_too_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request waits for that, and what one gets is as it was at most so long ago."""
    monkeypatch.setattr(endpoints, "ENDPOINT_SECONDS", 2.0)
    monkeypatch.setattr(endpoints, "FRESH_SECONDS", 0.2)
    hook = world.hook()

    async def scenario(found: Endpoints) -> None:
        await found.find(hook.id)
        world.webhooks.slow_seconds = 0.8
        changed_at = 0.0
        for step in range(35):
            if step == 5:
                await asyncio.to_thread(change, world.database, Schema, hook.schemas["orders"], should_sync=False)
                changed_at = time.monotonic()
            begun = time.monotonic()
            known = await found.find(hook.id)
            assert known is not None
            assert time.monotonic() - begun < 0.7, "a request waited"
            if changed_at and begun - changed_at > 2.0:
                assert set(known.schemas) == {"customers"}
            await asyncio.sleep(0.1)
        assert set(known.schemas) == {"customers"}
        assert 3 <= len(world.webhooks.asked) <= 6

    world.run(scenario)


def test_made_up_ids_are_remembered_and_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MOST_KNOWN", 50)
    monkeypatch.setattr(endpoints, "MOST_LOOKS", 10)
    hook = world.hook()

    async def scenario(found: Endpoints) -> None:
        one = str(uuid.uuid4())
        for _ in range(5):
            assert await found.find(one) is None
        assert len(world.webhooks.asked) == 1
        for _ in range(200):
            assert await found.find(str(uuid.uuid4())) is None
            assert await found.find(hook.id) is not None
        assert len(found._seen) == 50
        assert len(world.webhooks.asked) <= 202 + 10, "who is known stays known"

    world.run(scenario)


def test_a_flood_of_made_up_ids_shuts_out_nobody_who_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MOST_LOOKS", 10)
    monkeypatch.setattr(endpoints, "ENDPOINT_SECONDS", 0.1)
    hook = world.hook()

    async def scenario(found: Endpoints) -> None:
        await found.find(hook.id)
        world.webhooks.slow_seconds = 0.4
        flood = [asyncio.ensure_future(found.find(str(uuid.uuid4()))) for _ in range(100)]
        await asyncio.sleep(0.15)
        begun = time.monotonic()
        assert await found.find(hook.id) is not None, "it was to be read again"
        assert time.monotonic() - begun < 1.2
        outcomes = await asyncio.gather(*flood, return_exceptions=True)
        assert sum(isinstance(each, AnswerError) for each in outcomes) == 90
        assert outcomes.count(None) == 10

    world.run(scenario)
