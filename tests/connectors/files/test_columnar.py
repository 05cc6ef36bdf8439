"""Parquet: every type, against what went into the file."""

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.files import columnar
from connectors.files.errors import BadFileError
from tests.connectors.files.shelf import Shelf

DAY = dt.datetime(2026, 1, 31, 12, 0, 0, 1)  # noqa: DTZ001
UTC_DAY = DAY.replace(tzinfo=dt.UTC)


def write(shelf: Shelf, table: pa.Table, name: str = "t.parquet", **options: Any) -> None:
    pq.write_table(table, shelf.folder / name, **options)


TYPES: list[tuple[pa.Array, pa.DataType, list[Any]]] = [
    (pa.array([1, None], pa.int8()), pa.int16(), [1, None]),
    (pa.array([2**64 - 1], pa.uint64()), pa.decimal128(20, 0), [Decimal(2**64 - 1)]),
    (pa.array([2**32 - 1], pa.uint32()), pa.int64(), [2**32 - 1]),
    (pa.array([0.5, float("inf")], pa.float32()), pa.float32(), [0.5, float("inf")]),
    (pa.array([0.1], pa.float64()), pa.float64(), [0.1]),
    (pa.array(["x", "007"], pa.large_string()), pa.string(), ["x", "007"]),
    (pa.array([b"\0\xff"], pa.binary()), pa.binary(), [b"\0\xff"]),
    (pa.array([b"ab"], pa.binary(2)), pa.binary(), [b"ab"]),
    (pa.array(["a", None, "a"]).dictionary_encode(), pa.string(), ["a", None, "a"]),
    (pa.array([Decimal("1.50")], pa.decimal128(5, 2)), pa.decimal128(5, 2), [Decimal("1.50")]),
    (pa.array([Decimal("1.50")], pa.decimal256(50, 2)), pa.string(), ["1.50"]),
    (pa.array([dt.date(2026, 1, 31)]), pa.date32(), [dt.date(2026, 1, 31)]),
    (pa.array([DAY], pa.timestamp("us")), pa.timestamp("us"), [DAY]),
    (pa.array([DAY], pa.timestamp("ns")), pa.timestamp("us"), [DAY]),
    (pa.array([DAY.replace(microsecond=0)], pa.timestamp("s")), pa.timestamp("us"), [DAY.replace(microsecond=0)]),
    (pa.array([UTC_DAY], pa.timestamp("us", "Europe/Berlin")), pa.timestamp("us", "UTC"), [UTC_DAY]),
    (pa.array([1], pa.timestamp("ns")), pa.string(), ["1970-01-01 00:00:00.000000001"]),
    (pa.array([dt.time(1, 2, 3, 4)], pa.time64("us")), pa.string(), ["01:02:03.000004"]),
    (pa.array([[1, None], []], pa.list_(pa.int32())), pa.string(), ["[1,null]", "[]"]),
    (pa.array([{"a": Decimal("1.50"), "b": DAY, "c": b"\1", "d": "é"}]), pa.string(), [
        '{"a":1.50,"b":"2026-01-31T12:00:00.000001","c":"\\\\x01","d":"é"}']),
    (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), pa.string(), ['[["k",1]]']),
    (pa.array([UUID(int=1).bytes], pa.uuid()), pa.string(), [str(UUID(int=1))]),
    (pa.nulls(2), pa.string(), [None, None]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "expected"), TYPES, ids=[str(each[0].type) for each in TYPES])
def test_types(shelf: Shelf, values: pa.Array, kind: pa.DataType, expected: list[Any]) -> None:
    write(shelf, pa.table({"id": pa.array(range(len(values))), "a": values}))
    found = shelf.read("t.parquet")
    assert (found.kind("a"), found.column("a")) == (kind, expected)
    assert found.column("id") == list(range(len(values)))
    declared = shelf.read({"files": "t.parquet", "columns": {"a": "string"}})
    assert declared.kind("a") == pa.string()
    assert [value is None for value in declared.column("a")] == [value is None for value in expected]


def test_times_beyond_the_years(shelf: Shelf) -> None:
    write(shelf, pa.table({"a": pa.array([0, 2**62], pa.timestamp("us")), "b": pa.array([0, 10**7], pa.date32())}))
    found = shelf.read("t.parquet")
    assert found.column("a") == [dt.datetime(1970, 1, 1), None]  # noqa: DTZ001
    assert found.column("b") == [dt.date(1970, 1, 1), None]
    assert found.warnings() == {(name, "outside the years 1 to 9999"): 1 for name in ("a", "b")}


@pytest.mark.parametrize("open_bytes", [columnar.OPEN_BYTES, 2**18])
def test_a_wide_table_comes_in_bounded_batches(shelf: Shelf, open_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 columns, many row groups, and the size of a batch is kept; also where not all pages can be open at once."""
    monkeypatch.setattr(columnar, "OPEN_BYTES", open_bytes)
    columns = {f"c{number}": pa.array(range(number, number + 3000)) for number in range(400)}
    columns |= {f"t{number}": pa.array([f"text {number} {row % 9}" for row in range(3000)]) for number in range(100)}
    table = pa.table(columns)
    write(shelf, table, row_group_size=1000)
    found = shelf.read("t.parquet", batch_bytes=2**20)
    assert found.table.drop_columns(["_file", "_row", "_file_modified_at"]).equals(table)
    assert max(batch.nbytes for batch in found.batches) <= 2**20
    assert found.column("_row") == list(range(1, 3001))
    some = shelf.read("t.parquet", columns=("t7", "c3"))
    assert some.names == ["c3", "t7"]
    assert some.column("t7") == columns["t7"].to_pylist()


def test_names_with_dots_and_our_own(shelf: Shelf) -> None:
    table = pa.table({"a.b": [1], "a": [{"b": 2}], "_row": [3], "c d": [4]})
    write(shelf, table)
    assert shelf.read("t.parquet").rows() == [{"a.b": 1, "a": '{"b":2}', "source_row": 3, "c d": 4}]


def test_nothing_but_rows(shelf: Shelf) -> None:
    write(shelf, pa.table({"a": [1, 2, 3]}))
    found = shelf.read("t.parquet", columns=("_row", "_file"))
    assert found.names == ["_file", "_row"]
    assert found.column("_row") == [1, 2, 3]


def test_packed_once_more(shelf: Shelf) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1, 2]}), sink)
    shelf.put("t.parquet.zst", pa.compress(sink.getvalue(), "zstd", asbytes=True))
    assert shelf.read("*.zst").rows() == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("cut", [0, 3, 4, 100, -1])
def test_a_file_that_is_cut_short(shelf: Shelf, cut: int) -> None:
    write(shelf, pa.table({"a": range(1000)}))
    shelf.put("t.parquet", (shelf.folder / "t.parquet").read_bytes()[:cut])
    with pytest.raises(BadFileError, match=r"t\.parquet is no whole Parquet file"):
        shelf.read("t.parquet")


def test_a_broken_page_is_an_error_and_no_other_value(shelf: Shelf) -> None:
    write(shelf, pa.table({"a": range(10_000)}), write_page_checksum=True)
    contents = bytearray((shelf.folder / "t.parquet").read_bytes())
    contents[200:400] = b"\xff" * 200
    shelf.put("t.parquet", bytes(contents))
    with pytest.raises(BadFileError, match=r"t\.parquet is no whole Parquet file"):
        shelf.read("t.parquet")
