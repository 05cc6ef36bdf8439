"""What a stream's schema says of its properties: which values each may have, and the lake's type for them.

Of a JSON schema the types and formats count. Null is let through everywhere: the lake's columns all take it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa

from connectors.inference.kinds import BOOLEAN, DATE, LONG, NUMBER, TEXT, ZONED, common
from connectors.inference.texts import Literal

_MOST_DEEP = 16
_FORMATS = {"date-time": ZONED, "date": DATE, "singer.decimal": NUMBER}
_PYTHON: dict[str, type] = {
    "string": str,
    "integer": Literal,
    "number": Literal,
    "boolean": bool,
    "object": dict,
    "array": list,
}
"""By which each type of JSON is known once it is parsed."""
EVERY = frozenset(_PYTHON.values())


@dataclass(frozen=True)
class Property:
    """``accepts``: the classes of its values. ``kind``: of its column, unless a value asks for a wider one."""

    accepts: frozenset[type] = EVERY
    kind: pa.DataType = TEXT
    whole_numbers: bool = False
    """Its numbers have no fraction."""

    def or_else(self, other: "Property") -> "Property":
        """What both allow."""
        kind = common((self.kind, other.kind))
        return Property(self.accepts | other.accepts, kind, self.whole_numbers and other.whole_numbers)


ANY = Property()


def properties_of(schema: Mapping[str, Any]) -> dict[str, Property]:
    """In the schema's order. ``ValueError`` where it does not describe an object."""
    found = _resolved(schema, schema)
    declared = {} if found is None else found.get("properties", {})
    if not isinstance(declared, dict):
        raise ValueError("the properties of the schema are no object")
    return {name: _property(each, schema) for name, each in declared.items()}


def _property(schema: Any, root: Mapping[str, Any]) -> Property:
    alternatives = list(_alternatives(schema, root, 0))
    known = [each for each in alternatives if each[0] != "null"]
    if not known or None in [each[0] for each in known]:
        return ANY
    return reduce(Property.or_else, (_of_type(str(name), form) for name, form in known))


def _of_type(name: str, form: str | None) -> Property:
    if name not in _PYTHON:
        return ANY
    accepts = frozenset((_PYTHON[name],))
    if name == "string":
        return Property(accepts, _FORMATS.get(form or "", TEXT))
    if name == "integer":
        return Property(accepts, LONG, whole_numbers=True)
    return Property(accepts, {"number": NUMBER, "boolean": BOOLEAN}.get(name, TEXT))


def _alternatives(schema: Any, root: Mapping[str, Any], depth: int) -> Iterator[tuple[str | None, str | None]]:
    """Types, each with its format; a type of None is any."""
    found = _resolved(schema, root)
    if found is None or depth > _MOST_DEEP:
        yield None, None
        return
    given = found.get("type")
    if given is not None:
        form = found.get("format")
        for name in given if isinstance(given, list) else [given]:
            yield name if isinstance(name, str) else None, form if isinstance(form, str) else None
        return
    for word in ("anyOf", "oneOf"):
        if isinstance(found.get(word), list):
            for each in found[word]:
                yield from _alternatives(each, root, depth + 1)
            return
    parts = found.get("allOf")
    for each in parts if isinstance(parts, list) else []:
        options = list(_alternatives(each, root, depth + 1))
        if (None, None) not in options:
            yield from options
            return
    yield None, None


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Behind its references within the document; None for what says nothing."""
    for _ in range(_MOST_DEEP):
        if not isinstance(schema, dict):
            return None
        reference = schema.get("$ref")
        if reference is None:
            return schema
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        schema = root
        for name in reference[2:].split("/"):
            schema = schema.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(schema, dict) else None
    return None
