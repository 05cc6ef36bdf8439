"""Columns that come, go and change their type."""

from collections import Counter
from decimal import Decimal

import pyarrow as pa
import pytest

from lake.columns import stored_columns
from lake.errors import IncompatibleSchemaError
from lake.evolution import evolve
from tests.lake.copier import SCHEMA, Copier, orders

WITH_NOTE = SCHEMA.append(pa.field("note", pa.timestamp("us")))


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_a_new_column_is_null_in_the_rows_before_it(copier: Copier, mode: str) -> None:
    copier.copy(mode, [(1, "a", 10), (2, "b", 20)])
    copier.copy(mode, orders([(3, "c", 30, None)], WITH_NOTE))
    assert copier.rows() == Counter([(1, "a", 10, None), (2, "b", 20, None), (3, "c", 30, None)])


def test_a_new_column_is_filled_where_keyed_rows_are_read_again(copier: Copier) -> None:
    copier.copy("incremental", [(1, "a", 10), (2, "b", 20)])
    wider = SCHEMA.append(pa.field("note", pa.string()))
    copier.copy("incremental", orders([(2, "b", 20, "filled")], wider))
    assert copier.rows() == Counter([(1, "a", 10, None), (2, "b", 20, "filled")])


def test_widening_does_not_make_rows_from_before_a_new_column_look_new(copier: Copier) -> None:
    narrow = pa.schema([("id", pa.int32()), ("name", pa.string()), ("at", pa.int64())])
    copier.copy("append", orders([(1, "a", 10), (2, "b", 20)], narrow))
    both = SCHEMA.append(pa.field("note", pa.string()))
    edge = orders([(2, "b", 20, "by default")], both)
    for _ in range(2):
        copier.copy("append", edge)
        assert copier.rows() == Counter([(1, "a", 10, None), (2, "b", 20, None)])


def test_a_new_column_does_not_make_known_rows_look_new(copier: Copier) -> None:
    copier.copy("append", [(1, "a", 10), (2, "b", 20)])
    wider = SCHEMA.append(pa.field("note", pa.string()))
    planned = copier.plan("append", orders([(2, "b", 20, "filled"), (3, "c", 30, "x")], wider))
    planned.publish()
    copier.copy("append", orders([(3, "c", 30, "x"), (4, "tie", 30, "y")], wider))
    assert copier.rows() == Counter([(1, "a", 10, None), (2, "b", 20, None), (3, "c", 30, "x"), (4, "tie", 30, "y")])


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_a_vanished_column_stays_with_nulls(copier: Copier, mode: str) -> None:
    copier.copy(mode, [(1, "a", 10), (2, "b", 20)])
    narrower = pa.schema([SCHEMA.field("id"), SCHEMA.field("at")])
    again = copier.copy(mode, orders([(2, 20)], narrower))
    assert again.nothing_new
    copier.copy(mode, orders([(2, 20), (3, 30)], narrower))
    assert copier.rows() == Counter([(1, "a", 10), (2, "b", 20), (3, None, 30)])


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_a_wider_type_rewrites_the_column(copier: Copier, mode: str) -> None:
    small = pa.schema([("id", pa.int32()), ("name", pa.int16()), ("at", pa.int64())])
    large = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.int64())])
    copier.copy(mode, orders([(1, 7, 10), (2, None, 20)], small))
    copier.copy(mode, orders([(2, None, 20), (2**40, "text", 30)], large))
    assert copier.rows() == Counter([(1, "7", 10), (2, None, 20), (2**40, "text", 30)])
    assert [str(kind) for kind in copier.read().dtypes] == ["Int64", "String", "Int64"]


def test_a_key_that_becomes_text_still_finds_its_row(copier: Copier) -> None:
    """As text 10 comes before 5, the least number of the file."""
    copier.copy("incremental", [(5, "a", 10), (10, "b", 20), (50, "c", 30)])
    text = pa.schema([("id", pa.string()), ("name", pa.string()), ("at", pa.int64())])
    copier.copy("incremental", orders([("10", "new", 40)], text))
    assert copier.rows() == Counter([("5", "a", 10), ("10", "new", 40), ("50", "c", 30)])


