"""Fields of a form as users send them: any JSON."""

from collections.abc import Mapping
from typing import Any

from connectors.errors import ConfigurationError


def text_of(inputs: Mapping[str, Any], name: str) -> str:
    """A field without blanks around it; empty where it is not given. ``ConfigurationError`` for what is no text."""
    value = inputs.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigurationError(f"The field {name} must be text.", attr=name)
    if "\0" in value:
        raise ConfigurationError(f"The field {name} holds a null character.", attr=name)
    return value.strip()
