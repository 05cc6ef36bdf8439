"""Stripe's webhook endpoints: https://docs.stripe.com/api/webhook_endpoints."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from connectors.errors import SourceError
from connectors.receiving import Endpoint, Registered
from connectors.rest.config import RestConfig
from connectors.rest.webhook_places import DESCRIPTION, MOST_PAGES, SECRET, Hooks, hooks, joined, objects_of, text_of

PATH = "webhook_endpoints"
_PAGE = "100"


class StripeEndpoints:
    """Of an address there is one. Its secret is told when it is made, and never again."""

    def register(
        self, config: RestConfig, url: str, event_types: Iterable[str], inputs: Mapping[str, str]
    ) -> Registered:
        with hooks(config) as api:
            known, wanted = list(_at(api, url)), list(event_types)
            if not wanted:
                return Registered()
            if known and not inputs.get(SECRET):
                _delete(api, known)
                known = []
            if known:
                for each in known:
                    _update(api, each, wanted)
                return Registered()
            return Registered({SECRET: _made(api, config, url, wanted)})

    def endpoint(self, config: RestConfig, url: str) -> Endpoint | None:
        with hooks(config) as api:
            found = next(_at(api, url), None)
        if found is None:
            return None
        status = text_of(found.get("status")) or "unknown"
        return Endpoint(url, tuple(_events(found)), status, text_of(found.get("description")), _time(found))

    def unregister(self, config: RestConfig, url: str) -> bool:
        with hooks(config) as api:
            known = list(_at(api, url))
            _delete(api, known)
        return bool(known)

    def send_again(self, config: RestConfig, url: str, since: float) -> int:
        """Stripe does so by itself, for three days."""
        return 0


def _at(api: Hooks, url: str) -> Iterator[Mapping[str, Any]]:
    """Those of that address."""
    params = {"limit": _PAGE}
    for _ in range(MOST_PAGES):
        body = api.ask("GET", PATH, params).body
        page = objects_of(body.get("data") if isinstance(body, dict) else None)
        yield from (each for each in page if each.get("url") == url)
        if not page or body.get("has_more") is not True:
            return
        params = {"limit": _PAGE, "starting_after": str(page[-1]["id"])}


def _made(api: Hooks, config: RestConfig, url: str, event_types: list[str]) -> str:
    """Its secret. Events come in the version of the API that the tables are read by."""
    made = api.post(
        PATH,
        {
            "url": url,
            "enabled_events[]": event_types,
            "api_version": config.declaration.headers["Stripe-Version"],
            "description": DESCRIPTION,
        },
    )
    secret = text_of(made.get("secret")) if isinstance(made, dict) else None
    if secret is None:
        raise SourceError("The API has made a webhook without telling its secret.")
    return secret


def _update(api: Hooks, known: Mapping[str, Any], event_types: list[str]) -> None:
    """What is sent already stays; one that Stripe or its owner has switched off sends again."""
    sent = list(_events(known))
    events = joined(sent, event_types)
    changes: dict[str, str | list[str]] = {"enabled_events[]": events} if events != sent else {}
    if known.get("status") == "disabled":
        changes["disabled"] = "false"
    if changes:
        api.post(_path(known), changes)


def _delete(api: Hooks, known: Iterable[Mapping[str, Any]]) -> None:
    for each in known:
        api.ask("DELETE", _path(each))


def _path(known: Mapping[str, Any]) -> str:
    return f"{PATH}/{quote(str(known['id']), safe='')}"


def _events(known: Mapping[str, Any]) -> list[str]:
    found = known.get("enabled_events")
    return [str(each) for each in found] if isinstance(found, list) else []


def _time(known: Mapping[str, Any]) -> str | None:
    try:
        return datetime.fromtimestamp(int(known["created"]), UTC).isoformat()
    except (KeyError, ValueError, OverflowError):
        return None
