"""GitHub's own ways: objects of many repositories, the order of pull requests, and its two kinds of limits."""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.base import CursorRange, ReadRequest
from connectors.errors import BusyError, ConfigurationError, SourceError
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.rest import client
from connectors.surroundings import Surroundings
from tests.connectors.reading import ReadResult, read_all
from tests.providers.github import OWNER, GitHubPlayer
from tests.providers.server import Reply, running

GITHUB = connector("GitHub")
REPOSITORIES = ("alpha", "beta", "gamma")


@pytest.fixture
def player() -> Iterator[GitHubPlayer]:
    """Numbers go round the repositories."""
    with running() as provider:
        found = GitHubPlayer(provider)
        for name in REPOSITORIES:
            found.add_repository(name)
        yield found


def fill(player: GitHubPlayer, table: str, count: int) -> None:
    for number in range(count):
        player.home = REPOSITORIES[number % len(REPOSITORIES)]
        player.put(table, number, number)


def read(player: GitHubPlayer, table: str, cursor: CursorRange | None = None, **inputs: str) -> ReadResult:
    config = GITHUB.parse_config({**player.inputs(), **inputs}, Surroundings(OPEN))
    return read_all(GITHUB, config, ReadRequest(table, "test-read", cursor=cursor))


def homes(found: ReadResult) -> dict[int, str]:
    rows: list[dict[str, Any]] = found.table.to_pylist()
    return {row["id"]: row["repository_name"] for row in rows}


def test_each_object_names_its_repository(player: GitHubPlayer) -> None:
    fill(player, "issues", 330)
    found = read(player, "issues")
    assert homes(found) == {number: REPOSITORIES[number % 3] for number in range(330)}
    numbers = {each["name"]: each["id"] for each in player.objects["repositories"]}
    assert all(row["repository_id"] == numbers[row["repository_name"]] for row in found.table.to_pylist())
    assert found.table.num_rows == 330


def test_pull_requests_that_changed_are_found_without_all_pages(player: GitHubPlayer) -> None:
    fill(player, "pull_requests", 999)
    changed = player.objects["pull_requests"][4]
    changed["updated_at"] = "2026-02-01T00:00:00Z"
    player.provider.asked.clear()
    found = read(player, "pull_requests", CursorRange("updated_at", "2026-01-01T00:16:30.000000+00:00"))
    assert homes(found) == {4: "beta", **{number: REPOSITORIES[number % 3] for number in range(990, 999)}}
    pages = [each for each in player.provider.asked if each.path.endswith("/pulls")]
    assert len(pages) == 2 * len(REPOSITORIES)
    assert all((each.query["sort"], each.query["direction"]) == ("updated", "desc") for each in pages)


def test_a_full_read_of_pull_requests_goes_by_what_never_changes(player: GitHubPlayer) -> None:
    fill(player, "pull_requests", 10)
    assert len(homes(read(player, "pull_requests"))) == 10
    pages = [each for each in player.provider.asked if each.path.endswith("/pulls")]
    assert {(each.query["sort"], each.query["direction"]) for each in pages} == {("created", "asc")}


def test_a_secondary_limit_that_names_no_time_is_waited_for_a_minute(
    player: GitHubPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 1.0)
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    player.provider.faults.append(Reply({"message": message}, 403, {"X-RateLimit-Remaining": "4321"}))
    with pytest.raises(BusyError) as caught:
        read(player, "issues")
    assert caught.value.retry_after_seconds == 60


def test_repositories_of_a_user(player: GitHubPlayer) -> None:
    player.provider.routes[f"/users/{OWNER}/repos"] = player.provider.routes.pop(f"/orgs/{OWNER}/repos")
    assert read(player, "repositories", account_type="users").table.num_rows == 3
    with pytest.raises(SourceError, match="nothing at the path of repositories"):
        read(player, "repositories")
    with pytest.raises(ConfigurationError, match=r"account_type is one of orgs, users\."):
        read(player, "repositories", account_type="teams")
