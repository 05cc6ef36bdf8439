"""GitHub's events, from its signed requests to rows: those that show their objects, and those that only name them."""

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.test_changes import table
from tests.integration.test_webhooks import at_its_address
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, eventually, named
from tests.kit.servers import RunningStore
from tests.providers.github import GitHubPlayer
from tests.providers.sender import Sender
from tests.providers.server import running
from tests.providers.telling import GITHUB_EVENTS, github

TABLES = {
    "issues": ("id", "number", "title", "updated_at"),
    "issue_comments": ("id", "title", "updated_at"),
    "milestones": ("id", "title", "updated_at"),
    "releases": ("id", "tag_name", "name"),
}


@pytest.fixture
def player() -> Iterator[GitHubPlayer]:
    with running() as provider:
        yield GitHubPlayer(provider)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_events_of_github_are_rows(own_platform: Platform, player: GitHubPlayer, object_store: RunningStore) -> None:
    platform = at_its_address(own_platform)
    for name in TABLES:
        for number in range(1, 40):
            player.put(name, number, number)
    schemas = [{"name": name, "should_sync": True, "sync_type": "webhook"} for name in TABLES]
    body = {"source_type": "GitHub", "prefix": "", "payload": {**player.inputs(), "schemas": schemas}}
    source = platform.call("POST", "/external_data_sources/", body, status=201)
    [hook] = player.hooks.known["/orgs/octo-org"]
    telling = github(player, player.hooks.secrets[hook["id"]])

    def stored(name: str) -> list[tuple[str, ...]]:
        rows = lake_frame(table(platform, source, name)["url_pattern"], object_store).to_dicts()
        return sorted(tuple(_text(row[column]) for column in (*TABLES[name], "repository_name")) for row in rows)

    def expected(name: str) -> list[tuple[str, ...]]:
        found = telling.rows(name).values()
        return sorted((*(_text(row[column]) for column in TABLES[name]), "full") for row in found)

    for name in TABLES:
        [job] = platform.wait_for_jobs(source, named(source, name))
        assert job["status"] == "Completed", job["latest_error"]
        assert stored(name) == expected(name)
    chance = random.Random(1)  # noqa: S311
    with Sender(hook["config"]["url"], doubles=0.1, spread_seconds=2.0) as sender:
        for number in range(1_000, 1_080):
            time.sleep(0.1)
            name = chance.choice(list(TABLES))
            keys = sorted(telling.rows(name))
            match chance.choice(("come", "change", "change", "go")):
                case "come":
                    sender.send(telling.create(name, number))
                case "change":
                    sender.send(telling.change(name, chance.choice(keys)))
                case _ if GITHUB_EVENTS[name][2][2] is not None:
                    sender.send(telling.delete(name, chance.choice(keys)))
        assert sender.wait(60)

    def right() -> bool:
        return all(stored(name) == expected(name) for name in TABLES)

    eventually(right, "the rows of the events", patience_seconds=120)


def _text(value: Any) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else str(value)
