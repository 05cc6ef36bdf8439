"""One schema that cannot be looked after, and a trouble that all of them have."""

import pytest
from temporalio.exceptions import CancelledError

from activities.schedules import MOST_FAILURES_IN_A_ROW, Failures


def test_single_failures_are_counted_and_survived_however_many_there_are() -> None:
    failures, seen = Failures(), []
    for number in range(MOST_FAILURES_IN_A_ROW * 3):
        with failures.survived("not done", str(number)):
            if number % 2:
                raise ValueError(number)
            seen.append(number)
    assert failures.count == MOST_FAILURES_IN_A_ROW * 3 // 2
    assert seen == list(range(0, MOST_FAILURES_IN_A_ROW * 3, 2))


def test_a_trouble_of_all_ends_the_round() -> None:
    failures = Failures()
    for number in range(MOST_FAILURES_IN_A_ROW - 1):
        with failures.survived("not done", str(number)):
            raise ValueError(number)
    with pytest.raises(ValueError, match="away"), failures.survived("not done", "last"):
        raise ValueError("away")


def test_a_cancel_is_no_failure() -> None:
    failures = Failures()
    with pytest.raises(CancelledError), failures.survived("not done", "s"):
        raise CancelledError
    assert failures.count == 0
