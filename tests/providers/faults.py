"""What goes wrong between an API and who asks it: kinds of faults, and plans of when they come."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.providers.server import Asked, Fault, Plan, Provider, Reply, Route

SLOW_SECONDS = 0.02
STALL_SECONDS = 1.0
PAGE = b"<!DOCTYPE html><html><head><title>Be right back</title></head><body><h1>Be right back</h1></body></html>"
HTML = {"Content-Type": "text/html"}


def page(status: int) -> Reply:
    """What stands in front of the API answers itself."""
    return Reply(PAGE, status, HTML)


def half(reply: Reply) -> int:
    return len(reply.content) // 2


BROKEN: Mapping[str, Fault] = {
    "no answer": Reply(ends="answer"),
    "reset": Reply(ends="reset"),
    "cut in the headers": Reply(ends="headers"),
    "cut": lambda reply: replace(reply, cut=half(reply)),
    "stalled": lambda reply: replace(reply, cut=half(reply), stall=STALL_SECONDS),
    "said to be longer": lambda reply: replace(reply, cut=len(reply.content), length=len(reply.content) + 100),
    "said to be shorter": lambda reply: replace(reply, length=half(reply)),
    "cut where no length is said": lambda reply: replace(reply, cut=half(reply), length=-1),
    "cut where it is packed": lambda reply: replace(reply, cut=20, zipped=True),
    "cut where it is packed and no length is said": lambda reply: replace(reply, cut=20, zipped=True, length=-1),
}
"""Connections that break, and answers that come in part."""
STRANGE: Mapping[str, Fault] = {
    "page": page(200),
    "nothing": Reply(b""),
    "another shape": Reply({"message": "Be right back", "status": "ok"}),
    "nothing in it": Reply({}),
    "half": lambda reply: replace(reply, body=reply.content[: half(reply)]),
}
"""Answers that are none, of status 200."""
BUSY: Mapping[str, Fault] = {f"page of {status}": page(status) for status in (500, 502, 503, 504)} | {
    "limited": Reply({}, 429),
    "limited, by a page": page(429),
}
SLOW: Mapping[str, Fault] = {"slow": lambda reply: replace(reply, delay=SLOW_SECONDS)}
PASSING: Mapping[str, Fault] = {**BROKEN, **STRANGE, **BUSY, **SLOW}
"""After each of them the same request is answered as ever."""


def at_numbers(faults: Mapping[int, Fault]) -> Plan:
    """By the number of the request."""
    return lambda number, asked: faults.get(number)


def where(condition: Callable[[Asked], bool], fault: Fault) -> Plan:
    """To every such request."""
    return lambda number, asked: fault if condition(asked) else None


def with_objects(reply: Reply, change: Callable[[list[Any]], list[Any]]) -> Reply:
    """Another list of objects in the same answer."""

    def changed(body: Any) -> Any:
        if isinstance(body, list):
            return change(body)
        inner = next((name for name, value in body.items() if isinstance(value, list)), None)
        inner = inner or next(name for name, value in body.items() if isinstance(value, dict))
        return {**body, inner: changed(body[inner])}

    return replace(reply, body=changed(reply.body))


class Mixture:
    """A plan of faults by chance: a seed leads to the same ones. ``played``: by the number of the request."""

    def __init__(self, seed: int, chance: float, kinds: Mapping[str, Fault] = PASSING) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._chance = chance
        self._kinds = kinds
        self.played: dict[int, str] = {}

    def __call__(self, number: int, asked: Asked) -> Fault | None:
        if self._random.random() >= self._chance:
            return None
        name = self.played[number] = self._random.choice(list(self._kinds))
        return self._kinds[name]

    @property
    def spoilt(self) -> set[int]:
        """Requests without a whole answer."""
        return {number for number, name in self.played.items() if name not in SLOW}


class Pages:
    """Numbers the pages with objects of the table, as they are first asked for; others have 0."""

    def __init__(self) -> None:
        self._seen: list[str] = []

    def number(self, asked: Asked) -> int:
        if asked.path.endswith("/repos") or "/empty/" in asked.path:
            return 0
        told = json.dumps([asked.path, asked.query, asked.body])
        if told not in self._seen:
            self._seen.append(told)
        return self._seen.index(told) + 1


class Keys:
    """The logins of an API: all requests are taken for good ones until ``revoke``, and then those with another key."""

    def __init__(self, provider: Provider) -> None:
        self._good: Mapping[str, str] | None = None
        self._revoked: str | None = None
        for path, route in list(provider.routes.items()):
            provider.routes[path] = self._known(route)

    def revoke(self) -> None:
        assert self._good is not None
        self._revoked = self._good["authorization"]

    def _known(self, route: Route) -> Route:
        def answer(asked: Asked) -> Reply:
            self._good = self._good or asked.headers
            is_good = asked.headers["authorization"] != self._revoked
            login = {"authorization": self._good["authorization"]} if is_good else {}
            rest = {name: value for name, value in asked.headers.items() if name != "authorization"}
            return route(replace(asked, headers={**rest, **login}))

        return answer
