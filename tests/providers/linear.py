"""Linear's GraphQL API, after https://linear.app/developers and its published schema: connections of one page each,
whose complexity is counted, a filter by ``updatedAt``, and errors with codes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar

from tests.providers.player import Object, Player
from tests.providers.server import Asked, Reply

KEY = "lin_api_1"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MOST_FIRST, MOST_COMPLEXITY = 250, 10_000
ROOTS = {
    "issues": ("issues", "IssueFilter"),
    "projects": ("projects", "ProjectFilter"),
    "projectMilestones": ("project_milestones", "ProjectMilestoneFilter"),
    "teams": ("teams", "TeamFilter"),
    "users": ("users", "UserFilter"),
    "comments": ("comments", "CommentFilter"),
    "cycles": ("cycles", "CycleFilter"),
    "issueLabels": ("issue_labels", "IssueLabelFilter"),
    "workflowStates": ("workflow_states", "WorkflowStateFilter"),
}
"""Connections, with their tables and the types of their filters."""
ARGUMENTS = {"first", "after", "filter", "includeArchived", "orderBy"}
ENTITY = "id createdAt updatedAt archivedAt"
FIELDS = {
    "issues": "identifier number title description priority priorityLabel estimate sortOrder branchName url dueDate "
    "startedAt completedAt canceledAt triagedAt autoArchivedAt autoClosedAt snoozedUntilAt slaStartedAt slaBreachesAt "
    "trashed customerTicketCount labelIds previousIdentifiers",
    "projects": "slugId name description content icon color url state priority progress scope health sortOrder "
    "labelIds startDate targetDate startedAt completedAt canceledAt autoArchivedAt trashed",
    "project_milestones": "name description targetDate progress sortOrder status",
    "teams": "key name displayName description icon color private timezone issueCount cyclesEnabled cycleDuration "
    "triageEnabled issueEstimationType retiredAt",
    "users": "name displayName email active admin guest owner app title description timezone url avatarUrl lastSeen",
    "comments": "body url issueId parentId projectId projectUpdateId initiativeId documentContentId quotedText "
    "editedAt resolvedAt",
    "cycles": "number name description startsAt endsAt completedAt progress autoArchivedAt scopeHistory "
    "issueCountHistory",
    "issue_labels": "name description color isGroup retiredAt",
    "workflow_states": "name description type color position",
}
"""Of the schema, the scalars beside those of every entity."""
ENTITIES = {
    "issues": "team state assignee creator project projectMilestone cycle parent",
    "projects": "status creator lead convertedFromIssue",
    "project_milestones": "project",
    "teams": "parent",
    "users": "",
    "comments": "user resolvingUser externalUser",
    "cycles": "team",
    "issue_labels": "team parent creator",
    "workflow_states": "team",
}
TOKEN = re.compile(r"[{}()]|[^\s{}(),]+")


@dataclass
class Selection:
    """A field as it is asked for: ``page: issues(first: 250) { … }``."""

    name: str
    arguments: dict[str, str] = field(default_factory=dict)
    fields: "dict[str, Selection]" = field(default_factory=dict)


class GraphQLError(Exception):
    """The message, and the code of the answer."""


class LinearPlayer(Player):
    source_type = "Linear"
    begin = BEGIN.timestamp()
    page = MOST_FIRST
    limited: ClassVar[Reply] = Reply(
        {"errors": [{"message": "Rate limit exceeded", "extensions": {"code": "RATELIMITED", "type": "ratelimited"}}]},
        400,
        {
            "X-RateLimit-Requests-Limit": "2500",
            "X-RateLimit-Requests-Remaining": "0",
            "X-RateLimit-Requests-Reset": "1760000000000",
            "X-RateLimit-Complexity-Remaining": "2999000",
            "X-RateLimit-Complexity-Reset": "4000000000000",
        },
    )
    forbidden: ClassVar[Reply] = Reply(
        {"errors": [{"message": "Forbidden", "extensions": {"code": "FORBIDDEN", "type": "forbidden"}}]}, 403
    )

    def inputs(self) -> dict[str, str]:
        return {"api_key": KEY, "base_url": self.provider.url}

    def wrong_login(self) -> dict[str, str]:
        return {"api_key": f"Bearer {KEY}"}

    def route(self) -> None:
        self.provider.routes["/graphql"] = self._answer

    def make(self, table: str, number: int, seconds: int) -> Object:
        at = (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made: Object = dict.fromkeys([*ENTITY.split(), *FIELDS[table].split()])
        made.update({name: {"id": f"{name}-{number % 7}"} for name in ENTITIES[table].split()})
        named = {"name": f"{table} {number}"} if "name" in made else {}
        return {**made, **named, "id": f"{number:08x}-0000-4000-8000-000000000000", "createdAt": at, "updatedAt": at}

    def _answer(self, asked: Asked) -> Reply:
        login = asked.headers.get("authorization")
        if login == f"Bearer {KEY}":
            return _error(
                "It looks like you're trying to use an API key as a Bearer token.", "AUTHENTICATION_ERROR", 400
            )
        if login != KEY:
            return _error("Authentication required, not authenticated", "AUTHENTICATION_ERROR", 401)
        if asked.method != "POST" or not isinstance(asked.body, dict) or asked.query:
            return _error("POST body missing, invalid Content-Type, or JSON object has no keys.", "BAD_REQUEST", 400)
        try:
            return Reply({"data": self._executed(asked.body["query"], asked.body.get("variables") or {})})
        except GraphQLError as error:
            message, code = error.args
            return _error(message, code, 400)

    def _executed(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        declared, selections = _parsed(query)
        if _complexity(selections, 1) > MOST_COMPLEXITY:
            raise GraphQLError("Query too complex", "INPUT_ERROR")
        if unknown := set(variables) - set(declared):
            raise GraphQLError(f"Unknown variables {unknown}", "BAD_USER_INPUT")
        return {alias: self._connection(each, declared, variables) for alias, each in selections.items()}

    def _connection(
        self, asked: Selection, declared: Mapping[str, str], variables: Mapping[str, Any]
    ) -> dict[str, Any]:
        if asked.name not in ROOTS:
            raise GraphQLError(f'Cannot query field "{asked.name}" on type "Query".', "GRAPHQL_VALIDATION_FAILED")
        table, filter_type = ROOTS[asked.name]
        arguments = asked.arguments
        known = ARGUMENTS | ({"includeDisabled"} if table == "users" else set())
        if not set(arguments) <= known or set(asked.fields) != {"pageInfo", "nodes"}:
            raise GraphQLError(f"Unknown argument or field of {asked.name}", "GRAPHQL_VALIDATION_FAILED")
        if (declared[arguments["after"][1:]], declared[arguments["filter"][1:]]) != ("String", filter_type):
            raise GraphQLError("Variable used in position expecting another type", "GRAPHQL_VALIDATION_FAILED")
        first = int(arguments.get("first", 50))
        if not 1 <= first <= MOST_FIRST:
            raise GraphQLError("Argument Validation Error", "INVALID_INPUT")
        found = self._found(table, arguments, variables)
        ids = [each["id"] for each in found]
        if after := variables.get("after"):
            if after not in ids:
                raise GraphQLError("Argument Validation Error", "INVALID_INPUT")
            found = found[ids.index(after) + 1 :]
        page = found[:first]
        told = {"hasNextPage": len(found) > first, "endCursor": page[-1]["id"] if page else None}
        return {"pageInfo": told, "nodes": [_selected(table, each, asked.fields["nodes"]) for each in page]}

    def _found(self, table: str, arguments: Mapping[str, str], variables: Mapping[str, Any]) -> list[Object]:
        """The newest first. Archived ones, and users who have left, for those who ask."""
        found = self.objects[table]
        if arguments.get("includeArchived") != "true":
            found = [each for each in found if each["archivedAt"] is None]
        if table == "users" and arguments.get("includeDisabled") != "true":
            found = [each for each in found if each["active"] is not False]
        if wanted := variables.get("filter"):
            if set(wanted) != {"updatedAt"} or set(wanted["updatedAt"]) != {"gte"}:
                raise GraphQLError("Field is not defined by the filter", "BAD_USER_INPUT")
            since = datetime.fromisoformat(wanted["updatedAt"]["gte"])
            found = [each for each in found if datetime.fromisoformat(each["updatedAt"]) >= since]
        by = arguments.get("orderBy", "createdAt")
        if by not in ("createdAt", "updatedAt"):
            raise GraphQLError(f'Value "{by}" does not exist in "PaginationOrderBy".', "GRAPHQL_VALIDATION_FAILED")
        return sorted(found, key=lambda each: (each[by], each["id"]), reverse=True)


def complexity_of(query: str) -> int:
    """Points: 0.1 a scalar, 1 an object, times as many as a connection gives; rounded up."""
    return -int(-_complexity(_parsed(query)[1], 1) // 1)


def _complexity(selections: Mapping[str, Selection], times: int) -> float:
    total = 0.0
    for each in selections.values():
        within = times * int(each.arguments.get("first", 50)) if "nodes" in each.fields else times
        total += times + _complexity(each.fields, within) if each.fields else times * 0.1
    return total


def _parsed(query: str) -> tuple[dict[str, str], dict[str, Selection]]:
    """The variables with their types, and what is selected."""
    tokens = TOKEN.findall(query)
    if tokens[:2] != ["query", "("]:
        raise GraphQLError("Syntax Error", "GRAPHQL_PARSE_FAILED")
    end = tokens.index(")")
    declared = {name[1:].rstrip(":"): kind for name, kind in pairwise(tokens[2:end]) if name.startswith("$")}
    selections, rest = _selections(tokens[end + 2 :])
    if rest:
        raise GraphQLError("Syntax Error", "GRAPHQL_PARSE_FAILED")
    return declared, selections


def _selections(tokens: list[str]) -> tuple[dict[str, Selection], list[str]]:
    found: dict[str, Selection] = {}
    while tokens[0] != "}":
        alias, *tokens = tokens
        name = alias
        if alias.endswith(":"):
            alias, (name, *tokens) = alias[:-1], tokens
        each = found[alias] = Selection(name)
        if tokens[0] == "(":
            end = tokens.index(")")
            each.arguments = {key[:-1]: value for key, value in pairwise(tokens[1:end]) if key.endswith(":")}
            tokens = tokens[end + 1 :]
        if tokens[0] == "{":
            each.fields, tokens = _selections(tokens[1:])
    return found, tokens[1:]


def _selected(table: str, found: Object, asked: Selection) -> Object:
    scalars, entities = {*ENTITY.split(), *FIELDS[table].split()}, ENTITIES[table].split()
    for name, each in asked.fields.items():
        if name not in (entities if each.fields else scalars):
            raise GraphQLError(f'Cannot query field "{name}".', "GRAPHQL_VALIDATION_FAILED")
    return {name: found[name] for name in asked.fields}


def _error(message: str, code: str, status: int) -> Reply:
    return Reply({"errors": [{"message": message, "extensions": {"code": code}}]}, status)
