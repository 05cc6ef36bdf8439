"""What declarations are written in: names, texts with names in braces, paths, types of columns. Pure."""

from typing import Annotated, Literal

from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connectors.inference.chosen import KNOWN_TYPES, lake_type
from connectors.overrides import canonical
from connectors.rest.paths import compiled, is_plain

UNIX_TYPES = {"unix": 1, "unix_ms": 1000}
"""Declared types of times that are numbers, with how many of them make a second."""


def _path_expression(text: str) -> str:
    try:
        compiled(text)
    except JMESPathError as error:
        raise ValueError("must be a JMESPath expression, such as data or result.items") from error
    return text


def _place(text: str) -> str:
    if not is_plain(text):
        raise ValueError("must be a path to the objects, such as result.items, which computes nothing")
    return _path_expression(text)


def _column_type(text: str) -> str:
    name = text if text in UNIX_TYPES else canonical(text)
    if name not in UNIX_TYPES and lake_type(name) is None:
        raise ValueError(f"must be one of {', '.join((*KNOWN_TYPES, *UNIX_TYPES))}")
    return name


PathExpression = Annotated[str, Field(min_length=1), AfterValidator(_path_expression)]
PlacePath = Annotated[str, Field(min_length=1), AfterValidator(_place)]
ColumnType = Annotated[str, AfterValidator(_column_type)]
Template = str
"""May name inputs in braces; which ones there are is looked at once the whole is read."""
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w.\-]+$")]
ParamName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s&=#?]+$")]
Value = Template | int | float | bool
Target = Literal["query", "body"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)
