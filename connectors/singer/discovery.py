"""The tables of a tap: what its catalogue says of them."""

from collections.abc import Iterator, Sequence

from connectors.base import Column, DiscoveredTable, IncrementalField
from connectors.cursor import field_type_of
from connectors.inference.columns import type_name
from connectors.inference.filters import kind_of
from connectors.singer.catalogue import Stream, discovered
from connectors.singer.config import SingerConfig


def discover(config: SingerConfig, names: Sequence[str] | None) -> list[DiscoveredTable]:
    found = discovered(config).streams
    return [described(each) for each in found if names is None or each.name in names]


def described(stream: Stream) -> DiscoveredTable:
    columns = tuple(
        Column(name, type_name(each.kind), name not in stream.key, kind_of(each.kind))
        for name, each in stream.properties.items()
    )
    return DiscoveredTable(
        name=stream.name,
        kind="view" if stream.facts.get("is-view") is True else "table",
        columns=columns,
        primary_key=stream.key,
        incremental_fields=tuple(_incremental_fields(stream)),
    )


def _incremental_fields(stream: Stream) -> Iterator[IncrementalField]:
    for name in _replication_keys(stream):
        declared = stream.properties.get(name)
        field_type = None if declared is None else field_type_of(declared.kind)
        if declared is None or field_type is None:
            continue
        nullable = name not in stream.key
        yield IncrementalField(name, field_type, name, type_name(declared.kind), nullable, is_indexed=False)


def _replication_keys(stream: Stream) -> Sequence[str]:
    """Where the tap names none, and does not say that it always gives all rows, the user may choose any."""
    facts = stream.facts
    forced = facts.get("forced-replication-method")
    if (forced.get("replication-method") if isinstance(forced, dict) else forced) == "FULL_TABLE":
        return ()
    named = facts.get("valid-replication-keys")
    if isinstance(named, list) and named:
        return [name for name in named if isinstance(name, str)]
    by_itself = facts.get("replication-key") or stream.entry.get("replication_key")
    if isinstance(by_itself, str):
        return (by_itself,)
    return () if forced else tuple(stream.properties)
