"""Reads of whole tables: each row once, in types that hold it, in batches that fit."""

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import GONE, ReadRequest
from connectors.errors import SchemaChangedError
from tests.connectors.conformance.reading import read, read_elsewhere
from tests.connectors.conformance.subject import Rows, Subject
from tests.connectors.conformance.test_setting_up import COLUMNS, check_sentence

NAMES = tuple(COLUMNS)
ARROW = {"integer": pa.int64(), "time": pa.timestamp("us"), "text": pa.string()}
START = datetime(2024, 2, 28, 23, 59, 30)  # noqa: DTZ001


def some_rows(count: int) -> Rows:
    """Values and nulls, at random but always the same."""
    chance = random.Random(count)  # noqa: S311
    return [
        (
            number,
            chance.choice([None, -(2**63), 2**63 - 1, chance.randrange(1000)]),
            chance.choice([None, START + timedelta(seconds=chance.randrange(30))]),
            chance.choice([None, "", "it's", "ünï 🐘", f"text {number}"]),
        )
        for number in range(count)
    ]


def by_id(rows: Iterable[tuple[Any, ...]]) -> Rows:
    return sorted(rows, key=lambda row: int(row[0]))


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("count", [0, 1, 3000])
def test_each_row_comes_once(subject: Subject, count: int, narrow: bool) -> None:
    rows = some_rows(count)
    subject.create("t", COLUMNS, rows)
    found = read(subject, "t", narrow=narrow)
    assert [name for name in found.table.schema.names if name not in subject.own_columns] == list(NAMES)
    assert [found.table.schema.field(name).type for name in NAMES] == [ARROW[kind] for kind in COLUMNS.values()]
    assert by_id(found.rows(*NAMES)) == by_id(rows)
    assert (found.report.warnings, found.report.more) == ([], False)


def test_what_is_added_is_read_the_next_time(subject: Subject) -> None:
    rows = some_rows(40)
    subject.create("t", COLUMNS, rows[:20])
    assert by_id(read(subject, "t").rows(*NAMES)) == by_id(rows[:20])
    subject.insert("t", rows[20:])
    assert by_id(read(subject, "t").rows(*NAMES)) == by_id(rows)


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_batches_hold_no_more_than_they_may(subject: Subject, narrow: bool) -> None:
    rows = [(number, number, START, "x" * (number % 7 * 300)) for number in range(2000)]
    subject.create("t", COLUMNS, rows)
    found = read(subject, "t", narrow=narrow, batch_bytes=2**17)
    assert len(found.batches) > 10
    assert all(batch.nbytes <= 2**17 or batch.num_rows == 1 for batch in found.batches)
    assert by_id(found.rows(*NAMES)) == rows


def test_some_columns_in_the_order_of_the_source(subject: Subject) -> None:
    rows = some_rows(50)
    subject.create("t", COLUMNS, rows)
    found = read(subject, "t", columns=("t", "id"))
    assert [name for name in found.table.schema.names if name not in subject.own_columns] == ["id", "t"]
    assert by_id(found.rows("id", "t")) == by_id((row[0], row[3]) for row in rows)


def test_a_column_that_is_gone_is_left_out_with_a_warning(subject: Subject) -> None:
    subject.create("t", COLUMNS, some_rows(5))
    subject.drop_column("t", "n")
    found = read(subject, "t", columns=("id", "n", "t"))
    assert "n" not in found.table.schema.names
    assert by_id(found.rows("id", "t")) == by_id((row[0], row[3]) for row in some_rows(5))
    assert found.warnings() == {("n", GONE): 5}
    if not subject.own_columns:
        with pytest.raises(SchemaChangedError, match="any of the columns") as caught:
            read(subject, "t", columns=("n", "gone"))
        check_sentence(caught.value, subject)


def test_a_table_that_is_gone(subject: Subject) -> None:
    subject.create("t", COLUMNS, some_rows(5))
    subject.create("other", COLUMNS, [])
    subject.drop("t")
    with pytest.raises(SchemaChangedError) as caught:
        read(subject, "t")
    check_sentence(caught.value, subject)


def test_a_column_as_text(subject: Subject) -> None:
    subject.create("t", COLUMNS, [(1, -5, START, "a"), (2, None, None, None), (3, 2**63 - 1, START, "b")])
    found = read(subject, "t", type_overrides={"n": "string", "gone": "string"})
    assert found.table.schema.field("n").type == pa.string()
    assert by_id(found.rows("id", "n")) == [(1, "-5"), (2, None), (3, str(2**63 - 1))]


def test_a_value_that_a_chosen_type_cannot_hold_is_null_and_counted(subject: Subject) -> None:
    subject.create("t", COLUMNS, [(1, 12, None, None), (2, 1234, None, None), (3, -12345, None, None)])
    found = read(subject, "t", type_overrides={"n": "decimal(4,1)"})
    assert found.table.schema.field("n").type == pa.decimal128(4, 1)
    assert sorted((key, None if n is None else int(n)) for key, n in found.rows("id", "n")) == [
        (1, 12),
        (2, None),
        (3, None),
    ]
    assert found.warnings() == {("n", "does not fit decimal(4,1)"): 2}


def test_a_type_that_no_column_can_have(subject: Subject) -> None:
    subject.create("t", COLUMNS, some_rows(5))
    with pytest.raises(SchemaChangedError) as caught:
        read(subject, "t", type_overrides={"n": "decimal(39,1)"})
    assert caught.value.attr == "type_overrides"
    check_sentence(caught.value, subject)


def test_reads_at_once(subject: Subject) -> None:
    rows = some_rows(2000)
    subject.create("t", COLUMNS, rows)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: read(subject, "t", batch_bytes=2**16), range(4)))
    for each in found:
        assert by_id(each.rows(*NAMES)) == by_id(rows)


def test_a_read_in_another_process(subject: Subject) -> None:
    rows = some_rows(200)
    subject.create("t", COLUMNS, rows)
    found = read_elsewhere(subject, ReadRequest("t", "conformance-read"))
    assert by_id(found.rows(*NAMES)) == by_id(rows)


def test_a_read_that_nobody_goes_on_with(subject: Subject) -> None:
    subject.create("t", COLUMNS, some_rows(3000))
    request = ReadRequest("t", "conformance-read", batch_bytes=2**14)
    with subject.connector.read(subject.config(), request) as opened:
        next(opened.batches())
    assert len(read(subject, "t").rows("id")) == 3000
