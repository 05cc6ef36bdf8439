"""The state of a stream's reads: what the tap said last, and of what it said it."""

import hashlib
from typing import Any

from connectors.errors import ConfigurationError
from connectors.inference.objects import parsed_object
from connectors.inference.texts import json_text
from connectors.singer.config import SingerConfig

MOST_CHARACTERS = 2**17


def belongs_to(config: SingerConfig, stream: str, cursor: str) -> str:
    """The same for as long as the tap may go on from what it said: with another account it reads everything anew."""
    return hashlib.sha256(repr((config.account, stream, cursor)).encode()).hexdigest()[:16]


def wrapped(value: Any, of: str, stream: str) -> str:
    """The text that is committed with the rows; equal for equal values."""
    found = json_text({"of": of, "tap": _sorted(value)})
    if len(found) > MOST_CHARACTERS:
        raise ConfigurationError(
            f"The tap keeps a state of more than {MOST_CHARACTERS >> 10} KB for {stream}: copy it by full refresh."
        )
    return found


def unwrapped(state: str | None, of: str) -> str | None:
    """What the tap is to be given, as JSON; None where it has said nothing that holds any more."""
    told = parsed_object(state.encode()) if state else {}
    return json_text(told["tap"]) if told.get("of") == of else None


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
