"""Objects that come, change and go while the pages of every provider are turned."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from connectors.errors import SourceError
from connectors.rest import reader
from connectors.rest.config import RestConfig
from lake.storage import LakeStore
from tests.connectors.rest.copies import Copied, differences
from tests.connectors.rest.players import PLAYERS
from tests.connectors.rest.test_providers import config_of, described
from tests.providers.faults import Mixture
from tests.providers.life import Life
from tests.providers.player import Player
from tests.providers.server import running

pytestmark = pytest.mark.usefixtures("quick")
TABLES = {
    "Ashby": ("candidates",),
    "Chargebee": ("customers", "credit_notes", "payment_sources"),
    "GitHub": ("issues", "issue_comments", "pull_requests"),
    "HubSpot": ("deals",),
    "Intercom": ("conversations", "contacts", "companies"),
    "Linear": ("issues",),
    "Stripe": ("customers",),
    "Zendesk": ("groups", "tickets", "organizations"),
}
"""The first one of each provider is held to every change."""
COUNTED = {("GitHub", "issue_comments"), ("GitHub", "pull_requests"), ("Intercom", "companies")}
"""Their places are counted: where an object goes, another one may be passed over."""
LATER = 3 * 86_400.0
"""All that is new can be seen by then, whatever the API holds back."""


@pytest.fixture
def player(request: pytest.FixtureRequest) -> Iterator[Player]:
    with running() as provider:
        yield PLAYERS[request.param](provider)


@pytest.fixture
def life(player: Player, table: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> Life:
    """Four pages of objects, two of which are a batch; by each second seed faults come as well."""
    size = player.page_of(table)
    for number in range(3 * size + 5 if size < 1000 else size + 5):
        player.put(table, number, number)
    monkeypatch.setattr(reader, "BATCH_ROWS", 2 * size if size < 1000 else size)
    # A scroll that broke off is open for a minute, in which no other one can be begun.
    if seed % 2 and table != "companies":
        player.provider.plan = Mixture(seed, 0.2)
    return Life(player, table, seed)


def seeded(seeds: int, often: int) -> list[Any]:
    return [
        pytest.param(
            name, table, seed,
            id=f"{name}-{table}-{seed}",
            marks=[] if seed < often and table == TABLES[name][0] else [pytest.mark.long],
        )
        for seed, name in product(range(seeds), PLAYERS)
        for table in TABLES[name]
    ]  # fmt: skip


def run(copy: Copied, config: RestConfig, begin: Callable[[], None] = lambda: None) -> None:
    """Where the API no longer knows the place that a deleted object had, the next run does it."""
    for _ in range(20):
        begin()
        try:
            return copy.run(config)
        except SourceError:
            continue
    raise AssertionError("no run has come to its end")


def wrong(copy: Copied, player: Player, expected: dict[Any, list[Any]]) -> list[str]:
    table = copy.table.name
    return differences(copy.rows(), expected, lambda row: player.key(table, row))


@pytest.mark.parametrize(("player", "table", "seed"), seeded(4, 1), indirect=["player"])
def test_a_full_refresh_has_what_was_there_all_the_time(
    player: Player, life: Life, store: LakeStore, table: str, seed: int
) -> None:
    copy, config = Copied(store, player.source_type, described(player, table), "full_refresh"), config_of(player)
    before: dict[Any, int] = {}

    def begin() -> None:
        life.deleted.clear()
        before.update({key: len(player.versions[table, key]) - 1 for key in life.there()})

    run(copy, config, begin)
    known = {key: found[before.get(key, 0) :] for (of, key), found in player.versions.items() if of == table}
    found = wrong(copy, player, known)
    missing = {each.removesuffix(" is missing") for each in found if each.endswith(" is missing")}
    assert len(missing) == len(found), found
    stayed = life.there() & set(before)
    passed_over = {str(key) for key in stayed - life.unseen()} & missing
    if (player.source_type, table) not in COUNTED:
        assert not passed_over
    assert len(passed_over) <= len(life.deleted)

    life.quiet = True
    life.pass_by(LATER)
    copy.run(config)
    assert wrong(copy, player, {player.key(table, each): [each] for each in player.objects[table]}) == []


@pytest.mark.parametrize(("player", "table", "seed"), seeded(4, 1), indirect=["player"])
def test_a_quiet_run_finds_all_that_has_changed_before(
    player: Player, life: Life, store: LakeStore, table: str, seed: int
) -> None:
    copy, config = Copied(store, player.source_type, described(player, table), "incremental"), config_of(player)
    for _ in range(3):
        run(copy, config)
        life.pass_by(seed * 50)
    life.pass_by(LATER)
    life.quiet = True
    copy.run(config)
    latest = slice(-1, None) if player.tells_changes else slice(None)
    found = wrong(copy, player, {key: player.versions[table, key][latest] for key in life.there()})
    surplus = {f"{key} is too much" for key in life.deleted}
    passed_over = [each for each in found if each not in surplus]
    if (player.source_type, table) not in COUNTED:
        assert passed_over == []
    # It, or its last change, is missing.
    assert not any(each.endswith(("is too much", "twice")) for each in passed_over), found
    assert len(passed_over) <= len(life.deleted)
