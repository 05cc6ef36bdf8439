from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.rest import client, reader
from connectors.rest.pace import Pace
from lake.storage import LakeStore
from tests.connectors.rest.library import Library
from tests.connectors.rest.players import PLAYERS
from tests.connectors.rest.several_pages import TABLES
from tests.providers.player import Player
from tests.providers.server import running


@pytest.fixture
def library() -> Iterator[Library]:
    with running() as provider:
        yield Library(provider)


@pytest.fixture
def store(tmp_path: Path) -> LakeStore:
    return LakeStore(f"file://{tmp_path}/lake")


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
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes by faster: delays, patience, and no pace."""
    monkeypatch.setattr(client, "FIRST_DELAY", 0.002)
    monkeypatch.setattr(client, "MOST_DELAY", 0.02)
    monkeypatch.setattr(client, "READ_SECONDS", 0.25)
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(Pace, "wait", lambda *_: None)
