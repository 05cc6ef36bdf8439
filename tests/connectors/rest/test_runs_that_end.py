"""What ends a run of any provider: the next one goes on, and no object is lost."""

import json
from contextlib import suppress
from itertools import product

import pytest

from connectors.errors import AccessError, CredentialsError, SourceError
from connectors.rest import reader
from lake.storage import LakeStore
from tests.connectors.rest.copies import Copied
from tests.connectors.rest.library import SIZE, Library, books, read
from tests.connectors.rest.players import PLAYERS
from tests.connectors.rest.several_pages import AHEAD, MODES, check, copied, rarely
from tests.connectors.rest.test_providers import config_of, described
from tests.providers.faults import Keys, Pages, where
from tests.providers.player import Player
from tests.providers.server import Asked, Reply

pytestmark = pytest.mark.usefixtures("quick")


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
