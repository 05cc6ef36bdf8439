"""Objects of JSON as they are written: numbers digit by digit, and the columns that several of them make."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from connectors.inference.kinds import BOOLEAN, NUMBERS, TEXT, TIMES
from connectors.inference.texts import Literal, json_text, plain_literal

_CANDIDATES: dict[type, tuple[pa.DataType, ...]] = {Literal: NUMBERS, bool: (BOOLEAN,), str: TIMES}
"""What values of one JSON type may be. A number in quotes is a text."""


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class NoObjectError(ValueError):
    """What is given is no object of JSON; the message says what it is instead."""


def parsed_object(line: bytes) -> dict[str, Any]:
    """``NoObjectError`` for what is none."""
    found = parsed_value(line)
    if not isinstance(found, dict):
        raise NoObjectError("what is no JSON object")
    return found


def parsed_value(content: bytes) -> Any:
    """Any value of JSON. ``NoObjectError`` for what is none, or holds what no text can."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise NoObjectError("bytes that are no valid utf-8") from error
    try:
        found = _DECODER.decode(text.strip())
    except (json.JSONDecodeError, RecursionError) as error:
        raise NoObjectError("what is no JSON") from error
    if "\\u" in text and _SURROGATE.search(text) and not _is_whole(found):
        raise NoObjectError("half of a character")
    return found


def _is_whole(value: Any) -> bool:
    """A surrogate without its other half is no character, and no UTF-8."""
    try:
        json_text(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NoObjectError("an object with two members of one name")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_int=Literal, parse_float=Literal, parse_constant=Literal)


def column_of(name: str, rows: Sequence[Mapping[str, Any]]) -> tuple[pa.Array, Sequence[pa.DataType]]:
    """The values of a piece as texts, and what these may be."""
    values = [row.get(name) for row in rows]
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {str}:
        return pa.array(values, TEXT), TIMES
    if kinds == {Literal}:
        return pa.array([None if value is None else plain_literal(value) for value in values], TEXT), NUMBERS
    candidates = _CANDIDATES.get(next(iter(kinds)), ()) if len(kinds) == 1 else ()
    return pa.array([_text(value) for value in values], TEXT), candidates


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    return plain_literal(value) if isinstance(value, Literal) else json_text(value)