def test_numbers_that_became_text_are_recognised_when_they_are_read_again(copier: Copier) -> None:
    numbers = pa.schema([("id", pa.float64()), ("name", pa.decimal128(38, 18)), ("at", pa.int64())])
    text = pa.schema([("id", pa.string()), ("name", pa.string()), ("at", pa.int64())])
    copier.copy("append", orders([(1e20, Decimal("1.5"), 10), (0.5, Decimal(0), 20)], numbers))
    copier.copy("append", orders([("0.5", "0", 20), ("1e+21", "1" * 60, 30)], text))
    copier.copy("append", orders([("1e+21", "1" * 60, 30)], text))
    assert copier.rows() == Counter([("1e+20", "1.5", 10), ("0.5", "0", 20), ("1e+21", "1" * 60, 30)])


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_a_narrower_type_is_stored_as_the_wider(copier: Copier, mode: str) -> None:
    wide = pa.schema([("id", pa.decimal128(20, 2)), ("name", pa.string()), ("at", pa.int64())])
    copier.copy(mode, orders([(Decimal("1.50"), "a", 10)], wide))
    copier.copy(
        mode, orders([(2, "b", 20)], pa.schema([("id", pa.int32()), ("name", pa.string()), ("at", pa.int64())]))
    )
    assert copier.rows() == Counter([(Decimal("1.50"), "a", 10), (Decimal(2), "b", 20)])


def test_an_incompatible_change_names_column_types_and_remedy(copier: Copier) -> None:
    copier.copy("incremental", [(1, "a", 10)])
    other = pa.schema([("id", pa.int64()), ("name", pa.binary()), ("at", pa.int64())])
    told = "Column 'name' is now binary but is stored as string, which cannot hold it; resync the table."
    with pytest.raises(IncompatibleSchemaError, match=told):
        copier.copy("incremental", orders([(2, b"b", 20)], other))
    assert copier.rows() == Counter([(1, "a", 10)])


def test_a_full_refresh_takes_any_columns(copier: Copier) -> None:
    copier.copy("full_refresh", [(1, "a", 10)])
    copier.copy("full_refresh", orders([(1, "a", 10, None)], WITH_NOTE))
    assert copier.read().columns == ["id", "name", "at", "note"]
    other = pa.schema([("id", pa.binary())])
    copier.copy("full_refresh", orders([(b"x",)], other))
    assert copier.rows() == Counter([(b"x",)])


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_a_table_that_changes_between_two_batches_of_a_run(folder_copier: Copier, mode: str) -> None:
    copier, small = folder_copier, pa.schema([("id", pa.int64()), ("name", pa.int16()), ("at", pa.int64())])
    run = copier.new_run()
    first = copier.plan(mode, orders([(1, 7, 10), (2, None, 20)], small), run, last=False).publish()
    wider = SCHEMA.append(pa.field("note", pa.string()))
    second = orders([(2, None, 20, "n"), (3, "c", 30, "n")], wider)
    published = copier.plan(mode, second, run, batch=1, base=first.position).publish()
    assert (first.columns_changed, published.columns_changed) == (
        (),
        ("name is string and was short", "note is new, string"),
    )
    edge = (2, None, 20, "n" if mode == "incremental" else None)
    assert copier.rows() == Counter([(1, "7", 10, None), edge, (3, "c", 30, "n")])


def test_columns_that_were_told_apart_never_mix() -> None:
    both = stored_columns(pa.schema([("A", pa.string()), ("a", pa.string())])).schema
    one = stored_columns(pa.schema([("a", pa.string())])).schema
    with pytest.raises(IncompatibleSchemaError, match="only in case"):
        evolve(both, one)
    first = stored_columns(pa.schema([("x y", pa.string())])).schema
    second = stored_columns(pa.schema([("x_y", pa.string())])).schema
    with pytest.raises(IncompatibleSchemaError, match="holds 'x y' of the source"):
        evolve(first, second)


@pytest.mark.parametrize(
    ("stored", "incoming", "common"),
    [
        (pa.int16(), pa.int64(), pa.int64()),
        (pa.int64(), pa.decimal128(19, 0), pa.decimal128(19, 0)),
        (pa.decimal128(38, 18), pa.int64(), pa.decimal128(38, 18)),
        (pa.decimal128(10, 2), pa.decimal128(12, 4), pa.decimal128(12, 4)),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.date32(), pa.string(), pa.string()),
        (pa.date32(), pa.timestamp("us"), pa.timestamp("us")),
        (pa.date32(), pa.timestamp("us", "UTC"), None),
        (pa.int64(), pa.float64(), None),
        (pa.decimal128(10, 2), pa.decimal128(11, 4), None),
        (pa.timestamp("us"), pa.timestamp("us", "UTC"), None),
        (pa.bool_(), pa.int64(), None),
    ],
)
def test_which_types_give_way(stored: pa.DataType, incoming: pa.DataType, common: pa.DataType | None) -> None:
    def merged() -> pa.DataType:
        return evolve(pa.schema([("x", stored)]), pa.schema([("x", incoming)])).schema.field("x").type

    if common is None:
        with pytest.raises(IncompatibleSchemaError):
            merged()
    else:
        assert merged() == common
