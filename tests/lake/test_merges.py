"""The upsert beside delta-rs ``MERGE`` and beside a plain dictionary, over keys of every type and changing columns."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

from lake.errors import DuplicateKeyError
from lake.storage import LakeStore
from tests.lake.copier import Copier

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
VALUES: dict[str, tuple[list[pa.DataType], st.SearchStrategy[Any]]] = {
    "floating": ([pa.float32(), pa.float64()], st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1.5])),
    "text": ([pa.string()], st.text(max_size=3)),
    "number": ([pa.int16(), pa.int32(), pa.int64()], st.integers(-100, 100)),
    "amount": ([pa.decimal128(5, 2), pa.decimal128(20, 4)], st.sampled_from([Decimal("1.25"), Decimal("-3.00")])),
}
"""Of each column the types that it may have, each holding the values of those before."""

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Batch:
    """Columns come, go and change their types from batch to batch. ``deleted`` may name keys that no row has."""

    schema: pa.Schema
    rows: list[Row]
    deleted: list[Key]


@dataclass(frozen=True)
class History:
    key: list[str]
    batches: list[Batch]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Batches of rows with keys of their own, each ordered by a cursor that never falls."""
    kinds = draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=2))
    names = [f"{kind}_{position}" for position, kind in enumerate(kinds)]
    key = st.tuples(*(KEYS[kind][1] for kind in kinds))
    batches: list[Batch] = []
    cursor = 0
    for keys in draw(st.lists(st.lists(key, unique=True, max_size=8), min_size=2, max_size=4)):
        columns = {name: draw(st.sampled_from(VALUES[name][0])) for name in VALUES if draw(st.integers(0, 4))}
        rows = []
        for values in keys:
            cursor += draw(st.integers(0, 1))
            row = dict(zip(names, values, strict=True)) | {name: draw(st.none() | VALUES[name][1]) for name in columns}
            rows.append({**row, "at": cursor})
        fields = [(name, KEYS[kind][0]) for name, kind in zip(names, kinds, strict=True)]
        schema = pa.schema([*fields, *columns.items(), ("at", pa.int64())])
        batches.append(Batch(schema, rows, draw(st.lists(key, max_size=3))))
    return History(names, batches)


def exact(value: Any) -> Any:
    """Equal only to what is the same to the last bit."""
    return (math.copysign(1, value), "nan" if math.isnan(value) else value) if isinstance(value, float) else value


def contents(rows: Iterable[Mapping[str, Any]]) -> Counter[frozenset[tuple[str, Any]]]:
    return Counter(frozenset((name, exact(value)) for name, value in row.items()) for row in rows)


