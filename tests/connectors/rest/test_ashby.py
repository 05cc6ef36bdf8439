"""What is Ashby's own: tokens that end or bring too much, and parents that are gone."""

from collections.abc import Iterator

import pytest

from connectors.base import CursorRange, ReadRequest
from connectors.errors import AccessError, SourceError
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.rest import reader
from connectors.surroundings import Surroundings
from tests.connectors.reading import ReadResult, read_all
from tests.providers.ashby import AshbyPlayer
from tests.providers.server import Reply, running

LATER = CursorRange("updatedAt", "2026-01-01T00:01:00.000000+00:00")


@pytest.fixture
def player() -> Iterator[AshbyPlayer]:
    with running() as provider:
        yield AshbyPlayer(provider)


def read(player: AshbyPlayer, table: str, cursor: CursorRange | None = None, state: str | None = None) -> ReadResult:
    ashby = connector("Ashby")
    config = ashby.parse_config(player.inputs(), Surroundings(OPEN))
    return read_all(ashby, config, ReadRequest(table, "test-read", cursor=cursor, state=state))


def sent(player: AshbyPlayer) -> list[tuple[bool, bool]]:
    """Of each request, whether it had a token, and a cursor."""
    found = [("syncToken" in each.body, "cursor" in each.body) for each in player.provider.asked]
    player.provider.asked.clear()
    return found


@pytest.mark.parametrize("table", ["applications", "users", "interview_plans"])
def test_the_next_pass_is_by_the_token_of_the_last_one(player: AshbyPlayer, table: str) -> None:
    for number in range(150):
        player.put(table, number, number)
    first = read(player, table, CursorRange("updatedAt", include_nulls=True))
    assert (first.table.num_rows, sent(player)) == (150, [(False, False), (False, True)])
    player.put(table, 1000, 5)
    player.put(table, 1001, 500)
    second = read(player, table, LATER, first.report.state)
    assert second.column("id") == [f"{table}-1000", f"{table}-1001"], "also what is older than what was read"
    assert read(player, table, LATER, second.report.state).column("id") == []
    assert sent(player) == [(True, False), (True, False)]
    player.end_tokens(table)
    assert read(player, table, LATER, second.report.state).table.num_rows == 152
    assert sent(player) == [(True, False), (False, False), (False, True)]


def test_more_changes_than_a_token_brings(player: AshbyPlayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)
    player.put("candidates", 0, 0)
    state = read(player, "candidates", CursorRange("updatedAt", include_nulls=True)).report.state
    for number in range(1, 250):
        player.put("candidates", number, number)
    reads = [read(player, "candidates", LATER, state)]
    player.provider.faults.append(
        Reply({"success": False, "errors": ["incremental_sync_too_large"], "errorInfo": None})
    )
    while reads[-1].report.more:
        reads.append(read(player, "candidates", LATER, reads[-1].report.state))
    assert [each.table.num_rows for each in reads] == [100, 100, 100, 50]
    assert {each for found in reads[1:] for each in found.column("id")} == {f"candidates-{n}" for n in range(250)}


def test_parents_that_are_gone_have_no_children(player: AshbyPlayer) -> None:
    player.put("application_history", 1, 1)
    gone = {"success": False, "errorInfo": {"code": "application_not_found", "message": "Application not found"}}
    player.objects["applications"].insert(0, {"id": "gone"})
    player.provider.before = lambda asked: (
        player.provider.faults.append(Reply(gone)) if asked.body.get("applicationId") == "gone" else None
    )
    assert read(player, "application_history").column("id") == ["application_history-1"]


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply({"success": False, "errors": ["missing_endpoint_permission"]}), AccessError, "need Offers: read"),
        (Reply({"success": False, "errors": [{"message": "Invalid limit"}]}), SourceError, '"Invalid limit"'),
        (Reply({"success": False, "errors": None, "errorInfo": None}), SourceError, '"no reason is given"'),
    ],
)
def test_failures_of_status_200(player: AshbyPlayer, reply: Reply, error: type[SourceError], said: str) -> None:
    player.provider.faults.append(reply)
    with pytest.raises(error, match=said):
        read(player, "offers")
