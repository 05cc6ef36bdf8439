"""The state of a resource's reads: where a pass over its objects stands, to be gone on with by whoever comes next; and
behind the last page, how far the next pass has to look back, or the token by which it is told what changed.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.cursor import encode
from connectors.rest.declaration import Resource
from connectors.rest.paging import Position

ANEW = timedelta(days=1)
"""A pass that was begun anew, as the API had lost its place, is not so once more before that."""
MARGIN = timedelta(seconds=60)
"""How late an API may show a change."""


@dataclass(frozen=True)
class Progress:
    """A pass that has begun; with a ``token`` alone, the one that is to come.

    ``lower``: the cursor that it began at; None for all objects there are.
    """

    lower: str | None
    at: Position = field(default_factory=dict)
    began: str | None = None
    """When, by the API's clock; None before its first answer."""
    token: str | None = None
    """What the pass before this one left: the API gives what changed since."""
    anew: bool = False
    """The API had lost the place of the pass before."""

    def begin_anew(self) -> "Progress | None":
        """From the first page; None where the API would only lose the same place again."""
        if self.anew and self.began and datetime.now(UTC) - datetime.fromisoformat(self.began) < ANEW:
            return None
        return Progress(self.lower, token=self.token, anew=True)

    def as_state(self, resource: Resource, place: str) -> str:
        told = {"of": _digest(resource, place), "lower": self.lower, "at": self.at, "began": self.began}
        more = {"token": self.token, "anew": self.anew}
        return _written({**told, **{name: value for name, value in more.items() if value}})


def begun(state: str | None, resource: Resource, place: str) -> Progress | None:
    """The pass that is to be gone on with; from its beginning, and without a token, where its pages are asked for in
    another way or elsewhere now. ``place``: tells whose objects these are.
    """
    told: dict[str, Any] = json.loads(state) if state else {}
    if "at" not in told:
        return None
    if told["of"] != _digest(resource, place):
        return Progress(told["lower"], began=told.get("began"))
    return Progress(told["lower"], told["at"], told.get("began"), told.get("token"), told.get("anew", False))


def ended_state(began: str, greatest: datetime) -> str | None:
    """Behind a pass whose greatest cursor is that one. An object may have changed behind the pass, and another one,
    later, ahead of it: the greatest cursor is past the first one, which the next pass has to find.
    """
    known = datetime.fromisoformat(began) - MARGIN
    return _written({"ended": encode(known)}) if known < greatest else None


def lower_after(state: str | None, lower: str | None) -> str | None:
    """Where a new pass begins when the table is at ``lower``."""
    known: str | None = json.loads(state).get("ended") if state else None
    if known is None or lower is None:
        return lower
    return min(known, lower, key=datetime.fromisoformat)


def _written(told: dict[str, Any]) -> str:
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _digest(resource: Resource, place: str) -> str:
    return hashlib.sha256(f"{place} {resource.model_dump_json()}".encode()).hexdigest()[:16]
