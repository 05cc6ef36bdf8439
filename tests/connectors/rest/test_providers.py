"""What holds for every provider that is declared: each object once, whatever happens between the pages."""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.base import CursorRange, DiscoveredTable, ReadRequest
from connectors.cursor import encode
from connectors.errors import AccessError, CredentialsError
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.rest import client, declared_connectors, reader
from connectors.rest.config import RestConfig
from connectors.rest.pace import Pace
from connectors.surroundings import Surroundings
from tests.connectors.reading import ReadResult, read_all
from tests.connectors.rest.players import PLAYERS
from tests.providers.player import Player
from tests.providers.server import running

OFTEN = 3
"""Tables of each provider that every change is held to; the others are in the proofs that take longer."""
TABLES = [
    pytest.param(
        each.source_type,
        resource.name,
        id=f"{each.source_type}-{resource.name}",
        marks=[] if number < OFTEN or resource.parent else [pytest.mark.long],
    )
    for each in declared_connectors()
    for number, resource in enumerate(each.declaration.resources)
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(Pace, "wait", lambda *_: None)


@pytest.fixture
def player(request: pytest.FixtureRequest) -> Iterator[Player]:
    with running() as provider:
        yield PLAYERS[request.param](provider)


def config_of(player: Player, **changes: str) -> RestConfig:
    found: RestConfig = connector(player.source_type).parse_config({**player.inputs(), **changes}, Surroundings(OPEN))
    return found


def described(player: Player, table: str) -> DiscoveredTable:
    (found,) = connector(player.source_type).discover(config_of(player), [table])
    return found


def pass_over(
    player: Player, table: str, cursor: CursorRange | None = None, state: str | None = None
) -> list[ReadResult]:
    """Reads until the pass is over."""
    reads: list[ReadResult] = []
    while not reads or reads[-1].report.more:
        assert len(reads) < 1000
        request = ReadRequest(table, "test-read", cursor=cursor, state=state)
        reads.append(read_all(connector(player.source_type), config_of(player), request))
        state = reads[-1].report.state
    return reads


def keys(player: Player, table: str, reads: list[ReadResult]) -> list[Any]:
    return [player.key(table, row) for each in reads for row in each.table.to_pylist()]


def expected(player: Player, table: str) -> list[Any]:
    return sorted(player.key(table, each) for each in player.objects[table])


def test_every_provider_has_a_player() -> None:
    assert set(PLAYERS) == {each.source_type for each in declared_connectors()}, "add a line to players.py"


@pytest.mark.parametrize(("player", "table"), TABLES, indirect=["player"])
def test_each_object_comes_once(player: Player, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = player.page_of(table)
    for number in range(2 * page + 3):
        player.put(table, number, number)
    found = pass_over(player, table)
    assert len(found) == 1
    assert sorted(keys(player, table, found)) == expected(player, table)
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)
    player.provider.faults.append(player.limited)
    in_batches = pass_over(player, table)
    whole = player.comes_whole(table) or page >= len(player.objects[table])
    assert len(in_batches) == (1 if whole else 3)
    came = keys(player, table, in_batches)
    assert sorted(set(came) if player.pages_overlap(table) else came) == expected(player, table)
    assert set(described(player, table).primary_key) <= set(found[0].table.schema.names)


@pytest.mark.parametrize(("player", "table"), TABLES, indirect=["player"])
def test_what_is_new_is_found(player: Player, table: str) -> None:
    fields = described(player, table).incremental_fields
    if not fields:
        pytest.skip("The API does not say what is new.")
    page = player.page_of(table)
    for number in range(page + 5):
        player.put(table, number, number // 3)
    field = fields[0].field
    first = pass_over(player, table, CursorRange(field, include_nulls=True))
    assert sorted(keys(player, table, first)) == expected(player, table)
    edge = encode(max((v for each in first for v in each.table.column(field) if v.is_valid), key=lambda v: v.as_py()))
    tie = player.put(table, 9001, (page + 4) // 3)
    new = player.put(table, 9002, page * 10)
    later = pass_over(player, table, CursorRange(field, edge))
    found = keys(player, table, later)
    assert len(found) == len(set(found))
    assert {player.key(table, tie), player.key(table, new)} <= set(found)
    assert set(found) <= set(expected(player, table))


@pytest.mark.parametrize("player", PLAYERS, indirect=True)
def test_logins_that_are_turned_down(player: Player) -> None:
    found = connector(player.source_type)
    found.validate(config_of(player))
    with pytest.raises(CredentialsError) as caught:
        found.validate(config_of(player, **player.wrong_login()))
    assert caught.value.message.endswith(".")
    player.provider.faults.append(player.forbidden)
    with pytest.raises(AccessError):
        found.validate(config_of(player))
