"""Runs that go on from what the last one left: which files they read, and what they say of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import CursorRange, ReadReport
from connectors.files.known import MOST_FILES
from tests.connectors.files.shelf import Read, Shelf

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def second(number: float) -> datetime:
    return FIRST + timedelta(seconds=number)


def next_read(shelf: Shelf, last: Read | None, back: float = 0, **options: Any) -> Read:
    """As the run behind ``last`` reads, which may look back so many seconds."""
    if last is None:
        cursor = CursorRange("_file_modified_at", include_nulls=True)
        return shelf.read({"files": "*.csv", **options}, cursor)
    newest = last.table.column("_file_modified_at")
    lower = max(newest.to_pylist(), default=second(0)) - timedelta(seconds=back)
    cursor = CursorRange("_file_modified_at", lower=lower.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    return shelf.read({"files": "*.csv", **options}, cursor, state=last.report.state)


def groups(report: ReadReport) -> tuple[str, ...]:
    assert report.whole_groups is not None
    assert report.whole_groups.column == "_file"
    return report.whole_groups.values


def test_a_file_is_read_once_in_each_version(shelf: Shelf) -> None:
    shelf.put("a.csv", "n\n1\n2\n", second(1))
    shelf.put("b.csv", "n\n3\n", second(2))
    first = next_read(shelf, None)
    assert (first.column("n"), first.report.whole_groups) == ([1, 2, 3], None)

    again = next_read(shelf, first)
    assert (again.table.num_rows, again.report.whole_groups, again.report.state) == (0, None, first.report.state)

    # Of the very time of the newest, and others in its place under the same name and time.
    shelf.put("c.csv", "n\n4\n", second(2))
    shelf.put("b.csv", "n\n30\n31\n", second(2))
    later = next_read(shelf, first)
    assert (later.column("n"), groups(later.report)) == ([30, 31, 4], ("b.csv", "c.csv"))
    assert next_read(shelf, later).table.num_rows == 0


def test_a_file_without_rows_says_that_its_old_ones_are_gone(shelf: Shelf) -> None:
    shelf.put("a.csv", "n\n1\n", second(1))
    first = next_read(shelf, None)
    shelf.put("a.csv", "n\n", second(5))
    emptied = next_read(shelf, first)
    assert (emptied.table.num_rows, groups(emptied.report)) == (0, ("a.csv",))
    known = shelf.read(
        "*.csv", CursorRange("_file_modified_at", lower="2026-01-01T00:00:01.000000Z"), state=emptied.report.state
    )
    assert (known.table.num_rows, known.report.whole_groups) == (0, None)


def test_a_look_back_brings_late_files_only(shelf: Shelf) -> None:
    for number in range(5):
        shelf.put(f"{number}.csv", f"n\n{number}\n", second(number))
    first = next_read(shelf, None)
    shelf.put("late.csv", "n\n9\n", second(1.5))
    looked_back = next_read(shelf, first, back=10)
    assert (looked_back.column("n"), groups(looked_back.report)) == ([9], ("late.csv",))
    assert first.report.state != looked_back.report.state


def test_files_that_are_read_otherwise_now_are_read_again(shelf: Shelf) -> None:
    shelf.put("a.csv", "n;m\n1;2\n", second(1))
    first = next_read(shelf, None)
    assert next_read(shelf, first, delimiter=";").column("m") == [2]


def test_of_many_files_the_newest_are_known(shelf: Shelf) -> None:
    for number in range(MOST_FILES + 3):
        shelf.put(f"{number:04}.csv", f"n\n{number}\n", second(1))
    first = next_read(shelf, None)
    assert first.column("n") == list(range(MOST_FILES + 3))
    again = next_read(shelf, first)
    assert again.column("n") == [0, 1, 2]
    assert len(again.report.state or "") <= 16 * MOST_FILES


@pytest.mark.parametrize("state", [None, ""])
def test_without_a_state_all_files_of_the_edge_are_read(shelf: Shelf, state: str | None) -> None:
    shelf.put("a.csv", "n\n1\n", second(1))
    edge = CursorRange("_file_modified_at", lower="2026-01-01T00:00:01.000000Z")
    assert shelf.read("*.csv", edge, state=state).column("n") == [1]
