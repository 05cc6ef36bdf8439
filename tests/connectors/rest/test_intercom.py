"""What is particular to Intercom's API: one scroll at a time, and searches that know whole days."""

import time
from collections.abc import Iterator

import pytest

from connectors.base import CursorRange
from connectors.errors import BusyError
from connectors.rest import client
from connectors.rest.pace import Pace
from tests.connectors.rest.test_providers import expected, keys, pass_over
from tests.providers import intercom
from tests.providers.intercom import DAY, IntercomPlayer
from tests.providers.server import running


@pytest.fixture
def player(monkeypatch: pytest.MonkeyPatch) -> Iterator[IntercomPlayer]:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(Pace, "wait", lambda *_: None)
    with running() as provider:
        yield IntercomPlayer(provider)


def opened(player: IntercomPlayer) -> None:
    """A scroll of somebody else."""
    player.scroll, player.scrolled = 0, time.monotonic()


def test_companies_wait_for_the_scroll_of_somebody_else(
    player: IntercomPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intercom, "SCROLL_SECONDS", 0.2)
    for number in range(3):
        player.put("companies", number, number)
    opened(player)
    assert sorted(keys(player, "companies", pass_over(player, "companies"))) == expected(player, "companies")
    monkeypatch.setattr(intercom, "SCROLL_SECONDS", 60)
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.1)
    opened(player)
    with pytest.raises(BusyError, match="companies is read on later"):
        pass_over(player, "companies")


@pytest.mark.parametrize("seconds", [0, DAY - 1, DAY, 3 * DAY])
def test_contacts_of_the_day_that_was_read_last_are_found(player: IntercomPlayer, seconds: int) -> None:
    """Whether the last one that is known came at the day's beginning or its end."""
    morning = -intercom.BEGIN % DAY
    known = player.put("contacts", 1, morning + seconds)
    new = player.put("contacts", 2, morning + seconds + (seconds + 1) % DAY % 2)
    edge = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(known["updated_at"]))
    found = keys(player, "contacts", pass_over(player, "contacts", CursorRange("updated_at", edge)))
    assert sorted(found) == sorted([known["id"], new["id"]])
