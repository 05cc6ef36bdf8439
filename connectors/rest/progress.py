"""The state of a resource's reads: where a pass over its objects stands, to be gone on with by whoever comes next."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from connectors.rest.declaration import Resource
from connectors.rest.paging import Position


@dataclass(frozen=True)
class Progress:
    """A pass that has begun. ``lower``: the cursor that it began at; None for all objects there are."""

    lower: str | None
    at: Position = field(default_factory=dict)

    def as_state(self, resource: Resource, base_url: str) -> str:
        told = {"of": _digest(resource, base_url), "lower": self.lower, "at": self.at}
        return json.dumps(told, sort_keys=True, separators=(",", ":"))


def begun(state: str | None, resource: Resource, base_url: str) -> Progress | None:
    """The pass that is to be gone on with; from its beginning where its pages are asked for in another way now."""
    if not state:
        return None
    told: dict[str, Any] = json.loads(state)
    same = told["of"] == _digest(resource, base_url)
    return Progress(told["lower"], told["at"] if same else {})


def _digest(resource: Resource, base_url: str) -> str:
    return hashlib.sha256(f"{base_url} {resource.model_dump_json()}".encode()).hexdigest()[:16]
