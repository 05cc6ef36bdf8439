"""Texts with names in braces, ``/v1/accounts/{account}``, in whose place values are put."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def names_in(text: str) -> list[str]:
    return _NAME.findall(text)


def filled(text: str, values: Mapping[str, str]) -> str:
    """Names that have no value stay as they are."""
    return _NAME.sub(lambda match: values.get(match[1], match[0]), text)


def filled_path(text: str, values: Mapping[str, str]) -> str:
    """As ``filled``; a value cannot leave its place in the path."""
    return filled(text, {name: quote(value, safe="") for name, value in values.items()})


def filled_body(value: Any, values: Mapping[str, str]) -> Any:
    """The texts anywhere in a JSON value."""
    if isinstance(value, str):
        return filled(value, values)
    if isinstance(value, Mapping):
        return {name: filled_body(each, values) for name, each in value.items()}
    return [filled_body(each, values) for each in value] if isinstance(value, list) else value
