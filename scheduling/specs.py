"""Parts of a schedule: its timing in a form that can be compared, and by what Temporal's lists find what it starts."""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.client import ScheduleSpec
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

Intervals = list[tuple[timedelta, timedelta]]
"""How often, and with which offset."""


def intervals_of(spec: ScheduleSpec) -> Intervals:
    return [(interval.every, interval.offset or timedelta()) for interval in spec.intervals]


def keywords(values: Mapping[str, str]) -> TypedSearchAttributes:
    """By the names of our search attributes."""
    return TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in values.items()]
    )
