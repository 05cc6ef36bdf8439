"""What the log says of a file's values never hides a row from a reader that believes it."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from lake.log import read_snapshot
from lake.statistics import TEXT_LIMIT, encode_lower, encode_upper, null_count, read_bounds
from tests.lake.copier import TABLE, Copier, orders

LOW = datetime(1, 1, 1, tzinfo=UTC)
HIGH = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "short": (pa.int16(), [-(2**15), 0, 2**15 - 1]),
    "long": (pa.int64(), [-(2**63), 2**53 + 1, 2**63 - 1]),
    "decimal": (pa.decimal128(12, 2), [Decimal("-0.01"), Decimal("0.00"), Decimal("9999999999.99")]),
    "small": (pa.decimal128(10, 8), [Decimal("0.00000001"), Decimal("0.00000002"), Decimal("1.00000000")]),
    "large": (pa.decimal128(38, 2), [Decimal("-" + "9" * 36 + ".99"), Decimal("0.00"), Decimal("9" * 36 + ".99")]),
    "double": (pa.float64(), [float("-inf"), 1e-300, float("inf")]),
    "float": (pa.float32(), [-0.0, 1.100000023841858, 3.4028234663852886e38]),
    "long_text": (pa.string(), ["z" * 5000, "\ud7ff" * 100, "\U0010ffff" * 100]),
    "text": (pa.string(), ["", "ä" * 100, "💾" * 100]),
    "naive": (pa.timestamp("us"), [one.replace(tzinfo=None) for one in (LOW, datetime(2000, 1, 1, 1, 1, 1, 1), HIGH)]),  # noqa: DTZ001
    "aware": (pa.timestamp("us", "UTC"), [LOW, datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), HIGH]),
    "day": (pa.date32(), [date(1, 1, 1), date(1970, 1, 1), date(9999, 12, 31)]),
    "binary": (pa.binary(), [b"", b"\x00", b"\xff" * 90]),
    "flag": (pa.bool_(), [False, True, True]),
}


@pytest.fixture
def typed(folder_copier: Copier) -> Copier:
    """A table with a file for each row, one row all null."""
    schema = pa.schema([(name, kind) for name, (kind, _) in VALUES.items()] + [("at", pa.int64())])
    for row in range(4):
        values = {name: values[row] if row < 3 else None for name, (_, values) in VALUES.items()}
        folder_copier.copy("append", pa.Table.from_pylist([{**values, "at": row}], schema=schema))
    return folder_copier


@pytest.mark.parametrize("name", list(VALUES))
@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_filter_on_any_value_finds_its_row(typed: Copier, name: str, checkpointed: bool) -> None:
    uri = typed.store.uri(TABLE)
    if checkpointed:
        DeltaTable(uri).create_checkpoint()
    kind, values = VALUES[name]
    dataset = DeltaTable(uri).to_pyarrow_dataset()
    lazy = pl.scan_delta(uri)
    for value in values:
        scalar = pa.scalar(value, kind)
        expected = sorted(row for row in range(3) if values[row] == value)
        found = dataset.to_table(columns=["at"], filter=ds.field(name) == scalar)["at"].to_pylist()
        assert sorted(found) == expected, f"deltalake on {value!r}"
        literal = pl.lit(pl.from_arrow(pa.array([value], kind))).first()
        assert lazy.filter(pl.col(name) == literal).select("at").collect()["at"].sort().to_list() == expected
        expected = [row for row in range(3) if values[row] >= value]
        assert lazy.filter(pl.col(name) >= literal).select("at").collect()["at"].sort().to_list() == expected
    nulls = dataset.to_table(columns=["at"], filter=ds.field(name).is_null())["at"].to_pylist()
    assert nulls == [3]


def test_a_file_with_nan_hides_nothing(folder_copier: Copier) -> None:
    schema = pa.schema([("id", pa.int64()), ("value", pa.float64()), ("at", pa.int64())])
    folder_copier.copy("append", orders([(1, float("nan"), 1), (2, 5.0, 2)], schema))
    folder_copier.copy("append", orders([(3, 6.0, 3)], schema))
    uri = folder_copier.store.uri(TABLE)
    dataset = DeltaTable(uri).to_pyarrow_dataset()
    assert dataset.to_table(columns=["id"], filter=ds.field("value") == 5.0)["id"].to_pylist() == [2]
    assert sorted(dataset.to_table(columns=["id"], filter=ds.field("id") < 3)["id"].to_pylist()) == [1, 2]
    assert pl.scan_delta(uri).filter(pl.col("value").is_nan()).select("id").collect()["id"].to_list() == [1]
    assert pl.scan_delta(uri).filter(pl.col("value") > 5.5).select("id").collect()["id"].sort().to_list() == [1, 3]


def test_keys_and_cursors_have_bounds_wherever_they_stand(folder_copier: Copier) -> None:
    schema = pa.schema([(f"c{number}", pa.int32()) for number in range(300)] + [("id", pa.int64()), ("at", pa.int64())])
    rows = [dict.fromkeys(schema.names, number) for number in (5, 6)]
    folder_copier.copy("incremental", pa.Table.from_pylist(rows, schema=schema))
    (file,) = read_snapshot(folder_copier.store, TABLE, 0).files.values()
    said = json.loads(file.statistics or "")["minValues"]
    assert set(said) == {*(f"c{number}" for number in range(32)), "id", "at"}
    assert (null_count(file.statistics, "id"), null_count(file.statistics, "c299")) == (0, None)
    dataset = DeltaTable(folder_copier.store.uri(TABLE)).to_pyarrow_dataset()
    for name in ("c0", "c31", "c32", "c299", "id"):
        assert dataset.count_rows(filter=ds.field(name) == 5) == 1


def test_keys_keep_their_bounds_in_a_file_that_cannot_give_all(folder_copier: Copier) -> None:
    schema = pa.schema([("id", pa.string()), ("value", pa.float64()), ("at", pa.int64())])
    folder_copier.copy("incremental", orders([("a", float("inf"), 1), ("b", 5.0, 2)], schema))
    (file,) = read_snapshot(folder_copier.store, TABLE, 0).files.values()
    assert "minValues" not in json.loads(file.statistics or "")
    assert read_bounds(file.statistics, "id", pa.string()) == (pa.scalar("a"), pa.scalar("b"))
    assert read_bounds(file.statistics, "value", pa.float64()) is None


@given(st.text(max_size=100), st.text(st.sampled_from("a\ud7ff\ue000\U0010ffff"), max_size=100))
def test_text_bounds_admit_every_text_between(one: str, other: str) -> None:
    least, greatest = sorted((one, other))
    lower, upper = encode_lower(least, pa.string()), encode_upper(greatest, pa.string())
    assert lower is not None
    assert json.loads(lower) <= least
    assert upper is None or json.loads(upper).encode() >= greatest.encode()
    assert upper is not None or greatest.startswith("\U0010ffff" * TEXT_LIMIT)


@given(st.decimals(min_value=-(10**19), max_value=10**19, places=18))
def test_decimal_bounds_are_exact(value: Decimal) -> None:
    kind = pa.decimal128(38, 18)
    bound = encode_lower(value, kind)
    said = f'{{"minValues":{{"x":{bound}}},"maxValues":{{"x":{bound}}}}}'
    assert "e" not in (bound or "").lower()
    assert read_bounds(said, "x", kind) == (pa.scalar(value, kind), pa.scalar(value, kind))


@pytest.mark.parametrize(
    "name", ["short", "long", "decimal", "small", "large", "naive", "aware", "day", "float", "flag"]
)
def test_bounds_are_read_back_as_they_were(name: str) -> None:
    kind, values = VALUES[name]
    for value in values:
        lower, upper = encode_lower(value, kind), encode_upper(value, kind)
        said = f'{{"minValues":{{"x":{lower}}},"maxValues":{{"x":{upper}}}}}'
        assert read_bounds(said, "x", kind) == (pa.scalar(value, kind), pa.scalar(value, kind))
