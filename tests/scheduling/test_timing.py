"""When runs start: each frequency, time of day and phase."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.models import SyncFrequency
from scheduling.timing import EPOCH, INTERVALS, Timing, timing

SCHEMA = "497f6eca-6276-4993-bfeb-53cbbbba6f08"


def firings(when: Timing, after: datetime, count: int) -> list[datetime]:
    """The moments ``epoch + n * every + offset`` after a moment: Temporal's own rule."""
    assert when.every is not None
    first = EPOCH + when.offset + ((after - EPOCH - when.offset) // when.every + 1) * when.every
    return [first + n * when.every for n in range(count)]


def test_every_frequency_has_an_interval() -> None:
    assert set(INTERVALS) == {frequency.value for frequency in SyncFrequency}


def test_never_means_manual_runs_only() -> None:
    assert timing(SCHEMA, "never", time(3)) == Timing(None)


@pytest.mark.parametrize("frequency", [name for name, every in INTERVALS.items() if every])
def test_without_a_time_of_day_the_phase_is_drawn_from_the_id_and_stays(frequency: str) -> None:
    drawn = timing(SCHEMA, frequency)
    assert drawn == timing(SCHEMA, frequency)
    assert drawn.every == INTERVALS[frequency]
    assert drawn.every is not None
    assert timedelta() <= drawn.offset < drawn.every


def test_phases_spread() -> None:
    offsets = {timing(f"schema-{n}", "6hour").offset for n in range(1000)}
    quarters = [sum(1 for offset in offsets if offset // timedelta(minutes=90) == quarter) for quarter in range(4)]
    assert len(offsets) > 950
    assert min(quarters) > 150


@pytest.mark.parametrize(
    ("frequency", "hours"),
    [("1hour", set(range(24))), ("6hour", {1, 7, 13, 19}), ("12hour", {1, 13}), ("24hour", {13})],
)
def test_intervals_up_to_a_day_pass_through_the_time_of_day(frequency: str, hours: set[int]) -> None:
    moments = firings(timing(SCHEMA, frequency, time(13, 37, 5)), datetime(2026, 3, 1, tzinfo=UTC), 48)
    assert {moment.hour for moment in moments} == hours
    assert {(moment.minute, moment.second) for moment in moments} == {(37, 5)}


@pytest.mark.parametrize("days", [7, 30])
def test_longer_intervals_count_from_the_day_of_enabling_and_keep_the_time(days: int) -> None:
    enabled = datetime(2026, 2, 10, 22, 15, tzinfo=UTC)
    moments = firings(timing(SCHEMA, f"{days}day", time(4, 30), enabled), enabled, 3)
    day = datetime(2026, 2, 10, 4, 30, tzinfo=UTC)
    assert moments == [day + timedelta(days=days * n) for n in (1, 2, 3)]


def test_enabled_before_the_time_of_day_the_first_long_run_is_the_same_day() -> None:
    enabled = datetime(2026, 2, 10, 1, 0, tzinfo=UTC)
    assert firings(timing(SCHEMA, "7day", time(4, 30), enabled), enabled, 1) == [
        datetime(2026, 2, 10, 4, 30, tzinfo=UTC)
    ]


def test_an_unknown_frequency_is_refused() -> None:
    with pytest.raises(ValueError, match="2min"):
        timing(SCHEMA, "2min")


@given(
    frequency=st.sampled_from([name for name, every in INTERVALS.items() if every]),
    at=st.none() | st.times().map(lambda t: t.replace(microsecond=0)),
    n=st.integers(0, 20_000),
)
def test_fires_at_recognises_its_own_moments_and_no_other(frequency: str, at: time | None, n: int) -> None:
    when = timing(SCHEMA, frequency, at, datetime(2026, 1, 1, tzinfo=UTC))
    assert when.every is not None
    moment = EPOCH + when.offset + n * when.every
    assert when.fires_at(moment)
    assert when.fires_at(moment + timedelta(milliseconds=700))
    assert not when.fires_at(moment + timedelta(seconds=1))
