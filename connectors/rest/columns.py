"""Columns that a declaration gives types: their values out of the texts that the API's have."""

from collections.abc import Mapping
from decimal import Decimal

import pyarrow as pa

from connectors.base import Column
from connectors.inference.chosen import lake_type
from connectors.inference.columns import type_name
from connectors.inference.filters import kind_of
from connectors.inference.kinds import TEXT, ZONED
from connectors.rest.declaration import UNIX_TYPES, Resource

_DIGITS = {1: "s", 1000: "ms"}
_MICROSECONDS = 1_000_000


def declared_type(name: str) -> pa.DataType:
    """In the lake."""
    return ZONED if name in UNIX_TYPES else lake_type(name)


def declared_columns(resource: Resource) -> dict[str, pa.DataType]:
    """Key and parent's columns are texts where nothing else is declared."""
    known = {name: declared_type(kind) for name, kind in resource.columns.items()}
    parents = resource.parent.include if resource.parent else ()
    return {**dict.fromkeys((*parents, *resource.primary_key), TEXT), **known}


def discovered(resource: Resource) -> tuple[Column, ...]:
    return tuple(
        Column(name, type_name(kind), name not in resource.primary_key, kind_of(kind))
        for name, kind in declared_columns(resource).items()
    )


def lake_names(columns: Mapping[str, str]) -> dict[str, str]:
    """Declared types by the lake's names."""
    return {name: "timestamp" if kind in UNIX_TYPES else kind for name, kind in columns.items()}


def times(values: pa.Array, per_second: int) -> pa.Array:
    """Numbers of seconds or milliseconds since 1970, as texts, written as times; what is no such number stays."""
    try:
        return values.cast(pa.int64()).cast(pa.timestamp(_DIGITS[per_second], "UTC")).cast(ZONED).cast(TEXT)
    except pa.ArrowInvalid:
        return pa.array([_time(text, per_second) for text in values.to_pylist()], TEXT)


def _time(text: str | None, per_second: int) -> str | None:
    if text is None:
        return None
    try:
        microseconds = int(Decimal(text) * _MICROSECONDS / per_second)
        return str(pa.scalar(microseconds, ZONED).cast(TEXT).as_py())
    except (ArithmeticError, ValueError, OverflowError):
        return text
