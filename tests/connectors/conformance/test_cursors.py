"""Reads by cursor: in order, from a bound on, in parts that together give every row."""

import random
from datetime import datetime, timedelta

import pytest

from connectors.base import CursorRange
from connectors.cursor import encode
from connectors.errors import ConfigurationError, SchemaChangedError
from tests.connectors.conformance.reading import read
from tests.connectors.conformance.subject import Subject
from tests.connectors.conformance.test_setting_up import check_sentence
from tests.connectors.reading import check_parts, read_in_parts

COLUMNS = {"id": "integer", "n": "integer", "at": "time"}
START = datetime(2024, 2, 28, 23, 59, 55)  # noqa: DTZ001


@pytest.fixture(params=["integer", "time"])
def field(request: pytest.FixtureRequest, subject: Subject) -> str:
    """A cursor of the subject's; of those that it does not have nothing is asked."""
    found = subject.cursor(request.param)
    if found is None:
        pytest.skip(f"{subject.source_type} has no cursor of the kind {request.param}")
    return found


@pytest.fixture
def bounded(subject: Subject) -> None:
    if not subject.goes_by_cursor:
        pytest.skip(f"{subject.source_type} goes on from its own state, and by no bound")


@pytest.fixture
def ordered(subject: Subject) -> None:
    if not subject.in_cursor_order:
        pytest.skip(f"{subject.source_type} goes on from its own state, and in no order")


def create(subject: Subject, count: int, ties: int, nulls: bool = False) -> None:
    """Rows of which so many have the same cursor, in a random order."""
    rows = []
    for number in range(count):
        value = number // ties
        rows.append((number, value, START + timedelta(seconds=value)))
    if nulls:
        rows = [row if row[0] % 10 else (row[0], None, None) for row in rows]
    random.Random(count).shuffle(rows)  # noqa: S311
    subject.create("t", COLUMNS, rows)


@pytest.mark.usefixtures("ordered")
def test_rows_come_in_order_and_nulls_first(subject: Subject, field: str) -> None:
    create(subject, 200, ties=7, nulls=True)
    found = read(subject, "t", cursor=CursorRange(field, include_nulls=True))
    values = found.column(field)
    present = [value for value in values if value is not None]
    assert values == [None] * (len(values) - len(present)) + sorted(present)
    assert sorted(found.column("id")) == list(range(200))
    if field not in subject.own_columns:
        without = read(subject, "t", cursor=CursorRange(field))
        assert sorted(without.column("id")) == [number for number in range(200) if number % 10]


def test_a_lower_bound_is_part_of_the_read(subject: Subject, field: str) -> None:
    create(subject, 60, ties=5)
    whole = read(subject, "t", cursor=CursorRange(field))
    for edge in sorted(set(whole.column(field)))[::3]:
        found = read(subject, "t", cursor=CursorRange(field, encode(edge)))
        expected = {key for key, value in whole.rows("id", field) if value >= edge}
        assert set(found.column("id")) >= expected
        assert len(set(found.column("id"))) == len(found.column("id"))
        # Where the source filters as it sees fit, a little more is read.
        assert not subject.in_cursor_order or set(found.column("id")) == expected


@pytest.mark.usefixtures("bounded")
def test_beyond_the_last_row_there_is_nothing(subject: Subject, field: str) -> None:
    create(subject, 20, ties=5)
    last = max(read(subject, "t", cursor=CursorRange(field)).column(field))
    beyond = last + timedelta(seconds=1) if isinstance(last, datetime) else last + 1
    found = read(subject, "t", cursor=CursorRange(field, encode(beyond), max_rows=5))
    assert (found.table.num_rows, found.report.more) == (0, False)


@pytest.mark.usefixtures("ordered")
@pytest.mark.parametrize("nulls", [False, True], ids=["", "with nulls"])
def test_parts_give_every_row(subject: Subject, field: str, nulls: bool) -> None:
    create(subject, 300, ties=9, nulls=nulls)
    parts = read_in_parts(lambda cursor: read(subject, "t", cursor=cursor), field, max_rows=40)
    assert len(parts) > 3
    check_parts(parts, field, range(300))


@pytest.mark.usefixtures("ordered")
def test_parts_that_are_exactly_full_end_the_read(subject: Subject, field: str) -> None:
    create(subject, 10, ties=1)
    assert read(subject, "t", cursor=CursorRange(field, max_rows=10)).report.more is False
    assert read(subject, "t", cursor=CursorRange(field, max_rows=9)).report.more is True


@pytest.mark.usefixtures("ordered")
def test_more_ties_than_a_part_holds(subject: Subject, field: str) -> None:
    create(subject, 300, ties=100)
    parts = read_in_parts(lambda cursor: read(subject, "t", cursor=cursor), field, max_rows=10)
    assert {key for part in parts for key in part.column("id")} == set(range(300))


@pytest.mark.usefixtures("bounded")
def test_rows_that_come_later_are_found(subject: Subject, field: str) -> None:
    create(subject, 30, ties=5)
    edge = encode(max(read(subject, "t", cursor=CursorRange(field)).column(field)))
    subject.insert("t", [(100, 1000, START + timedelta(seconds=1000)), (101, 1001, START + timedelta(seconds=1001))])
    found = read(subject, "t", cursor=CursorRange(field, edge))
    assert found.column("id")[-2:] == [100, 101]
    assert set(found.column("id")) == {25, 26, 27, 28, 29, 100, 101}


def test_fields_that_are_none(subject: Subject) -> None:
    create(subject, 5, ties=1)
    with pytest.raises((SchemaChangedError, ConfigurationError)) as caught:
        read(subject, "t", cursor=CursorRange("gone"))
    assert isinstance(caught.value, ConfigurationError) or "field gone of t is gone" in caught.value.message
    check_sentence(caught.value, subject)


def test_a_text_is_no_field(subject: Subject) -> None:
    if subject.own_columns or not subject.in_cursor_order:
        pytest.skip(f"{subject.source_type} has cursors of its own only")
    subject.create("t", {**COLUMNS, "body": "text"}, [])
    with pytest.raises(SchemaChangedError, match="choose another field") as caught:
        read(subject, "t", cursor=CursorRange("body"))
    check_sentence(caught.value, subject)


def test_a_field_that_changed_its_type_or_is_not_read(subject: Subject, field: str) -> None:
    if field in subject.own_columns:
        pytest.skip(f"{subject.source_type} has cursors of its own only")
    create(subject, 5, ties=1)
    with pytest.raises(SchemaChangedError, match="resync") as changed:
        read(subject, "t", cursor=CursorRange(field, "17" if field == "at" else "2024-02-29"))
    check_sentence(changed.value, subject)
    with pytest.raises(ConfigurationError, match="must be among the columns") as unread:
        read(subject, "t", cursor=CursorRange(field), columns=("id",))
    check_sentence(unread.value, subject)
