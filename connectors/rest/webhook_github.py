"""GitHub's webhooks: one of an organisation, or one of each repository of a user.

https://docs.github.com/rest/orgs/webhooks and https://docs.github.com/rest/repos/webhooks
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

from connectors.errors import SourceError
from connectors.receiving import Endpoint, Registered
from connectors.rest.config import RestConfig
from connectors.rest.webhook_events import microseconds
from connectors.rest.webhook_places import MOST_PAGES, SECRET, Hooks, hooks, joined, objects_of, text_of

_PAGE = "100"
_ACTIVE = "active"
MOST_DELIVERIES = 30_000
"""That are looked at: what is older is not sent again."""
MOST_SENT_AGAIN = 300
"""In one round, as each is a request."""


class GitHubHooks:
    """All that lead to an address have one secret, which is made here."""

    def register(
        self, config: RestConfig, url: str, event_types: Iterable[str], inputs: Mapping[str, str]
    ) -> Registered:
        known, wanted = inputs.get(SECRET), list(event_types)
        secret = known or secrets.token_hex(32)
        with hooks(config) as api:
            for place in _places(api, config):
                found = next(_at(api, place, url), None)
                if not wanted:
                    return Registered()
                if found is None:
                    api.send("POST", place, {"name": "web", "active": True, "events": wanted, **_config(url, secret)})
                else:
                    _update(api, place, found, wanted, {} if known else _config(url, secret))
        return Registered() if known or not wanted else Registered({SECRET: secret})

    def endpoint(self, config: RestConfig, url: str) -> Endpoint | None:
        """Of several one that stands for all: with the events that each of them has."""
        with hooks(config) as api:
            found = [next(_at(api, place, url), None) for place in _places(api, config)]
        there = [each for each in found if each is not None]
        if not there:
            return None
        events = [each for each in _events(there[0]) if all(each in _events(other) for other in there)]
        status = _ACTIVE if all(each.get("active") is True for each in there) else "inactive"
        if len(there) < len(found):
            events, status = [], f"missing in {len(found) - len(there)} repositories"
        return Endpoint(url, tuple(events), status, created_at=text_of(there[0].get("created_at")))

    def unregister(self, config: RestConfig, url: str) -> bool:
        any_known = False
        with hooks(config) as api:
            for place in _places(api, config):
                for known in list(_at(api, place, url)):
                    api.ask("DELETE", f"{place}/{quote(str(known['id']), safe='')}")
                    any_known = True
        return any_known

    def send_again(self, config: RestConfig, url: str, since: float) -> int:
        """Each event once, by its newest attempt, the oldest first. What was refused for good is not tried again."""
        count = 0
        with hooks(config) as api:
            for place in _places(api, config):
                for known in list(_at(api, place, url)):
                    path = f"{place}/{quote(str(known['id']), safe='')}/deliveries"
                    for each in _unanswered(api, path, since)[: MOST_SENT_AGAIN - count]:
                        api.send("POST", f"{path}/{quote(str(each['id']), safe='')}/attempts", {})
                        count += 1
        return count


def _unanswered(api: Hooks, path: str, since: float) -> list[Mapping[str, Any]]:
    """Of each event the newest attempt, where none was acknowledged."""
    newest: dict[str, Mapping[str, Any]] = {}
    done: set[str] = set()
    for each in islice(_listed(api, path, MOST_DELIVERIES), MOST_DELIVERIES):
        at = microseconds(each.get("delivered_at"))
        if at is not None and at < since * 1_000_000:
            break
        guid, status = str(each.get("guid")), _status(each)
        newest.setdefault(guid, each)
        if 200 <= status < 300:
            done.add(guid)
    found = [each for guid, each in newest.items() if guid not in done and _may_pass(_status(each))]
    return found[::-1]


def _status(delivery: Mapping[str, Any]) -> int:
    """0 where there was no answer."""
    try:
        return int(delivery.get("status_code") or 0)
    except ValueError:
        return 0


def _may_pass(status: int) -> bool:
    return status < 200 or status in (408, 429) or status >= 500


def _places(api: Hooks, config: RestConfig) -> Iterator[str]:
    """Where there may be hooks. Repositories in the archive send nothing."""
    owner = quote(config.inputs["owner"], safe="")
    if config.inputs["account_type"] == "orgs":
        yield f"orgs/{owner}/hooks"
        return
    for each in _listed(api, f"users/{owner}/repos"):
        if each.get("archived") is not True:
            yield f"repos/{owner}/{quote(str(each['name']), safe='')}/hooks"


def _at(api: Hooks, place: str, url: str) -> Iterator[Mapping[str, Any]]:
    for each in _listed(api, place):
        config = each.get("config")
        if isinstance(config, dict) and config.get("url") == url:
            yield each


def _listed(api: Hooks, path: str, most_pages: int = MOST_PAGES) -> Iterator[Mapping[str, Any]]:
    where, params = path, {"per_page": _PAGE}
    for _ in range(most_pages):
        answer = api.ask("GET", where, params)
        yield from objects_of(answer.body)
        if answer.next_link is None:
            return
        where, params = answer.next_link, {}
    raise SourceError(f"GitHub has more of {path} than can be gone through.")


def _update(
    api: Hooks, place: str, known: Mapping[str, Any], event_types: list[str], changes: Mapping[str, Any]
) -> None:
    """What is sent already stays. Without ``config`` the secret does, too."""
    sent = _events(known)
    events = joined(sent, event_types)
    found = {**changes, **({"events": events} if events != sent else {})}
    if known.get("active") is not True:
        found["active"] = True
    if found:
        api.send("PATCH", f"{place}/{quote(str(known['id']), safe='')}", found)


def _config(url: str, secret: str) -> dict[str, Any]:
    return {"config": {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"}}


def _events(known: Mapping[str, Any]) -> list[str]:
    found = known.get("events")
    return [str(each) for each in found] if isinstance(found, list) else []
