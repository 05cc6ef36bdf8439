"""What the table has, beside what events tell."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from activities.messages import Run
from connectors.base import DiscoveredTable
from connectors.errors import SchemaChangedError
from connectors.receiving import ORDER
from lake.orders import oldest_order
from lake.table import OpenTable


def check_key(run: Run, known: Sequence[DiscoveredTable], table: OpenTable) -> None:
    """``known``: what the source says of the table. By another key than that of the rows, objects would be dropped or
    be there twice.
    """
    key, stored = tuple(run.primary_key), table.position.primary_key
    now = known[0].primary_key if known and run.key_detected else key
    if now != key:
        raise SchemaChangedError(
            f"The key of {run.schema_name} was {', '.join(key)} and is {', '.join(now)} now: refresh the source's "
            "schemas."
        )
    if stored and stored != key:
        raise SchemaChangedError(
            f"The rows of {run.schema_name} go by the key {', '.join(stored)}, and its events by {', '.join(key)} now: "
            "give them back the key that they had, or delete the data."
        )


def known_since(table: OpenTable) -> int | None:
    """How old the oldest row is of a table as it was read. Where that gave none, nobody knows better than now."""
    if table.schema is None:
        return None
    oldest = oldest_order(table)
    return int(time.time() * 1_000_000) if oldest is None else oldest


def alike(stored: Mapping[str, Any], told: Mapping[str, Any] | None) -> bool:
    """Whether the row is what is told. Columns that one of them does not have are null."""
    if told is None:
        return False
    names = {*stored, *told} - {ORDER}
    return all(stored.get(name) == told.get(name) for name in names)
