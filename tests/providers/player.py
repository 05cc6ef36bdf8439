"""What the players of all providers have in common: objects by table, and what the provider's API makes of them."""

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from tests.providers.server import Asked, Provider, Reply

Object = dict[str, Any]
CHANGE_TIMES = ("updated_at", "updatedAt", "generated_timestamp")
"""Where an object says when it was last changed."""
TEXTS = ("title", "name", "body", "subject", "label", "email", "metadata", "amount", "status")
"""Of what an object has, what a change is made of."""


class Player(ABC):
    """A provider's API as its public documentation describes it: paths, pages, filters, logins, limits and errors."""

    source_type: ClassVar[str]
    begin: ClassVar[float]
    """The beginning of its objects' times, in seconds since 1970."""
    tells_changes: ClassVar[bool] = True
    """Whether an incremental read is told of objects that have changed."""
    page: ClassVar[int]
    """Objects in a page, as the source asks for them."""
    limited: ClassVar[Reply]
    """What it answers to too many requests: one that asks to wait for no more than a second."""
    forbidden: ClassVar[Reply]
    """What it answers where the key's rights do not reach."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.objects: dict[str, list[Object]] = defaultdict(list)
        self.versions: dict[tuple[str, Any], list[Object]] = defaultdict(list)
        """All that an object was, by its table and key; also of those that are gone."""
        self.log: dict[str, list[Any]] = defaultdict(list)
        """Keys, one for each time that an object came or changed."""
        self._numbers: dict[tuple[str, Any], int] = {}
        self.route()

    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """What a user types into the form, with the address of the server that plays."""

    @abstractmethod
    def wrong_login(self) -> dict[str, str]:
        """Changes of the inputs that are turned down."""

    @abstractmethod
    def route(self) -> None:
        """Have ``provider.routes`` answer."""

    @abstractmethod
    def make(self, table: str, number: int, seconds: int) -> Object:
        """An object as the API gives it, created and last changed so many seconds after the beginning."""

    def page_of(self, table: str) -> int:
        """Objects in a page of that table."""
        return self.page

    def comes_whole(self, table: str) -> bool:
        """Whether all of that table comes in one answer."""
        return False

    def pages_overlap(self, table: str) -> bool:
        """Whether a page of that table begins with objects that the one before it ends with."""
        return False

    def unseen_seconds(self, table: str) -> float:
        """For how long what has just changed is not given."""
        return 0.0

    def put(self, table: str, number: int, seconds: int) -> Object:
        """Into ``objects``; of a table of children beside the parents that are there."""
        made = self.make(table, number, seconds)
        self.objects[table].append(made)
        self._numbers[table, self.key(table, made)] = number
        self._became(table, made)
        return made

    def change(self, table: str, found: Object, seconds: int) -> Object:
        """At that time, in its place."""
        times = self._times(table, found, seconds)
        changed = self._with_other_text({**found, **times}, len(self.log[table]))
        self._replace(table, found, changed)
        return changed

    def delete(self, table: str, found: Object, seconds: int) -> None:
        """At that time, as far as the API lets it be seen."""
        self.objects[table].remove(found)

    def before(self, given: Object) -> Object:
        """An object as the API gives it, with another text that it might have had before."""
        if len(given) == 1:
            return {name: self.before(found) for name, found in given.items()}
        return self._with_other_text(given, -1)

    def limited_for(self, seconds: float) -> Reply:
        """As ``limited``, with so long a wait where the API tells one."""
        told = {name: _wait(name, value, seconds) for name, value in self.limited.headers.items()}
        return replace(self.limited, headers=told)

    def _times(self, table: str, found: Object, seconds: int) -> Object:
        """Of an object that changes then."""
        made = self.make(table, self._numbers[table, self.key(table, found)], seconds)
        return {name: made[name] for name in CHANGE_TIMES if name in made}

    def _replace(self, table: str, found: Object, changed: Object) -> None:
        self.objects[table][self.objects[table].index(found)] = changed
        self._became(table, changed)

    def _became(self, table: str, found: Object) -> None:
        self.versions[table, self.key(table, found)].append(found)
        self.log[table].append(self.key(table, found))

    def _with_other_text(self, found: Object, number: int) -> Object:
        name = next(name for name in TEXTS if name in found)
        match found[name]:
            case int():
                return {**found, name: number}
            case dict() as known:
                return {**found, name: {**known, "n": f"change {number}"}}
            case _:
                return {**found, name: f"change {number}"}

    def key(self, table: str, found: Mapping[str, Any]) -> Any:
        """What tells an object or a row from others."""
        return str(found["id"])


def is_new(asked: Asked, name: str, value: int) -> bool:
    """Whether an object of that time passes a filter of the form ``>=``, where there is one."""
    return name not in asked.query or value >= int(asked.query[name])


def _wait(name: str, value: str, seconds: float) -> str:
    """The value of a header that tells how long to wait, or when that is over, in what it counts in."""
    if name.lower() == "retry-after":
        return str(int(seconds))
    if not name.lower().endswith("-reset"):
        return value
    return str(int((time.time() + seconds) * (1000 if len(value) > len("1760000000") else 1)))
