"""GitHub's webhooks, after https://docs.github.com/rest/orgs/webhooks and https://docs.github.com/rest/repos/webhooks."""

from typing import Any

from tests.providers.server import Asked, Reply

MOST_FOR_AN_EVENT = 20
EVENTS = {
    "commit_comment",
    "create",
    "delete",
    "issue_comment",
    "issues",
    "label",
    "milestone",
    "ping",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "release",
    "repository",
    "workflow_run",
}
CREATE = {"name", "active", "events", "config"}
CONFIG = {"url", "content_type", "secret", "insecure_ssl"}
HIDDEN = "********"


class GitHubHooksPlayer:
    """Of any number of places: the path of each says which."""

    def __init__(self) -> None:
        self.known: dict[str, list[dict[str, Any]]] = {}
        self.secrets: dict[int, str] = {}
        self.may_manage = True
        self.deliveries: list[dict[str, Any]] = []
        """Of all hooks together, the newest first."""
        self.sent_again: list[int] = []
        """Deliveries that were to be tried once more."""
        self._made = 0

    def answer(self, asked: Asked, url: str) -> Reply:
        """Who may not manage them learns nothing of them."""
        place, _, rest = asked.path.partition("/hooks")
        if not self.may_manage:
            return Reply({"message": "Not Found", "status": "404"}, 404)
        known = self.known.setdefault(place, [])
        if not rest:
            return self._create(asked, known) if asked.method == "POST" else self._list(asked, known, url)
        if "/deliveries" in rest:
            return self._deliveries(asked, url)
        found = next((each for each in known if f"/{each['id']}" == rest), None)
        if found is None:
            return Reply({"message": "Not Found", "status": "404"}, 404)
        match asked.method:
            case "DELETE":
                known.remove(found)
                return Reply(b"", 204)
            case "PATCH":
                return self._update(asked, found, is_repository=place.startswith("/repos"))
            case _:
                return Reply(_shown(found))

    def sent_to(self, event: str) -> list[dict[str, Any]]:
        """Hooks that such an event goes to."""
        return [each for hooks in self.known.values() for each in hooks if each["active"] and event in each["events"]]

    def delivered(self, id: int, guid: str, at: str, status_code: int) -> None:
        """An attempt. Those without an answer have the status code 0."""
        status = "OK" if 200 <= status_code < 300 else "failed to connect"
        attempt = {"id": id, "guid": guid, "delivered_at": at, "redelivery": False, "duration": 0.1, "event": "issues"}
        self.deliveries.insert(0, {**attempt, "status": status, "status_code": status_code, "action": "opened"})

    def _deliveries(self, asked: Asked, url: str) -> Reply:
        """The list, by a cursor; or another attempt."""
        if asked.method == "POST":
            self.sent_again.append(int(asked.path.rsplit("/", 2)[1]))
            return Reply({}, 202)
        size, first = int(asked.query.get("per_page", 30)), int(asked.query.get("cursor", 0))
        after = f"{url}{asked.path}?per_page={size}&cursor={first + size}"
        link = {"Link": f'<{after}>; rel="next"'} if first + size < len(self.deliveries) else {}
        return Reply(self.deliveries[first : first + size], headers=link)

    def _list(self, asked: Asked, known: list[dict[str, Any]], url: str) -> Reply:
        size, number = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
        page = known[(number - 1) * size : number * size]
        after = f"{url}{asked.path}?per_page={size}&page={number + 1}"
        link = {"Link": f'<{after}>; rel="next"'} if number * size < len(known) else {}
        return Reply([_shown(each) for each in page], headers=link)

    def _create(self, asked: Asked, known: list[dict[str, Any]]) -> Reply:
        given = asked.body
        if refused := _unfit(given, CREATE):
            return refused
        if given.get("name") != "web" or not {"url", "content_type"} <= set(given["config"]):
            return _invalid("config")
        if any(each["config"]["url"] == given["config"]["url"] for each in known):
            return _invalid("Hook already exists on this repository")
        if any(sum(event in each["events"] for each in known) >= MOST_FOR_AN_EVENT for event in given["events"]):
            return _invalid(f"The event cannot have more than {MOST_FOR_AN_EVENT} hooks")
        self._made += 1
        at = "2026-01-01T00:00:00Z"
        made = {"type": "Repository", "id": self._made, **given, "created_at": at, "updated_at": at}
        self.secrets[self._made] = made["config"].get("secret", "")
        known.append(made)
        return Reply(_shown(made), 201)

    def _update(self, asked: Asked, found: dict[str, Any], *, is_repository: bool) -> Reply:
        """With a ``config`` that has no secret there is none any more."""
        given = dict(asked.body)
        more = {"add_events", "remove_events"} if is_repository else set()
        if refused := _unfit(given, CREATE | more):
            return refused
        events = given.pop("events", found["events"])
        events = [*events, *(each for each in given.pop("add_events", ()) if each not in events)]
        removed = given.pop("remove_events", ())
        found.update(given, events=[each for each in events if each not in removed])
        if "config" in given:
            self.secrets[found["id"]] = given["config"].get("secret", "")
        return Reply(_shown(found))


def _unfit(given: dict[str, Any], known: set[str]) -> Reply | None:
    if set(given) - known or set(given.get("config", ())) - CONFIG:
        return _invalid("fields")
    events = [*given.get("events", ()), *given.get("add_events", ())]
    if set(events) - EVENTS - {"*"} or ("events" in given and not events):
        return _invalid("events")
    return None


def _invalid(what: str) -> Reply:
    return Reply({"message": "Validation Failed", "errors": [{"code": "invalid", "message": what}]}, 422)


def _shown(hook: dict[str, Any]) -> dict[str, Any]:
    """Nobody sees a secret."""
    return {**hook, "config": {**hook["config"], **({"secret": HIDDEN} if "secret" in hook["config"] else {})}}
