"""What goes wrong on the way costs no object of any provider, and no page twice: faults that pass, and those that end
a run.
"""

import json
from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path

import pytest

from connectors.rest import client, reader
from connectors.rest.pace import Pace
from lake.storage import LakeStore
from tests.connectors.rest.copies import Copied, differences
from tests.connectors.rest.players import PLAYERS
from tests.connectors.rest.test_providers import config_of, described
from tests.providers.faults import PASSING, Mixture
from tests.providers.player import Player
from tests.providers.server import running

TABLES = {
    "Ashby": "candidates",
    "Chargebee": "customers",
    "GitHub": "issues",
    "HubSpot": "deals",
    "Intercom": "conversations",
    "Linear": "issues",
    "Stripe": "customers",
    "Zendesk": "organizations",
}
"""One of each provider, of several pages, and incremental."""
MODES = ("full_refresh", "incremental")
AHEAD = 1
"""Pages of a batch that may have been asked for in vain when it ends."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.002)
    monkeypatch.setattr(client, "MOST_DELAY", 0.02)
    monkeypatch.setattr(client, "READ_SECONDS", 0.25)
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(Pace, "wait", lambda *_: None)


@pytest.fixture
def player(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Player]:
    """With three pages of objects, two of which are a batch."""
    with running() as provider:
        found = PLAYERS[request.param](provider)
        table = TABLES[request.param]
        for number in range(2 * found.page_of(table) + 5):
            found.put(table, number, number)
        monkeypatch.setattr(reader, "BATCH_ROWS", 2 * found.page_of(table))
        yield found


@pytest.fixture
def store(tmp_path: Path) -> LakeStore:
    return LakeStore(f"file://{tmp_path}/lake")


def copied(store: LakeStore, player: Player, mode: str) -> Copied:
    return Copied(store, player.source_type, described(player, TABLES[player.source_type]), mode)


def check(copy: Copied, player: Player) -> None:
    table = copy.table.name
    objects = {player.key(table, each): [each] for each in player.objects[table]}
    assert differences(copy.rows(), objects, lambda row: player.key(table, row)) == []


def asked_again(player: Player, spoilt: Collection[int]) -> int:
    """How many whole answers with objects of the table were asked for once more. ``spoilt``: the others."""
    whole = [
        json.dumps([asked.path, asked.query, asked.body])
        for number, asked in enumerate(player.provider.asked, 1)
        if number not in spoilt and not asked.path.endswith("/repos")
    ]
    return len(whole) - len(set(whole))


def seeded(seeds: range, often: int) -> list[object]:
    return [
        pytest.param(name, mode, seed, id=f"{name}-{mode}-{seed}", marks=[] if seed < often else [pytest.mark.long])
        for name, mode, seed in product(PLAYERS, MODES, seeds)
    ]


@pytest.mark.parametrize(("player", "mode", "seed"), seeded(range(12), 1), indirect=["player"])
def test_faults_that_pass_cost_nothing(player: Player, store: LakeStore, mode: str, seed: int) -> None:
    mixture = player.provider.plan = Mixture(seed, 0.5, {**PASSING, "limited in its own way": player.limited})
    copy = copied(store, player, mode)
    copy.run(config_of(player))
    check(copy, player)
    assert asked_again(player, mixture.spoilt) <= AHEAD * copy.batches, mixture.played
