"""When a schema's runs start: pure arithmetic over its settings.

Temporal fires an interval schedule at ``epoch + n * every + offset``. A time of day fixes the offset; without one the
offset is drawn from the schema's id, so that ten thousand schemas do not start together.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CATCH_UP = timedelta(minutes=10)
"""How long after Temporal was away a missed start is still made up for."""

INTERVALS: dict[str, timedelta | None] = {
    "never": None,
    "1min": timedelta(minutes=1),
    "5min": timedelta(minutes=5),
    "15min": timedelta(minutes=15),
    "30min": timedelta(minutes=30),
    "1hour": timedelta(hours=1),
    "6hour": timedelta(hours=6),
    "12hour": timedelta(hours=12),
    "24hour": DAY,
    "7day": timedelta(days=7),
    "30day": timedelta(days=30),
}


@dataclass(frozen=True)
class Timing:
    """``every`` is None where only manual runs happen; else ``0 <= offset < every``."""

    every: timedelta | None
    offset: timedelta = timedelta()

    def fires_at(self, moment: datetime) -> bool:
        """Whether the schedule itself fires at this moment, to the second."""
        if self.every is None:
            return False
        since = timedelta(seconds=int((moment - EPOCH).total_seconds()))
        return since % self.every == self.offset


def timing(
    schema_id: str, frequency: str, time_of_day: time | None = None, enabled_at: datetime | None = None
) -> Timing:
    """The timing of a schema.

    With a time of day, intervals up to a day pass through it; longer ones keep it and count their days from the day on
    which the schema was enabled. ``ValueError`` for an unknown frequency.
    """
    if frequency not in INTERVALS:
        raise ValueError(f"unknown sync frequency {frequency!r}")
    every = INTERVALS[frequency]
    if every is None:
        return Timing(None)
    if time_of_day is None:
        return Timing(every, _phase(schema_id, every))
    since_midnight = timedelta(hours=time_of_day.hour, minutes=time_of_day.minute, seconds=time_of_day.second)
    if every <= DAY:
        return Timing(every, since_midnight % every)
    first_day = (enabled_at or EPOCH).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Timing(every, (first_day + since_midnight - EPOCH) % every)


CAPTURE_AT_LEAST = timedelta(minutes=5)
"""However seldom its tables are brought up to date: so much of its log a source keeps for us."""


def capture_timing(source_id: str, frequency: str | None) -> Timing:
    """When changes of a source are captured whose most frequent table has this frequency; None for no tables."""
    every = INTERVALS[frequency] if frequency else None
    every = min(every or CAPTURE_AT_LEAST, CAPTURE_AT_LEAST)
    return Timing(every, _phase(source_id, every))


def _phase(schema_id: str, every: timedelta) -> timedelta:
    drawn = int.from_bytes(hashlib.sha256(schema_id.encode()).digest()[:8], "big")
    return timedelta(seconds=drawn % int(every.total_seconds()))
