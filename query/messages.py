"""What the API's process and a query's child say to each other.

The child gets pickles; what it sends back is bytes and JSON only, for what has run a stranger's SQL is not trusted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lake.storage import LakeStore


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


@dataclass(frozen=True)
class QueryLimits:
    """What one query may take."""

    seconds: float = 60
    memory_mb: int = 1024
    """Of the whole child process; the engine itself gets half of it."""
    result_bytes: int = 64 * 2**20


@dataclass(frozen=True)
class Order:
    """A query to answer. ``rows``: where to stop."""

    sql: str
    rows: int
    format: Format
    limits: QueryLimits
    store: LakeStore


@dataclass(frozen=True)
class LakeTable:
    """A table in the lake, by its path below the lake's root."""

    name: str
    path: str


@dataclass(frozen=True)
class LiveTable:
    """A table that is read from its source. ``read_id`` marks the sessions there, so that they can be stopped."""

    name: str
    source_type: str
    config: Any = field(repr=False)
    table: str
    column_types: Mapping[str, str]
    read_id: str


@dataclass(frozen=True)
class ManagedView:
    """A view of ``query.views``. ``paths``: the tables of its source that it reads, by their names there.

    ``with_charges``: whether charges without an invoice count.
    """

    name: str
    source_type: str
    view: str
    paths: Mapping[str, str]
    with_charges: bool


NamedTable = LakeTable | LiveTable | ManagedView


class Kind(StrEnum):
    """The first byte of what a child sends."""

    TABLES = "T"
    """JSON list of the names that the query needs; the child waits for a list of ``NamedTable``."""
    DATA = "D"
    """A piece of the answer."""
    END = "E"
    """JSON of ``Summary``: all pieces are out."""
    FAILURE = "F"
    """JSON ``{code, message}``: there is no answer."""


@dataclass(frozen=True)
class Summary:
    """``truncated``: there are more rows than were asked for."""

    row_count: int
    truncated: bool
    duration_ms: int
