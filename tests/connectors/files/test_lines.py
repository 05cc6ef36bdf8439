"""JSON lines: values as they are written, whatever their neighbours are."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.files import lines
from connectors.files.errors import BadFileError
from connectors.inference.kinds import BOOLEAN, DATE, LONG, NUMBER, TEXT, ZONED
from tests.connectors.files.shelf import Shelf

NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "-9223372036854775808"], LONG, [1, -(2**63)]),
        (["1", "1.0", "2.50"], NUMBER, [Decimal(1), Decimal(1), Decimal("2.5")]),
        (["1e3", "1E-7"], NUMBER, [Decimal(1000), Decimal("0.0000001")]),
        (["18446744073709551616"], NUMBER, [Decimal(2**64)]),
        (["0.1234567890123456789", "1"], TEXT, ["0.1234567890123456789", "1"]),
        (["1e300", "1e99999999999999999999"], TEXT, ["1e300", "1e99999999999999999999"]),
        (["NaN", "1"], TEXT, ["NaN", "1"]),
        (["true", "false"], BOOLEAN, [True, False]),
        (["true", "1"], TEXT, ["true", "1"]),
        (['"1"', '"2"'], TEXT, ["1", "2"]),
        (['"1"', "2"], TEXT, ["1", "2"]),
        (['"true"'], TEXT, ["true"]),
        (['"2026-01-31"'], DATE, [date(2026, 1, 31)]),
        (['"2026-01-31T12:00:00Z"'], ZONED, [datetime(2026, 1, 31, 12, tzinfo=UTC)]),
        (['"2026-01-31T12:00:00Z"', '"soon"'], TEXT, ["2026-01-31T12:00:00Z", "soon"]),
        (["null", "null"], TEXT, [None, None]),
        (['{"b": 1.50, "a": [1e2, "é", null]}'], TEXT, ['{"b":1.50,"a":[1e2,"é",null]}']),
        (["[]", '"x"', "1.50"], TEXT, ["[]", "x", "1.50"]),
        (['"\\u00e9\\ud834\\udd1e"'], TEXT, ["é𝄞"]),
    ],
)
def test_values(shelf: Shelf, values: list[str], kind: pa.DataType, expected: list[Any]) -> None:
    found = shelf.read_one("t.jsonl", "\n".join(f'{{"a": {value}}}' for value in values))
    assert (found.kind("a"), found.column("a")) == (kind, expected)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": st.lists(NESTED, min_size=1)}), min_size=1, max_size=5))
def test_nested_values_come_back(shelf: Shelf, rows: list[dict[str, Any]]) -> None:
    contents = "\n".join(json.dumps(row) for row in rows)
    assert [json.loads(text) for text in shelf.read_one("t.jsonl", contents).column("a")] == [row["a"] for row in rows]


def test_members_come_and_go(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PIECE_ROWS", 2)
    rows = [{"a": 1}, {"b": "x"}, {}, {"a": None, "c": True}, {"a": 2.5}]
    contents = "\n\n".join(json.dumps(row) for row in rows) + "\n"
    names = ("a", "b", "c")
    expected = [{name: row.get(name) for name in names} for row in rows]
    assert shelf.read_one("t.jsonl", contents).rows() == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "what is no JSON"),
        (b"[1]", "what is no JSON object"),
        (b'{"a": 1, "a": 2}', "an object with two members of one name"),
        (b'{"a": {"b": 1, "b": 2}}', "an object with two members of one name"),
        (b'{"a": "\\ud800"}', "half of a character"),
        (b'{"a": "\xff"}', "bytes that are no valid utf-8"),
        (b"[" * 100_000, "what is no JSON"),
    ],
)
def test_bad_lines(shelf: Shelf, line: bytes, said: str) -> None:
    contents = b'{"a": 1}\n\n' + line + b'\n{"a": 3}\n'
    with pytest.raises(BadFileError, match=rf"t\.jsonl has {said} at line 3"):
        shelf.read_one("t.jsonl", contents)
    found = shelf.read_one("t.jsonl", contents, bad_lines="skip")
    assert found.column("a") == [1, 3]
    assert found.column("_row") == [1, 2]
    assert found.warnings() == {("_row", "bad lines, which were skipped"): 1}


def test_a_line_without_an_end(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 1000)
    with pytest.raises(BadFileError, match="has a line of more than"):
        shelf.read_one("t.jsonl", b'{"a": "' + b"x" * 1_000_000)
