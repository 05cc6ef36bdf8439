"""Bodies with one thing wrong, made from the schemas of the OpenAPI document."""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TEN_MB = 10 * 2**20

WRONG: dict[str, list[Any]] = {
    "string": [1, 1.5, True, [], {}, ["x"]],
    "integer": ["1", 1.5, True, [], {}],
    "number": ["1", True, [], {}],
    "boolean": ["true", "yes", 1, 0, [], {}],
    "array": ["x", 1, True, {}],
    "object": ["x", 1, True, []],
}
NULLABLE = {"type": "null"}
UNICODE = ["\0", "a\0b", "\ud800", "\u202ecba", "é́", "\U0001f680" * 3]
"""NUL, a lone surrogate; what reads from right to left, is composed, or lies beyond the first plane."""


@dataclass(frozen=True)
class Mutation:
    """A body and the field that is wrong in it."""

    what: str
    attr: str
    body: Any


class Mutations:
    """Over the models of one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._models = document["components"]["schemas"]

    def of(self, schema: dict[str, Any], valid: Any) -> Iterator[Mutation]:
        """``valid`` with each of its fields, and of those it does not have, spoilt in every way."""
        for steps, part, required in self._fields(schema, valid, ()):
            attr = ".".join(str(step) for step in steps)
            if required:
                yield Mutation("missing", attr, without(valid, steps))
            for what, value in self._bad_values(part):
                yield Mutation(what, attr, put(valid, steps, value))

    def _fields(
        self, schema: dict[str, Any], valid: Any, steps: tuple[Any, ...]
    ) -> Iterator[tuple[tuple[Any, ...], dict[str, Any], bool]]:
        schema = self._plain(schema)
        for name, part in schema.get("properties", {}).items():
            yield (*steps, name), part, name in schema.get("required", ())
            inner = self._plain(part)
            if inner.get("type") == "object":
                yield from self._fields(inner, valid, (*steps, name))
            for items in (choice["items"] for choice in self._choices(part) if "items" in choice):
                if look(valid, (*steps, name, 0)) is not None and self._plain(items).get("type") == "object":
                    yield from self._fields(items, valid, (*steps, name, 0))

    def _bad_values(self, part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        choices = self._choices(part)
        kinds = {choice.get("type") for choice in choices}
        if None in kinds:
            return  # anything goes
        for value in wrong_types(kinds):
            yield f"wrong type {value!r}", value
        if "null" not in kinds:
            yield "null", None
        for choice in choices:
            yield from self._bad_of(choice)

    def _bad_of(self, choice: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        if choice.get("type") == "string" and ("enum" in choice or "const" in choice):
            yield "unknown choice", "nonsense"
            yield "other case", str(choice.get("enum", [choice.get("const")])[0]).swapcase() + " "
        elif choice.get("type") == "string":
            if "maxLength" in choice:
                yield "too long", "a" * (choice["maxLength"] + 1)
                yield "10 MB", "a" * TEN_MB
            if choice.get("minLength"):
                yield "empty", ""
            if choice.get("format") in ("uuid", "date-time"):
                yield "no " + choice["format"], "nonsense"
            if not choice.get("writeOnly"):
                yield "NUL", "a\0b"
        if choice.get("type") in ("integer", "number"):
            if "maximum" in choice:
                yield "too large", choice["maximum"] + 1
            if "minimum" in choice:
                yield "too small", choice["minimum"] - 1
        if choice.get("type") == "array" and choice.get("maxItems", TEN_MB) < TEN_MB:
            yield "a list of wrong things", [[[]]]

    def _choices(self, part: dict[str, Any]) -> list[dict[str, Any]]:
        part = self._plain(part)
        found = part.get("anyOf") or part.get("oneOf")
        return [one for choice in found for one in self._choices(choice)] if found else [part]

    def _plain(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._models[schema["$ref"].rpartition("/")[2]]
        return schema


def wrong_types(kinds: set[Any]) -> list[Any]:
    """Values that are of none of these JSON types."""
    bad = [*WRONG[next(kind for kind in sorted(kinds - {"null"}))]]
    return [value for value in bad if not kinds & set(kinds_of(value))]


def kinds_of(value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int):
        return ("integer", "number")
    return ({float: "number", str: "string", list: "array", dict: "object", type(None): "null"}[type(value)],)


def look(body: Any, steps: tuple[Any, ...]) -> Any:
    for step in steps:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return None
    return body


def put(body: Any, steps: tuple[Any, ...], value: Any) -> Any:
    """A copy of the body with that value there."""
    changed = copy.deepcopy(body)
    *outer, last = steps
    place = changed
    for step in outer:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[last] = value
    return changed


def without(body: Any, steps: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(body)
    place = look(changed, steps[:-1])
    if isinstance(place, dict):
        place.pop(steps[-1], None)
    return changed


def short(mutation: Mutation) -> str:
    return re.sub(r"\s+", " ", f"{mutation.attr}: {mutation.what}")[:80]
