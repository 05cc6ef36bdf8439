from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.columns import conform, source_name, stored_columns, stored_names
from lake.errors import IncompatibleSchemaError


@pytest.mark.parametrize(
    ("source", "stored"),
    [
        (["id", "Name"], ["id", "Name"]),
        (["a b", "c;d", "e=f\n", "größe"], ["a_b", "c_d", "e_f_", "größe"]),
        (["ID", "id", "Id"], ["ID", "id_2", "Id_3"]),
        (["a b", "a_b"], ["a_b_2", "a_b"]),
        (["_sync_at", "_SYNC_x", "source_sync_at"], ["source_sync_at_2", "source_SYNC_x", "source_sync_at"]),
        (["", "x", "x_2", "X"], ["_", "x", "x_2", "X_3"]),
    ],
)
def test_names_stay_where_delta_allows_them(source: list[str], stored: list[str]) -> None:
    assert list(stored_names(source).values()) == stored


@given(st.lists(st.text("aAbB_ ,;=(", max_size=4), unique=True, max_size=8))
def test_stored_names_are_told_apart_whatever_the_source_calls_them(source: list[str]) -> None:
    stored = list(stored_names(source).values())
    assert len({name.casefold() for name in stored}) == len(source)
    assert not any(set(name) & set(" ,;{}()\n\t=") or not name for name in stored)


def test_a_renamed_column_remembers_its_source() -> None:
    schema = stored_columns(pa.schema([("a b", pa.int32()), ("c", pa.int32())])).schema
    assert [source_name(column) for column in schema] == ["a b", "c", "_sync_at"]
    assert all(column.nullable for column in schema)


def test_values_become_what_is_stored() -> None:
    source = pa.schema([("u64", pa.uint64()), ("text", pa.large_string()), ("ns", pa.timestamp("ns", "Europe/Paris"))])
    batch = pa.record_batch(
        [pa.array([2**64 - 1], pa.uint64()), ["x"], pa.array([1_000], pa.timestamp("ns", "Europe/Paris"))],
        schema=source,
    )
    columns = stored_columns(source)
    stored = conform(batch, columns, [pa.scalar(5, pa.timestamp("us", "UTC"))])
    assert [str(kind) for kind in stored.schema.types] == [
        "decimal128(20, 0)",
        "string",
        "timestamp[us, tz=UTC]",
        "timestamp[us, tz=UTC]",
    ]
    assert stored.column("u64").to_pylist() == [Decimal(2**64 - 1)]
    assert stored.column("ns").cast(pa.int64()).to_pylist() == [1]


def test_a_value_that_does_not_fit_raises() -> None:
    source = pa.schema([("ns", pa.timestamp("ns"))])
    batch = pa.record_batch([pa.array([1], pa.timestamp("ns"))], schema=source)
    with pytest.raises(pa.ArrowInvalid):
        conform(batch, stored_columns(source), [pa.scalar(5, pa.timestamp("us", "UTC"))])


def test_a_type_that_the_lake_cannot_hold_is_named() -> None:
    with pytest.raises(IncompatibleSchemaError, match="'tags' has the type list"):
        stored_columns(pa.schema([("tags", pa.list_(pa.int32()))]))
