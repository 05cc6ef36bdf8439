"""What Temporal has of a schedule's timing, in a form that can be compared."""

from datetime import timedelta

from temporalio.client import ScheduleSpec

Intervals = list[tuple[timedelta, timedelta]]
"""How often, and with which offset."""


def intervals_of(spec: ScheduleSpec) -> Intervals:
    return [(interval.every, interval.offset or timedelta()) for interval in spec.intervals]
