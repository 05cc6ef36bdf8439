"""What goes wrong on the way costs no object of any provider, and no page twice: faults that pass, and those that end
a run.
"""

import codecs
import json
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import AccessError, CredentialsError, SourceError
from connectors.rest import client, reader
from connectors.rest.answers import LimitError
from connectors.rest.pace import Pace
from lake.storage import LakeStore
from tests.connectors.rest.copies import Copied, differences
from tests.connectors.rest.library import SIZE, Library, books, read, read_all
from tests.connectors.rest.players import PLAYERS
from tests.connectors.rest.test_providers import config_of, described
from tests.providers.faults import BROKEN, BUSY, PASSING, Keys, Mixture, Pages, at_numbers, where, with_objects
from tests.providers.player import Player
from tests.providers.server import Asked, Fault, Reply, running

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
LASTING = range(3, 10)
"""Requests that a limit refuses which lasts."""
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


def rarely(*cases: Any) -> list[Any]:
    """All but the last one are in the proofs that take longer."""
    *others, last = (case if isinstance(case, tuple) else (case,) for case in cases)
    return [*(pytest.param(*each, marks=pytest.mark.long) for each in others), pytest.param(*last)]


@pytest.mark.parametrize(("player", "mode", "seed"), seeded(range(12), 1), indirect=["player"])
def test_faults_that_pass_cost_nothing(player: Player, store: LakeStore, mode: str, seed: int) -> None:
    mixture = player.provider.plan = Mixture(seed, 0.5, {**PASSING, "limited in its own way": player.limited})
    copy = copied(store, player, mode)
    copy.run(config_of(player))
    check(copy, player)
    assert asked_again(player, mixture.spoilt) <= AHEAD * copy.batches, mixture.played


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
@pytest.mark.parametrize("mode", rarely(*MODES))
def test_a_key_that_is_revoked_ends_the_run_at_once(player: Player, store: LakeStore, mode: str) -> None:
    keys, copy, asked = Keys(player.provider), copied(store, player, mode), player.provider.asked
    player.provider.before = lambda _: keys.revoke() if len(asked) == 3 else None
    with pytest.raises(CredentialsError, match="The API does not take the credentials") as caught:
        copy.run(config_of(player))
    assert len(asked) <= 3 + AHEAD
    assert (caught.value.retryable, copy.failed) == (False, [])
    copy.run(config_of(player, **player.wrong_login()))
    check(copy, player)


@pytest.mark.parametrize("player", PLAYERS, indirect=True)
def test_what_is_forbidden_is_one_table(player: Player, store: LakeStore) -> None:
    config, copy = config_of(player), copied(store, player, "incremental")
    resource = config.declaration.resource(copy.table.name)
    assert resource is not None
    other = next(
        each.name
        for each in config.declaration.resources
        if each.parent == resource.parent and (each.path, each.body) != (resource.path, resource.body)
    )
    player.put(other, 1, 1)
    elsewhere = Copied(store, player.source_type, described(player, other), "full_refresh")
    elsewhere.run(config)
    last = player.provider.asked[-1]

    def is_of_other(asked: Asked) -> bool:
        return asked.path == last.path and (asked.path != "/graphql" or asked.body["query"] == last.body["query"])

    player.provider.plan = where(is_of_other, player.forbidden)
    with pytest.raises(AccessError, match=f"The credentials may not read {other}"):
        elsewhere.run(config)
    copy.run(config)
    check(copy, player)


@pytest.mark.parametrize("player", PLAYERS, indirect=True)
@pytest.mark.parametrize(("mode", "page"), rarely(*product(MODES, (2, 3))))
def test_a_place_that_the_api_refuses_costs_no_object(player: Player, store: LakeStore, mode: str, page: int) -> None:
    """Where a batch has begun with it, the pass begins anew; within a batch the run ends, and the next one goes on."""
    copy, pages, refusals = copied(store, player, mode), Pages(), [Reply({"message": "the place is not known"}, 400)]
    player.provider.plan = lambda _, asked: refusals.pop() if pages.number(asked) == page and refusals else None
    for _ in range(2):
        with suppress(SourceError):
            copy.run(config_of(player))
    assert not refusals
    check(copy, player)


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


def test_a_page_that_the_api_never_gives_is_no_reason_to_begin_for_ever(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its place may have been forgotten meanwhile, the pass is begun anew; a day later it may be so again."""
    monkeypatch.setattr(reader, "BATCH_ROWS", 2 * SIZE)
    library.books = books(4 * SIZE)
    config = library.config([library.resource("page_number", primary_key=["id"], columns={"id": "long"})])
    library.provider.plan = where(lambda asked: asked.query["page"] == "3", Reply({"message": "too deep"}, 422))
    first = read(config, "books")
    again = read(config, "books", state=first.report.state)
    assert [each.column("id") for each in (first, again)] == [list(range(1, 2 * SIZE + 1))] * 2
    with pytest.raises(SourceError, match=r'refuses the request for books.*"too deep"'):
        read(config, "books", state=again.report.state)
    assert again.report.state is not None
    later = json.dumps({**json.loads(again.report.state), "began": "2026-01-01T00:00:00+00:00"})
    assert read(config, "books", state=later).column("id") == first.column("id")


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
