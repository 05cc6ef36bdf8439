"""GitHub's REST API, after https://docs.github.com/rest: repositories of an owner, and what they have.

Pages are told by the header ``Link``, whose addresses name a repository by its id. Those of issues have a cursor,
without which no page behind the first 10,000 issues is given.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.providers.github_hooks import GitHubHooksPlayer
from tests.providers.player import Object, Player
from tests.providers.server import Asked, Provider, Reply

OWNER, TOKEN = "octo-org", "github_pat_1"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PAGING = {"per_page", "page"}
ORDER = {"sort", "direction"}
PATHS: dict[str, tuple[str, set[str]]] = {
    "issues": ("issues", {*PAGING, *ORDER, "state", "since", "after"}),
    "issues/comments": ("issue_comments", {*PAGING, *ORDER, "since"}),
    "pulls": ("pull_requests", {*PAGING, *ORDER, "state"}),
    "pulls/comments": ("review_comments", {*PAGING, *ORDER, "since"}),
    "commits": ("commits", {*PAGING, "since"}),
    "branches": ("branches", PAGING),
    "releases": ("releases", PAGING),
    "milestones": ("milestones", {*PAGING, "state"}),
    "labels": ("labels", PAGING),
    "actions/runs": ("workflow_runs", PAGING),
}
"""Paths below a repository, with their tables and parameters."""
SORTS = {"created", "updated"}
DIRECTIONS = {"asc", "desc"}
STATES = {"open", "closed", "all"}
MOST_BY_PAGE = 10_000
NUMBERED = {"issues", "pulls", "milestones"}
"""Whose objects are asked for by their number."""


class GitHubPlayer(Player):
    source_type = "GitHub"
    begin = BEGIN.timestamp()
    page = 100
    limited: ClassVar[Reply] = Reply(
        {"message": "API rate limit exceeded for user ID 1."},
        403,
        {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1760000000"},
    )
    forbidden: ClassVar[Reply] = Reply(
        {"message": "Resource not accessible by personal access token", "status": "403"},
        403,
        {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "1760000000"},
    )

    def __init__(self, provider: Provider) -> None:
        self.homes: dict[tuple[str, Any], str] = {}
        """The repository that each object is in."""
        self.home = "full"
        """That of the next objects."""
        self.hooks = GitHubHooksPlayer()
        super().__init__(provider)

    def inputs(self) -> dict[str, str]:
        return {"token": TOKEN, "owner": OWNER, "base_url": self.provider.url}

    def wrong_login(self) -> dict[str, str]:
        return {"token": "github_pat_wrong"}

    def route(self) -> None:
        self.provider.routes[f"/orgs/{OWNER}/repos"] = self._repositories
        self.provider.routes[f"/users/{OWNER}/repos"] = self._repositories
        self.provider.routes[f"/orgs/{OWNER}/hooks"] = self._hooks
        self.provider.routes[f"/orgs/{OWNER}/hooks/*"] = self._hooks
        self.provider.routes["/repos/*"] = self._by_name
        self.provider.routes["/repositories/*"] = self._by_id

    def put(self, table: str, number: int, seconds: int) -> Object:
        """Beside a repository without objects there is one that has them all, unless ``home`` is changed."""
        if table != "repositories" and self.home == "full":
            for repository in ("empty", "full"):
                self.add_repository(repository)
        made = super().put(table, number, seconds)
        self.homes[table, self.key(table, made)] = self.home
        return made

    def add_repository(self, name: str) -> None:
        known = self.objects["repositories"]
        if all(each["name"] != name for each in known):
            known.append({**self.make("repositories", 10_000 + len(known), 0), "name": name})

    def key(self, table: str, found: Mapping[str, Any]) -> Any:
        return str(found[{"commits": "sha", "branches": "name"}.get(table, "id")])

    def make(self, table: str, number: int, seconds: int) -> Object:
        at = (BEGIN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        user = {"login": "octocat", "id": 583_231, "type": "User"}
        match table:
            case "commits":
                return {"sha": f"{number:040x}", "commit": {"message": "m", "committer": {"date": at}}, "author": user}
            case "branches":
                return {"name": f"branch-{number}", "commit": {"sha": f"{number:040x}"}, "protected": False}
            case "labels":
                return {"id": number, "name": f"label {number}", "color": "f29513", "default": False}
            case "repositories":
                made = {"id": number, "name": f"repo-{number}", "private": True, "owner": user, "pushed_at": at}
            case "releases":
                made = {"id": number, "tag_name": f"v{number}", "name": f"v{number}", "author": user}
                return {**made, "created_at": at, "published_at": at}
            case "workflow_runs":
                made = {"id": number, "status": "completed", "conclusion": "success", "run_attempt": 1}
            case _:
                made = {"id": number, "number": number, "title": f"{table} {number}", "body": None, "user": user}
        return {**made, "created_at": at, "updated_at": at}

    def _hooks(self, asked: Asked) -> Reply:
        return _refused(asked, set()) or self.hooks.answer(asked, self.provider.url)

    def _by_name(self, asked: Asked) -> Reply:
        _, _, owner, name, path = asked.path.split("/", 4)
        repository = next((each for each in self.objects["repositories"] if each["name"] == name), None)
        if owner == OWNER and repository and path.split("/")[0] == "hooks":
            return self._hooks(asked)
        if (owner == OWNER and repository) and path not in PATHS and path.rpartition("/")[0] in PATHS:
            return self._one(asked, repository, *path.rsplit("/", 1))
        return self._listed(asked, repository if owner == OWNER else None, path)

    def _by_id(self, asked: Asked) -> Reply:
        _, _, number, path = asked.path.split("/", 3)
        repository = next((each for each in self.objects["repositories"] if str(each["id"]) == number), None)
        return self._listed(asked, repository, path)

    def _repositories(self, asked: Asked) -> Reply:
        if refused := _refused(asked, {*PAGING, *ORDER, "type"}):
            return refused
        found = _in_order(asked, self.objects["repositories"])
        return self._page(asked, asked.path, found)

    def _listed(self, asked: Asked, repository: Object | None, path: str) -> Reply:
        if refused := _refused(asked, PATHS[path][1] if path in PATHS else set()):
            return refused
        if repository is None or path not in PATHS:
            return Reply({"message": "Not Found", "status": "404"}, 404)
        table = PATHS[path][0]
        found = [each for each in self.objects[table] if self.homes[table, self.key(table, each)] == repository["name"]]
        if not found and table == "commits":
            return Reply({"message": "Git Repository is empty.", "status": "409"}, 409)
        if not found and table == "issues":
            return Reply({"message": "Issues has been disabled in this repository.", "status": "410"}, 410)
        if since := asked.query.get("since"):
            found = [each for each in found if each["updated_at"] > since]
        found = _in_order(asked, found) if "sort" in PATHS[path][1] else found
        where = f"/repositories/{repository['id']}/{path}"
        return self._issues(asked, where, found) if table == "issues" else self._page(asked, where, found, table)

    def _one(self, asked: Asked, repository: Object, path: str, id: str) -> Reply:
        """An object by its id, or by the number that it has in its repository."""
        if refused := _refused(asked, set()):
            return refused
        table = PATHS[path][0]
        by = "number" if path in NUMBERED else "id"
        home = [each for each in self.objects[table] if self.homes[table, self.key(table, each)] == repository["name"]]
        found = next((each for each in home if str(each[by]) == id), None)
        return Reply(found) if found else Reply({"message": "Not Found", "status": "404"}, 404)

    def _page(self, asked: Asked, path: str, found: list[Object], table: str = "") -> Reply:
        size, number = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
        page = found[(number - 1) * size : number * size]
        more = number * size < len(found)
        body = {"total_count": len(found), "workflow_runs": page} if table == "workflow_runs" else page
        return Reply(body, headers=self._link(asked, path, page=number + 1) if more else {})

    def _issues(self, asked: Asked, path: str, found: list[Object]) -> Reply:
        """The cursor is the place of the last issue in the order that is asked for."""
        size, by = int(asked.query.get("per_page", 30)), _sort(asked)
        number = int(asked.query.get("page", 1))
        if "after" in asked.query:
            try:
                place = json.loads(base64.b64decode(asked.query["after"]))
            except ValueError:
                return Reply({"message": "Invalid cursor", "status": "422"}, 422)
            descending = asked.query.get("direction", "desc") == "desc"
            found = [
                each
                for each in found
                if ([each[by], each["id"]] < place if descending else [each[by], each["id"]] > place)
            ]
        elif number * size > MOST_BY_PAGE:
            return Reply({"message": "Pagination with the page parameter is not supported for large datasets"}, 422)
        else:
            found = found[(number - 1) * size :]
        page = found[:size]
        if len(found) <= size:
            return Reply(page)
        after = base64.b64encode(json.dumps([page[-1][by], page[-1]["id"]]).encode()).decode()
        return Reply(page, headers=self._link(asked, path, after=after, page=number + 1))

    def _link(self, asked: Asked, path: str, **changes: Any) -> dict[str, str]:
        first = f"{self.provider.url}{path}?{urlencode({**asked.query, 'page': 1})}"
        after = f"{self.provider.url}{path}?{urlencode({**asked.query, **changes})}"
        return {"Link": f'<{first}>; rel="first", <{after}>; rel="next"'}


def _refused(asked: Asked, known: set[str]) -> Reply | None:
    """Parameters that GitHub would pass over are refused here: they say something that is not meant."""
    if asked.headers.get("authorization") != f"Bearer {TOKEN}":
        return Reply({"message": "Bad credentials", "status": "401"}, 401)
    if "user-agent" not in asked.headers:
        return Reply({"message": "Request forbidden by administrative rules."}, 403)
    if asked.headers.get("x-github-api-version") != "2022-11-28":
        return Reply({"message": "Unsupported API version", "status": "400"}, 400)
    wrong = [name for name in asked.query if known and name not in known]
    for name, values in (("sort", SORTS), ("direction", DIRECTIONS), ("state", STATES)):
        if name in asked.query and asked.query[name] not in values:
            wrong.append(name)
    if not 1 <= int(asked.query.get("per_page", 30)) <= 100:
        wrong.append("per_page")
    if "since" in asked.query:
        try:
            datetime.strptime(asked.query["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            wrong.append("since")
    return Reply({"message": "Validation Failed", "errors": wrong, "status": "422"}, 422) if wrong else None


def _sort(asked: Asked) -> str:
    return f"{asked.query.get('sort', 'created')}_at"


def _in_order(asked: Asked, found: list[Object]) -> list[Object]:
    by, descending = _sort(asked), asked.query.get("direction", "desc") == "desc"
    return sorted(found, key=lambda each: (each[by], each["id"]), reverse=descending)
