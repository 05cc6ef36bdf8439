"""What a batch asks of the source."""

from dataclasses import replace

import pytest

from activities import reading
from activities.messages import ExtractInput, Plan, Run
from lake.position import EMPTY, Position

RUN = Run(
    1, "source", "schema", "Postgres", "t", "t", "1/t", "job", 7, 1, "append",
    cursor_field="at", cursor_type="timestamp", lookback_seconds=3600,
)  # fmt: skip
LOADED = Position(
    sequence=1, generation=1, mode="append", cursor_field="at", cursor="2026-01-02T00:00:00.000000", loaded=True
)


def asked(run: Run, base: Position, batch: int = 0) -> tuple[str | None, int | None]:
    found = reading._cursor_range(ExtractInput(run, Plan(1, rebuild=False, base=base.as_dict()), batch), base)
    assert found is not None
    return found.lower, found.max_rows


@pytest.mark.parametrize("batch", [0, 1])
def test_a_look_back_is_read_to_its_end_in_one_batch(batch: int) -> None:
    """Its rows do not move the cursor: a next batch would begin past what is left of them."""
    expected = ("2026-01-01T23:00:00.000000", None) if batch == 0 else (LOADED.cursor, reading.BATCH_ROWS)
    assert asked(RUN, LOADED, batch) == expected


def test_without_a_look_back_batches_are_cut() -> None:
    assert asked(replace(RUN, lookback_seconds=0), LOADED) == (LOADED.cursor, reading.BATCH_ROWS)
    assert asked(RUN, replace(LOADED, loaded=False)) == (LOADED.cursor, reading.BATCH_ROWS)
    assert asked(RUN, EMPTY) == (None, reading.BATCH_ROWS)
