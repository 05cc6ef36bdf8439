"""The upsert beside delta-rs ``MERGE`` and beside a plain dictionary, over keys of every type."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake import staging
from lake.errors import IncompatibleSchemaError
from lake.log import read_snapshot
from lake.storage import LakeStore
from lake.table import open_table
from tests.lake.copier import TABLE, Copier, orders

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
KEYS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "short": (pa.int16(), st.integers(-5, 5)),
    "long": (pa.int64(), st.sampled_from([-(2**63), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1])),
    "text": (pa.string(), st.sampled_from(["", "a", "A", "ä", "a ", "a\x00", "é", "e\u0301", "💾", "z" * 100])),
    "uuid": (pa.string(), st.integers(0, 6).map(lambda number: str(UUID(int=number << 100)))),
    "date": (pa.date32(), st.integers(0, 6).map(lambda day: date(1, 1, 1) + timedelta(days=day))),
    "timestamp": (
        pa.timestamp("us"),
        st.integers(0, 6).map(lambda micros: EPOCH.replace(tzinfo=None) + timedelta(microseconds=micros)),
    ),
    "timestamptz": (
        pa.timestamp("us", "UTC"),
        st.integers(0, 6).map(lambda micros: EPOCH + timedelta(microseconds=micros)),
    ),
    "decimal": (
        pa.decimal128(38, 2),
        st.sampled_from([Decimal("0.00"), Decimal("-0.01"), Decimal("9" * 36 + ".99"), Decimal("9" * 36 + ".98")]),
    ),
    "binary": (pa.binary(), st.sampled_from([b"", b"\x00", b"\x00\x00", b"\xff", b"\xff" * 80])),
    "boolean": (pa.bool_(), st.booleans()),
}
VALUES = st.tuples(
    st.none() | st.sampled_from([0.0, float("inf"), 1.5]),
    st.none() | st.text(max_size=3),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """Key columns, and a few batches of rows with unique keys, each batch ordered by a growing cursor."""
    kinds = draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=2))
    names = [f"{kind}_{position}" for position, kind in enumerate(kinds)]
    key = st.tuples(*(KEYS[kind][1] for kind in kinds))
    batches, cursor = [], 0
    for keys in draw(st.lists(st.lists(key, unique=True, max_size=8), min_size=2, max_size=4)):
        rows = []
        for values in keys:
            cursor += draw(st.integers(0, 1))
            floating, text, number = draw(VALUES)
            rows.append({**dict(zip(names, values, strict=True)), "f": floating, "t": text, "n": number, "at": cursor})
        batches.append(rows)
    return names, batches


def schema_of(names: list[str]) -> pa.Schema:
    keys = [(name, KEYS[name.split("_")[0]][0]) for name in names]
    return pa.schema([*keys, ("f", pa.float64()), ("t", pa.string()), ("n", pa.int64()), ("at", pa.int64())])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_upserts_equal_merges(
    tmp_path_factory: pytest.TempPathFactory, history: tuple[list[str], list[list[dict[str, Any]]]]
) -> None:
    names, batches = history
    folder = tmp_path_factory.mktemp("upsert")
    copier = Copier(LakeStore(f"file://{folder}/lake"), primary_key=tuple(names))
    schema = schema_of(names)
    expected: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for rows in batches:
        table = pa.Table.from_pylist(rows, schema=schema)
        copier.copy("incremental", table)
        merge(folder / "merged", table, names)
        expected |= {tuple(row[name] for name in names): tuple(row.values()) for row in rows}
    ours = copier.read()
    assert Counter(ours.rows()) == Counter(expected.values())
    theirs = pl.read_delta(str(folder / "merged")).select(ours.columns)
    assert Counter(ours.rows()) == Counter(theirs.rows())


def merge(folder: Path, table: pa.Table, key: list[str]) -> None:
    if not DeltaTable.is_deltatable(str(folder)):
        write_deltalake(folder, table)
        return
    on = " and ".join(f't."{name}" = s."{name}"' for name in key)
    merger = DeltaTable(folder).merge(table, on, source_alias="s", target_alias="t")
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


def test_only_files_that_hold_a_changed_key_are_written_anew(copier: Copier) -> None:
    for number in range(5):
        copier.copy("incremental", [(number * 10 + i, f"old{i}", number * 10 + i) for i in range(10)])
    before = paths(copier)
    assert len(before) == 5

    result = copier.copy("incremental", [(7, "new", 100), (48, "new", 101), (99, "new", 102)])

    after = paths(copier)
    assert len(before & after) == 3
    assert (result.rows_added, result.rows_changed) == (1, 2)
    names = {row[0]: row[1] for row in copier.rows()}
    assert [names[key] for key in (7, 48, 99, 8)] == ["new", "new", "new", "old8"]
    assert len(names) == 51


def test_a_file_whose_rows_are_all_replaced_goes(copier: Copier) -> None:
    copier.copy("incremental", [(1, "a", 1), (2, "b", 2)])
    before = paths(copier)
    copier.copy("incremental", [(2, "B", 3), (1, "A", 4)])
    assert len(paths(copier)) == 1
    assert not before & paths(copier)
    assert copier.rows() == Counter([(1, "A", 4), (2, "B", 3)])


def test_rows_of_a_look_back_are_compared_with_what_is_stored(copier: Copier) -> None:
    copier.copy("incremental", [(1, "a", 10), (2, "b", 20), (3, "c", 30)])
    before = copier.position()
    looked_back = [(1, "a", 10), (9, "late", 15), (2, "changed without its cursor", 20), (3, "c", 30)]
    result = copier.copy("incremental", looked_back)
    assert (result.rows_added, result.rows_changed) == (1, 1)
    assert result.position.cursor == before.cursor == "30"
    assert copier.rows() == Counter(looked_back)


def test_a_floating_point_key_is_refused(folder_copier: Copier) -> None:
    folder_copier.primary_key = ("id",)
    rows = orders([(1, "a", 10)]).cast(pa.schema([("id", pa.float64()), ("name", pa.string()), ("at", pa.int64())]))
    with pytest.raises(IncompatibleSchemaError, match="key column 'id' holds floating-point numbers"):
        folder_copier.copy("incremental", rows)


def test_many_small_row_groups_and_files(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row numbers hold across row groups, files and batches."""
    monkeypatch.setattr("lake.parquet.ROW_GROUP_ROWS", 7)
    monkeypatch.setattr("lake.rows.BATCH_ROWS", 3)
    monkeypatch.setattr(staging, "KEYED_FILE_BYTES", 3000)
    rows = [(number, f"name {number}", number) for number in range(200)]
    copier.copy("incremental", rows)
    assert len(paths(copier)) > 3
    changed = [(number, "changed", 200 + number) for number in range(3, 200, 11)]
    copier.copy("incremental", changed)
    expected = {row[0]: row for row in (*rows, *changed)}
    assert copier.rows() == Counter(expected.values())


def paths(copier: Copier) -> set[str]:
    table = open_table(copier.store, TABLE)
    return set(read_snapshot(copier.store, TABLE, table.position.version).files)
