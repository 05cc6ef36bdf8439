"""What is particular to Zendesk's exports and HubSpot's lists."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from connectors.base import CursorRange
from connectors.cursor import encode
from connectors.errors import ConfigurationError
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.surroundings import Surroundings
from tests.connectors.rest.test_providers import pass_over
from tests.providers.hubspot import HubSpotPlayer
from tests.providers.server import Asked, running
from tests.providers.zendesk import ZendeskPlayer


@pytest.fixture
def zendesk() -> Iterator[ZendeskPlayer]:
    with running() as provider:
        yield ZendeskPlayer(provider)


@pytest.fixture
def hubspot() -> Iterator[HubSpotPlayer]:
    with running() as provider:
        yield HubSpotPlayer(provider)


def test_the_address_has_the_subdomain_in_it(zendesk: ZendeskPlayer) -> None:
    inputs = {name: value for name, value in zendesk.inputs().items() if name != "base_url"}
    parsed = connector("Zendesk").parse_config(inputs, Surroundings(OPEN))
    assert parsed.inputs["base_url"] == "https://company.zendesk.com/api/v2"
    with pytest.raises(ConfigurationError, match="subdomain has letters, digits and hyphens only"):
        connector("Zendesk").parse_config({**inputs, "subdomain": "evil.example/"}, Surroundings(OPEN))


def test_events_come_with_their_comments(zendesk: ZendeskPlayer) -> None:
    zendesk.put("ticket_events", 7, 1)
    (found,) = pass_over(zendesk, "ticket_events")
    (row,) = found.table.to_pylist()
    assert (row["id"], row["ticket_id"]) == (10_007, 7)
    assert [each["body"] for each in json.loads(row["child_events"])] == ["Comment 7"]


def test_a_ticket_that_zendesk_itself_changed_is_new(zendesk: ZendeskPlayer) -> None:
    """``updated_at`` does not tell."""
    for number in range(3):
        zendesk.put("tickets", number, number)
    field = "generated_timestamp"
    (first,) = pass_over(zendesk, "tickets", CursorRange(field, include_nulls=True))
    edge = encode(max(first.table.column(field).to_pylist()))
    zendesk.objects["tickets"][0] |= {field: zendesk.objects["tickets"][2][field] + 60, "status": "deleted"}
    (later,) = pass_over(zendesk, "tickets", CursorRange(field, edge))
    # The export begins a second before the cursor.
    found = [(row["id"], row["status"]) for row in later.table.to_pylist()]
    assert found == [(10_001, "open"), (10_002, "open"), (10_000, "deleted")]


def test_the_last_minute_comes_with_a_later_run(zendesk: ZendeskPlayer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for number, ago in enumerate((300, 62, 30)):
        zendesk.put("users", number, 0)["updated_at"] = datetime.fromtimestamp(now - ago, UTC).isoformat()
    (first,) = pass_over(zendesk, "users", CursorRange("updated_at", include_nulls=True))
    assert first.table.column("id").to_pylist() == [10_000, 10_001]
    edge = encode(max(first.table.column("updated_at").to_pylist()))
    monkeypatch.setattr("tests.providers.zendesk.UNSEEN_SECONDS", 20)
    (later,) = pass_over(zendesk, "users", CursorRange("updated_at", edge))
    assert later.table.column("id").to_pylist() == [10_001, 10_002]


def test_the_properties_that_were_asked_for(hubspot: HubSpotPlayer) -> None:
    hubspot.put("deals", 1, 1)
    (found,) = pass_over(hubspot, "deals")
    (row,) = found.table.to_pylist()
    assert json.loads(row["properties"])["dealname"] == "Deal 1"
    assert hubspot.provider.asked[-1].query["properties"] == "dealname,amount"


def changing(player: HubSpotPlayer, after: int, change: Callable[[], None]) -> None:
    """Behind so many pages."""
    before = len(player.provider.asked)

    def watch(asked: Asked) -> None:
        if len(player.provider.asked) == before + after + 1:
            change()

    player.provider.before = watch


def test_objects_that_change_come_and_go_while_the_list_is_read(hubspot: HubSpotPlayer) -> None:
    for number in range(250):
        hubspot.put("contacts", number, number)
    contacts = hubspot.objects["contacts"]

    def change() -> None:
        contacts[5]["updatedAt"] = datetime.fromtimestamp(time.time() + 1, UTC).isoformat()
        contacts[240]["updatedAt"] = datetime.fromtimestamp(time.time() + 2, UTC).isoformat()
        del contacts[100], contacts[20]
        hubspot.put("contacts", 900, 900)

    changing(hubspot, 1, change)
    (first,) = pass_over(hubspot, "contacts", CursorRange("updatedAt", include_nulls=True))
    ids = first.table.column("id").to_pylist()
    assert len(ids) == len(set(ids))
    assert {each["id"] for each in contacts} <= set(ids)
    edge = encode(max(first.table.column("updatedAt").to_pylist()))
    (later,) = pass_over(hubspot, "contacts", CursorRange("updatedAt", edge), first.report.state)
    assert sorted(later.table.column("id").to_pylist()) == ["10005", "10240"]
