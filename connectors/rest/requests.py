"""What is asked of an API, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Request:
    """``url`` is whole. ``params`` go into the query beside what ``url`` has there."""

    resource: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str | list[str]] | None = None
    """In place of ``body``."""
    moves: bool = False
    """Asked again, the API would give another page, or do it a second time."""

    def with_value(self, into: str, name: str, value: Any) -> "Request":
        """``name`` in the body may be a path, ``variables.after``."""
        if into == "query":
            return replace(self, params={**self.params, name: str(value)})
        return replace(self, body=_with_member(self.body or {}, name.split("."), value))


@dataclass(frozen=True)
class Answer:
    """``body``: JSON with its numbers as they were written (``connectors.inference.texts.Literal``)."""

    url: str
    body: Any
    headers: Mapping[str, str]
    next_link: str | None = None
    """What the header ``Link`` calls the next."""
    asked_at: float = 0.0
    """When it was asked for, by the API's clock, in seconds since the epoch; or before."""
    size_bytes: int = 0


def _with_member(body: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    first, *rest = path
    if not rest:
        return {**body, first: value}
    inner = body.get(first)
    return {**body, first: _with_member(inner if isinstance(inner, Mapping) else {}, rest, value)}
