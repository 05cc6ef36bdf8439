"""Linear's own ways: queries that must not be too complex, errors in answers of status 200, and what is put away."""

from collections.abc import Iterator

import pytest

from connectors.base import ReadRequest
from connectors.errors import SourceError
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.rest import declared_connectors
from connectors.surroundings import Surroundings
from tests.connectors.reading import ReadResult, read_all
from tests.providers.linear import MOST_COMPLEXITY, LinearPlayer, complexity_of
from tests.providers.server import Asked, Reply, running

LINEAR = connector("Linear")
QUERIES = {
    resource.name: resource.body["query"]
    for each in declared_connectors()
    for resource in each.declaration.resources
    if each.source_type == "Linear" and resource.body
}


@pytest.fixture
def player() -> Iterator[LinearPlayer]:
    with running() as provider:
        yield LinearPlayer(provider)


def read(player: LinearPlayer, table: str) -> ReadResult:
    return read_all(LINEAR, LINEAR.parse_config(player.inputs(), Surroundings(OPEN)), ReadRequest(table, "test-read"))


def test_complexity_is_counted_as_it_is_documented() -> None:
    assert complexity_of("query($a: String) { viewer { name } }") == 2
    assert complexity_of("query($a: String) { users(first: 10) { nodes { name } } }") == 12
    assert complexity_of("query($a: String) { users { nodes { name teams { nodes { id } } } } }") == 2856


@pytest.mark.parametrize("table", QUERIES)
def test_no_query_is_too_complex(table: str) -> None:
    assert complexity_of(QUERIES[table]) < MOST_COMPLEXITY / 2


def test_a_query_that_is_too_complex_is_refused(player: LinearPlayer) -> None:
    query = QUERIES["issues"].replace("team { id }", "team { id } labels { nodes { id } }")
    asked = Asked("POST", "/graphql", {}, {"authorization": "lin_api_1"}, {"query": query})
    reply = player.provider.answer(asked)
    assert (reply.status, reply.body["errors"][0]["message"]) == (400, "Query too complex")


def test_errors_of_status_200_are_no_empty_table(player: LinearPlayer) -> None:
    body = {"data": {"page": None}, "errors": [{"message": "Internal server error", "extensions": {"code": "X"}}]}
    player.provider.faults.append(Reply(body))
    with pytest.raises(SourceError, match='request for issues failed: "Internal server error"'):
        read(player, "issues")


def test_what_is_archived_and_who_has_left_comes_as_well(player: LinearPlayer) -> None:
    player.put("issues", 1, 1)["archivedAt"] = "2026-01-02T00:00:00.000Z"
    player.put("users", 1, 1)["active"] = False
    assert [row["archivedAt"].isoformat() for row in read(player, "issues").table.to_pylist()] == [
        "2026-01-02T00:00:00+00:00"
    ]
    assert read(player, "users").table.column("active").to_pylist() == [False]


def test_entities_come_as_their_ids(player: LinearPlayer) -> None:
    player.put("issues", 3, 1)
    (row,) = read(player, "issues").table.to_pylist()
    assert (row["team"], row["assignee"]) == ('{"id":"team-3"}', '{"id":"assignee-3"}')
