"""Staging: streamed, bounded, and apart until it is published."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from lake.facts import facts
from lake.manifest import RunRef, load, save
from lake.query import duplicate_key, max_value
from lake.staging import CursorSpec, stage
from lake.storage import LakeStore
from tests.lake.copier import SCHEMA, TABLE, Copier, orders

RUN = RunRef("run", 1, 1)


def cursor_at(edge: int | None) -> CursorSpec:
    return CursorSpec("at", lambda value: f"<{value.as_py()}>", edge)


def test_rows_at_or_below_the_edge_are_staged_apart(store: LakeStore) -> None:
    rows = orders([(1, "below", 5), (2, "edge", 10), (3, "null", None), (4, "past", 11), (5, "past", 12)])
    manifest = stage(store, TABLE, RUN, rows.to_batches(max_chunksize=2), SCHEMA, cursor=cursor_at(10))

    assert [sum(file.rows for file in files) for files in (manifest.fresh, manifest.overlap)] == [2, 3]
    assert (manifest.edge, manifest.cursor) == ("<10>", "<12>")
    assert manifest.columns.schema.names == ["id", "name", "at", "_sync_at"]


def test_files_and_row_groups_are_bounded(folder_store: LakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake.parquet.ROW_GROUP_BYTES", 10_000)
    wide = pa.table({"id": pa.array(range(300), pa.int64()), "text": [f"{n:05}" * 200 for n in range(300)]})
    staged = stage(folder_store, TABLE, RUN, wide.to_batches(), wide.schema, file_bytes=20_000)
    files = staged.fresh
    assert len(files) > 1
    assert sum(file.rows for file in files) == 300
    assert staged.size_bytes == sum(one.size_bytes for one in folder_store.list(f"{TABLE}/g1"))


def test_a_row_wider_than_a_row_group_is_staged(copier: Copier) -> None:
    wide = orders([(1, "x" * 20_000_000, 1), (2, "y" * 20_000_000, 2)])
    copier.copy("full_refresh", wide)
    assert copier.rows() == Counter([(1, "x" * 20_000_000, 1), (2, "y" * 20_000_000, 2)])


def test_every_row_says_when_its_run_read_it(folder_copier: Copier) -> None:
    at = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)
    rows = orders([(1, "a", 1)])
    staged = stage(folder_copier.store, TABLE, RUN, rows.to_batches(), SCHEMA, read_at=at)
    (file,) = staged.fresh
    with folder_copier.store.filesystem.open_input_file(file.path) as opened:
        assert pa.parquet.read_table(opened)["_sync_at"].to_pylist() == [at]


def test_a_reader_that_fails_leaves_no_manifest_and_its_error(store: LakeStore) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from orders([(1, "a", 1)]).to_batches()
        raise ConnectionError("the source went away")

    with pytest.raises(ConnectionError, match="went away"):
        stage(store, TABLE, RUN, failing(), SCHEMA)
    assert not [one for one in store.list(TABLE) if one.path.endswith(".json")]


def test_progress_is_told(folder_store: LakeStore) -> None:
    told: list[int] = []
    batches = orders([(n, "x", n) for n in range(10)]).to_batches(max_chunksize=4)
    stage(folder_store, TABLE, RUN, batches, SCHEMA, progress=lambda rows, size_bytes: told.append(rows))
    assert told == [4, 8, 10]


def test_a_manifest_is_kept_as_it_is(store: LakeStore) -> None:
    rows = orders([(1, "below", 5), (2, None, 11)])
    manifest = stage(store, TABLE, RUN, rows.to_batches(), SCHEMA, batch=3, cursor=cursor_at(10), primary_key=("id",))
    paths = [save(store, TABLE, manifest) for _ in range(2)]
    assert paths[0] != paths[1], "attempts must not take each other's place"
    assert [load(store, path) for path in paths] == [manifest, manifest]


def test_questions_about_a_table(copier: Copier) -> None:
    store = copier.store
    assert (facts(store, TABLE).row_count, max_value(store, TABLE, "at"), duplicate_key(store, TABLE, ["id"])) == (
        0,
        None,
        None,
    )
    assert (facts(store, TABLE).size_bytes, facts(store, TABLE).columns) == (0, [])

    schema = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.int64()), ("a b", pa.decimal128(9, 2))])
    copier.copy("append", orders([(1, "a", 10, None), (1, None, 20, None)], schema))
    copier.copy("append", orders([(2, "a", None, None)], schema))

    assert facts(store, TABLE).row_count == 3
    assert facts(store, TABLE).size_bytes == sum(one.size_bytes for one in store.list(f"{TABLE}/g1"))
    assert max_value(store, TABLE, "at") == pa.scalar(20, pa.int64())
    assert max_value(store, TABLE, "a b") is None
    assert duplicate_key(store, TABLE, ["id"]) == "id=1"
    assert duplicate_key(store, TABLE, ["id", "at"]) == "id=2, at=null"
    assert duplicate_key(store, TABLE, ["id", "gone"]) == "id, gone: not all stored"
    assert facts(store, TABLE).columns[3:] == [
        {"key": "a_b", "name": "a b", "type": "decimal(9,2)", "nullable": True},
        {"key": "_sync_at", "name": "_sync_at", "type": "timestamp", "nullable": True},
    ]
