"""A read is known again only where nothing about it differs that could matter."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from activities import repeats
from activities.messages import Run
from connectors.base import ReadReport, WholeGroups
from lake.position import Position

RUN = Run(1, "source", "schema", "Postgres", "t", "t", "1/t", "job", 7, 1, "incremental", ["id"], cursor_field="at")
BASE = Position(sequence=3, fence=6, generation=1, mode="incremental", cursor_field="at", cursor="9", version=4)
SCHEMA = pa.schema([("id", pa.int64()), ("v", pa.string())])


def batch(*rows: tuple[int, str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"id": number, "v": text} for number, text in rows], SCHEMA)


ROWS = [batch((1, "a"), (2, None)), batch((3, "c"))]
KNOWN = repeats.digest(RUN, BASE, SCHEMA, ROWS, ReadReport())


def test_the_same_rows_are_known_again_in_a_later_run_and_in_other_batches() -> None:
    later = replace(RUN, job_id="another", fence=8)
    assert repeats.digest(later, BASE, SCHEMA, [batch((1, "a")), batch((2, None), (3, "c"))], ReadReport()) == KNOWN
    sliced = batch((0, "no"), (1, "a"), (2, None), (3, "c")).slice(1)
    assert repeats.digest(later, BASE, SCHEMA, [sliced], ReadReport()) == KNOWN


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [batch((1, "a"), (2, None))],
        [batch((1, "a"), (2, ""), (3, "c"))],
        [batch((1, "a"), (2, None), (3, "C"))],
        [batch((1, "a"), (2, None), (3, "c"), (3, "c"))],
        [batch((3, "c"), (2, None), (1, "a"))],
    ],
)
def test_other_rows_are_other_rows(rows: list[pa.RecordBatch]) -> None:
    assert repeats.digest(RUN, BASE, SCHEMA, rows, ReadReport()) != KNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "append"},
        {"primary_key": ["id", "v"]},
        {"lookback_seconds": 60},
        {"enabled_columns": ["v"]},
        {"row_filter": [{"column": "v", "operator": "=", "value": "a"}]},
        {"type_overrides": {"v": "text"}},
        {"generation": 2},
        {"table_path": "1/other"},
    ],
)
def test_under_other_settings_nothing_is_known(changes: dict[str, Any]) -> None:
    assert repeats.digest(replace(RUN, **changes), BASE, SCHEMA, ROWS, ReadReport()) != KNOWN


@pytest.mark.parametrize("changes", [{"version": 5}, {"sequence": 4}, {"cursor": "8"}, {"generation": 2}])
def test_a_table_that_moved_is_another(changes: dict[str, Any]) -> None:
    assert repeats.digest(RUN, replace(BASE, **changes), SCHEMA, ROWS, ReadReport()) != KNOWN


@pytest.mark.parametrize(
    "report", [ReadReport(state="s"), ReadReport(whole_groups=WholeGroups("v", ("a",))), ReadReport(state="t")]
)
def test_what_the_connector_says_beside_the_rows_counts(report: ReadReport) -> None:
    """A file that became empty has no rows to tell it by."""
    assert repeats.digest(RUN, BASE, SCHEMA, ROWS, report) != KNOWN


def test_the_types_and_names_of_the_columns_count() -> None:
    for other in (SCHEMA.set(0, pa.field("id", pa.int32())), SCHEMA.set(1, pa.field("w", pa.string()))):
        rows = [
            pa.RecordBatch.from_arrays([a.cast(f.type) for a, f in zip(one, other, strict=True)], schema=other)
            for one in ROWS
        ]
        assert repeats.digest(RUN, BASE, other, rows, ReadReport()) != KNOWN


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 1000])
def test_no_batch_is_lost_by_looking_ahead(count: int) -> None:
    size = repeats.MOST_ROWS // 100
    asked = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal asked
        for number in range(count):
            asked += 1
            yield pa.record_batch({"n": pa.array(range(number * size, (number + 1) * size))})

    seen, rest = repeats.look_ahead(batches())
    assert asked == min(count, 101)
    assert (seen is None) == (count > 100)
    assert [value for one in rest for value in one.column(0).to_pylist()] == list(range(count * size))


def test_wide_rows_are_not_gathered() -> None:
    wide = pa.record_batch({"v": [b"x" * (repeats.MOST_BYTES // 2 + 1)]})
    seen, rest = repeats.look_ahead(iter([wide, wide, wide]))
    assert seen is None
    assert sum(one.num_rows for one in rest) == 3
