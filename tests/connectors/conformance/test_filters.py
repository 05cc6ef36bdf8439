"""Row filters: each operator against what Python makes of the same rows."""

import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.base import CursorRange, RowFilter
from connectors.cursor import encode
from connectors.errors import ConfigurationError
from tests.connectors.conformance.reading import read
from tests.connectors.conformance.subject import Subject
from tests.connectors.conformance.test_setting_up import COLUMNS, check_sentence

START = datetime(2024, 2, 28, 23, 59, 58)  # noqa: DTZ001
TEXTS = ["ab%c", "apple", "apply", "banana", "cherry", "it's", None]
ROWS = [
    (number, None if number % 5 == 4 else number % 7 - 3, START + timedelta(seconds=number % 6), TEXTS[number % 7])
    for number in range(40)
]
ROWS += [(40, 2**63 - 1, None, None), (41, -(2**63), None, "")]
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
VALUES: dict[str, list[Any]] = {
    "n": ["1", 2.5, 2**63 - 1],
    "at": ["2024-02-29T00:00:01", "2024-02-29"],
    "t": ["banana", ""],
}
PATTERNS = ["app%", "%an%", "appl_", "%", "_%", "ab\\%%", "it's", "[a]%"]


def as_python(column: str, value: Any) -> Any:
    if column == "at":
        return datetime.fromisoformat(value)
    return float(value) if column == "n" and not isinstance(value, int) else value


def matches(pattern: str, text: str) -> bool:
    regex = re.sub(r"\\\\(.)|(%)|(_)", lambda found: found[1] or (".*" if found[2] else "."), re.escape(pattern))
    return re.fullmatch(regex, text, re.DOTALL) is not None


def ids(subject: Subject, *filters: RowFilter) -> list[int]:
    return sorted(read(subject, "t", row_filters=filters, narrow=True).column("id"))


def expected(column: str, keeps: Callable[[Any], bool]) -> list[int]:
    place = list(COLUMNS).index(column)
    return [row[0] for row in ROWS if row[place] is not None and keeps(row[place])]


@pytest.fixture
def filled(subject: Subject) -> Subject:
    subject.create("t", COLUMNS, ROWS)
    return subject


def test_comparisons(filled: Subject) -> None:
    for column, values in VALUES.items():
        for op, compare in COMPARISONS.items():
            for value in values:
                other = as_python(column, value)
                wanted = expected(column, lambda held, c=compare, o=other: c(held, o))
                assert ids(filled, RowFilter(column, op, value)) == wanted, (column, op, value)


def test_lists(filled: Subject) -> None:
    for column, values in VALUES.items():
        for some in ([], values[:1], values):
            others = [as_python(column, value) for value in some]
            wanted = expected(column, lambda held, o=others: held in o)
            assert ids(filled, RowFilter(column, "in", some)) == wanted, (column, some)


def test_nulls(filled: Subject) -> None:
    for column in VALUES:
        there = expected(column, lambda _: True)
        assert ids(filled, RowFilter(column, "is_not_null")) == there
        assert ids(filled, RowFilter(column, "is_null")) == [row[0] for row in ROWS if row[0] not in there]


def test_patterns(filled: Subject) -> None:
    for pattern in PATTERNS:
        wanted = expected("t", lambda held, p=pattern: matches(p, held))
        assert ids(filled, RowFilter("t", "like", pattern)) == wanted, pattern


def test_all_of_several(filled: Subject) -> None:
    found = ids(filled, RowFilter("n", ">=", 0), RowFilter("t", "like", "app%"), RowFilter("at", "is_not_null"))
    positive = expected("n", lambda held: held >= 0)
    assert found == [key for key in expected("t", lambda held: held.startswith("app")) if key in positive]


def test_values_are_never_taken_for_statements(filled: Subject) -> None:
    for text in ("'; DROP TABLE t; --", "\\", "\\'", "$1", "%s", "?", '"', "a\nb"):
        assert ids(filled, RowFilter("t", "=", text)) == []
    assert len(ids(filled)) == len(ROWS)


def test_a_filter_beside_a_cursor(filled: Subject) -> None:
    field = filled.cursor("integer")
    if field is None:
        pytest.skip(f"{filled.source_type} has no cursor of this kind")
    if not filled.goes_by_cursor:
        pytest.skip(f"{filled.source_type} goes on from its own state, and by no bound")
    wanted = RowFilter("t", "=", "apple")
    found = read(filled, "t", row_filters=(wanted,), cursor=CursorRange(field, encode(1), max_rows=3))
    rows = sorted((row[1], row[0]) for row in ROWS if row[3] == "apple" and row[1] is not None and row[1] >= 1)
    assert [n for n, _ in rows][: len(found.column("id"))] == found.column("n")
    assert found.report.more == (len(rows) > len(found.column("id")))


def test_filters_that_make_no_sense(filled: Subject) -> None:
    for wanted in (RowFilter("n", "=", "many"), RowFilter("n", "in", 1), RowFilter("n", "matches", 1)):
        with pytest.raises(ConfigurationError) as caught:
            ids(filled, wanted)
        assert caught.value.attr == "row_filter"
        check_sentence(caught.value, filled)
