"""GitHub's webhooks: one of an organisation, or one of each repository of a user.

https://docs.github.com/rest/orgs/webhooks and https://docs.github.com/rest/repos/webhooks
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from connectors.errors import SourceError
from connectors.receiving import Endpoint, Registered
from connectors.rest.config import RestConfig
from connectors.rest.webhook_places import MOST_PAGES, SECRET, Hooks, hooks, joined, objects_of, text_of

_PAGE = "100"
_ACTIVE = "active"


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


def _listed(api: Hooks, path: str) -> Iterator[Mapping[str, Any]]:
    where, params = path, {"per_page": _PAGE}
    for _ in range(MOST_PAGES):
        answer = api.ask("GET", where, params)
        yield from objects_of(answer.body)
        if answer.next_link is None:
            return
        where, params = answer.next_link, {}
    raise SourceError("The owner has more repositories than webhooks can be looked after in.")


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
