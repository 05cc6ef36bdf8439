"""What a divided read makes of what its holders tell it."""

import pytest

from activities.messages import Extracted, ExtractInput, Held, Plan, Run
from connectors.base import Snapshot
from workflows.divided_read import DividedRead

RUN = Run(1, "source", "schema", "Postgres", "t", "t", "1/t", "job", 7, 1, "full_refresh")


async def nothing(order: ExtractInput) -> Extracted:
    raise AssertionError("no part is read here")


@pytest.mark.parametrize("told", [[1], [1, 2], [2, 1], [1, 3, 2, 1]])
def test_a_late_word_of_an_earlier_holder_does_not_replace_the_newest(told: list[int]) -> None:
    order = ExtractInput(RUN, Plan(1, rebuild=False, base={}), 0)
    reading = DividedRead(order, Extracted("", 0, 0, more=False), nothing, lambda: None)
    for number in told:
        reading.snapshot_held(Held(number, Snapshot(f"snapshot-{number}", "horizon", "shape")))
    assert [reading._is_held(number) for number in range(1, 4)] == [number == max(told) for number in range(1, 4)]