class Expected:
    """What the documentation promises, as a dictionary."""

    def __init__(self, key: list[str]) -> None:
        self._key = key
        self._edge = -1
        self.columns: list[str] = []
        self.rows: dict[Key, Row] = {}

    def key_of(self, row: Row) -> Key:
        return tuple(row[name] for name in self._key)

    def apply(self, batch: Batch) -> list[Row]:
        """The rows that change something, whole."""
        self.columns += [name for name in batch.schema.names if name not in self.columns]
        new = {self.key_of(row): row for row in batch.rows if not self._is_known(row)}
        for key in batch.deleted:
            if key not in {self.key_of(row) for row in batch.rows}:
                self.rows.pop(key, None)
        self.rows |= new
        self._edge = max([self._edge, *(row["at"] for row in batch.rows)])
        return list(new.values())

    def _is_known(self, row: Row) -> bool:
        """Of what is read again, the rows that the table has just so in the columns that were read."""
        held = self.rows.get(self.key_of(row))
        same = held is not None and all(exact(held.get(name)) == exact(value) for name, value in row.items())
        return row["at"] <= self._edge and same

    def contents(self) -> Counter[frozenset[tuple[str, Any]]]:
        return contents({name: row.get(name) for name in self.columns} for row in self.rows.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_upserts_and_deletes_equal_merges(tmp_path_factory: pytest.TempPathFactory, history: History) -> None:
    folder = tmp_path_factory.mktemp("upsert")
    copier = Copier(LakeStore(f"file://{folder}/lake"), primary_key=tuple(history.key))
    expected = Expected(history.key)
    merged = Merged(folder / "merged", history.key)
    for batch in history.batches:
        changed = expected.apply(batch)
        upsert(copier, batch)
        merged.apply(batch, changed)
        ours = copier.read()
        assert contents(ours.iter_rows(named=True)) == expected.contents()
        assert contents(merged.rows()) == expected.contents()


def upsert(copier: Copier, batch: Batch) -> None:
    planned = copier.plan("incremental", pa.Table.from_pylist(batch.rows, schema=batch.schema))
    key = pa.schema([batch.schema.field(name) for name in copier.primary_key])
    rows = [dict(zip(copier.primary_key, values, strict=True)) for values in batch.deleted]
    planned.with_deletes(pa.Table.from_pylist(rows, schema=key)).publish()


class Merged:
    """The same by delta-rs. It cannot widen a column, so that the table is then written anew."""

    def __init__(self, folder: Path, key: list[str]) -> None:
        self._folder = folder
        self._key = key

    def rows(self) -> list[Row]:
        return pl.read_delta(str(self._folder)).rows(named=True)

    def apply(self, batch: Batch, changed: list[Row]) -> None:
        table = pa.Table.from_pylist(changed, schema=batch.schema)
        if not DeltaTable.is_deltatable(str(self._folder)):
            write_deltalake(self._folder, table)
            return
        held = pa.table(DeltaTable(self._folder).to_pyarrow_table())
        schema = pa.unify_schemas([held.schema, batch.schema], promote_options="permissive")
        if schema != held.schema:
            write_deltalake(self._folder, filled(held, schema), mode="overwrite", schema_mode="overwrite")
        keys = [dict(zip(self._key, values, strict=True)) for values in dict.fromkeys(batch.deleted)]
        new = {tuple(row[name] for name in self._key) for row in batch.rows}
        gone = pa.Table.from_pylist([row for row in keys if tuple(row.values()) not in new], schema=schema)
        self._merge(pa.concat_tables([marked(filled(table, schema), False), marked(gone, True)]))

    def _merge(self, source: pa.Table) -> None:
        columns = {f'"{name}"': f's."{name}"' for name in source.column_names if name != "gone"}
        on = " and ".join(f't."{name}" = s."{name}"' for name in self._key)
        merger = DeltaTable(self._folder).merge(source, on, source_alias="s", target_alias="t")
        (
            merger.when_matched_delete("s.gone")
            .when_matched_update(columns, "not s.gone")
            .when_not_matched_insert(columns, "not s.gone")
            .execute()
        )


def filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    have = table.column_names
    columns = [
        table[column.name].cast(column.type) if column.name in have else pa.nulls(table.num_rows, column.type)
        for column in schema
    ]
    return pa.table(columns, schema=schema)


def marked(table: pa.Table, gone: bool) -> pa.Table:
    return table.append_column("gone", pa.array([gone] * table.num_rows, pa.bool_()))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.data())
def test_a_key_that_comes_twice_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, history: History, data: st.DataObject
) -> None:
    first, *_, last = history.batches
    copier = Copier(LakeStore(f"file://{tmp_path_factory.mktemp('twice')}/lake"), primary_key=tuple(history.key))
    upsert(copier, first)
    before = contents(copier.read().iter_rows(named=True))
    if not last.rows:
        return
    again = data.draw(st.sampled_from(last.rows))
    with pytest.raises(DuplicateKeyError, match=history.key[0]):
        upsert(copier, Batch(last.schema, [*last.rows, {**again, "at": last.rows[-1]["at"] + 1}], last.deleted))
    assert contents(copier.read().iter_rows(named=True)) == before
