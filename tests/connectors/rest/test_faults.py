"""What goes wrong on the way, and passes, costs no object of any provider, and no page twice."""

import codecs
import time
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import pytest

from connectors.rest import client, reader
from connectors.rest.answers import LimitError
from lake.storage import LakeStore
from tests.connectors.rest.copies import Copied, differences
from tests.connectors.rest.library import SIZE, Library, books, read_all
from tests.connectors.rest.players import PLAYERS
from tests.connectors.rest.several_pages import AHEAD, MODES, asked_again, check, copied, rarely
from tests.connectors.rest.test_providers import config_of, described
from tests.providers.faults import BROKEN, BUSY, PASSING, Mixture, Pages, at_numbers, with_objects
from tests.providers.github import GitHubPlayer
from tests.providers.player import Player
from tests.providers.server import Asked, Fault, Reply, running

pytestmark = pytest.mark.usefixtures("quick")
LASTING = range(3, 10)
"""Requests that a limit refuses which lasts."""


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


@pytest.mark.parametrize(("mode", "seed"), rarely(*product(MODES, range(10))))
def test_faults_among_the_objects_of_many_parents_cost_nothing(
    store: LakeStore, monkeypatch: pytest.MonkeyPatch, mode: str, seed: int
) -> None:
    """Of several parents at once."""
    monkeypatch.setattr(reader, "BATCH_ROWS", 250)
    with running() as provider:
        player = GitHubPlayer(provider)
        for number in range(800):
            player.home = f"repo-{number % 7}"
            player.add_repository(player.home)
            player.put("issue_comments", number, number)
        mixture = provider.plan = Mixture(seed, 0.4)
        copy, config = Copied(store, "GitHub", described(player, "issue_comments"), mode), config_of(player)
        copy.run(config)
        made = {str(each["id"]): [each] for each in player.objects["issue_comments"]}
        assert differences(copy.rows(), made, lambda row: player.key("issue_comments", row)) == []
        homes = {row["id"]: row["repository_name"] for row in copy.rows()}
        assert homes == {number: f"repo-{number % 7}" for number in range(800)}
        assert asked_again(player, mixture.spoilt) <= config.declaration.limits.concurrency * copy.batches


@pytest.mark.parametrize("player", PLAYERS, indirect=True)
@pytest.mark.parametrize("mode", rarely(*MODES))
def test_a_limit_that_lasts_costs_nothing(player: Player, store: LakeStore, mode: str) -> None:
    """Attempts end in time, and are told when to come back where the API tells it; the next one goes on."""
    player.provider.plan = at_numbers(dict.fromkeys(LASTING, player.limited_for(3600)))
    copy = copied(store, player, mode)
    began = time.monotonic()
    copy.run(config_of(player))
    assert time.monotonic() - began < 10
    check(copy, player)
    assert asked_again(player, LASTING) <= AHEAD * copy.batches
    assert {type(each) for each in copy.failed} <= {LimitError}
    tells = any(name.lower().endswith(("retry-after", "-reset")) for name in player.limited.headers)
    waits = [each.retry_after_seconds for each in copy.failed if isinstance(each, LimitError)]
    assert waits == [pytest.approx(3600, abs=30)] * len(waits)
    assert bool(waits) == tells


@pytest.mark.parametrize("player", PLAYERS, indirect=True)
@pytest.mark.parametrize(("mode", "apart"), rarely(*product(MODES, (0, 2, 1))))
def test_of_an_object_that_comes_twice_the_last_state_stays(
    player: Player, store: LakeStore, mode: str, apart: int
) -> None:
    """On one page, on the next one, and in the next batch."""
    copy, pages, moved = copied(store, player, mode), Pages(), list[Any]()

    def leave(listed: list[Any]) -> list[Any]:
        moved[:] = [listed[1]]
        return [listed[0], player.before(listed[1]), *listed[2:]]

    def plan(_: int, asked: Asked) -> Fault | None:
        left = partial(with_objects, change=leave)
        come = partial(with_objects, change=lambda listed: [*listed[:3], *moved, *listed[3:]])
        match pages.number(asked):
            case 1 if apart == 0:
                return lambda reply: come(left(reply))
            case 1:
                return left
            case number:
                return come if number == 1 + apart else None

    player.provider.plan = plan
    copy.run(config_of(player))
    assert moved
    check(copy, player)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))])
def test_tokens_that_end_meanwhile_are_replaced(
    library: Library, store: LakeStore, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Each is good for four requests, of which some come to nothing."""
    library.books = books(9 * SIZE)
    given: list[int] = []
    pages = library.provider.routes["/v1/token"]

    def give(asked: Asked) -> Reply:
        given.append(0)
        return Reply({"access_token": f"t{len(given)}", "token_type": "Bearer", "expires_in": 3600})

    def checked(asked: Asked) -> Reply:
        given[-1] += 1
        is_good = asked.headers["authorization"] == f"Bearer t{len(given)}" and given[-1] <= 4
        return pages(asked) if is_good else Reply({"error": "invalid_token"}, 401)

    library.provider.routes |= {"/token": give, "/v1/token": checked}
    mixture = Mixture(seed, 0.3, {**BROKEN, **BUSY})
    library.provider.plan = lambda number, asked: None if asked.path == "/token" else mixture(number, asked)
    auth = {"type": "oauth2", "token_url": "{token_url}", "client_id": "me", "client_secret": "{client_secret}"}
    inputs = {"token_url": f"{library.provider.url}/token", "client_secret": "s3cr3t"}
    resource = library.resource("token", primary_key=["id"], columns={"id": "long"})
    config = library.config([resource], auth=auth, inputs=inputs)
    monkeypatch.setattr(reader, "BATCH_ROWS", 2 * SIZE)
    assert [number for each in read_all(config, "books") for number in each.column("id")] == list(
        range(1, 9 * SIZE + 1)
    )
    assert len(given) > 2


def test_an_answer_that_comes_by_drops_is_left(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_ANSWER_SECONDS", 0.2)
    library.books = books(SIZE)
    library.provider.faults.append(lambda reply: replace(reply, drip=0.01))
    began = time.monotonic()
    assert len(library.read(library.resource("token")).column("id")) == SIZE
    assert time.monotonic() - began < 2
    assert len(library.provider.asked) == 2


def test_a_mark_at_the_beginning_is_passed_over(library: Library) -> None:
    library.books = books(SIZE)
    library.provider.plan = lambda _, asked: lambda reply: replace(reply, body=codecs.BOM_UTF8 + reply.content)
    assert len(library.read(library.resource("token")).column("id")) == SIZE
