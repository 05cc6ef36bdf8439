"""Columns that were disabled: their values go, every row stays, and the table goes on from where it stood."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lake.errors import FencedError, StalePositionError
from lake.facts import facts
from lake.manifest import RunRef
from lake.narrow import narrow
from lake.position import Position
from lake.storage import LakeStore
from lake.sweep import sweep
from lake.table import HISTORY_LIMIT
from tests.lake.copier import TABLE, Copier, orders

ROWS = [(1, "secret-a", 10), (2, "secret-b", 20), (3, None, 20)]
KEPT = ("at", "id")
NARROW_ROWS = Counter((id, at) for id, _, at in ROWS)
WITHOUT_NAME = pa.schema([("id", pa.int64()), ("at", pa.int64())])


def narrowed(
    copier: Copier, columns: tuple[str, ...] = KEPT, run: RunRef | None = None, base: Position | None = None
) -> Position:
    return narrow(copier.store, copier.table, run or copier.new_run(), columns, base or copier.position())


def stored_bytes(store: LakeStore) -> bytes:
    """Everything below the table but its log, Parquet decoded."""
    content = b""
    for stored in store.list(TABLE):
        if stored.path.endswith(".parquet") and "_delta_log" not in stored.path:
            table = pq.read_table(store.filesystem.open_input_file(stored.path))
            content += str(table.to_pylist()).encode()
    return content


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_the_rows_and_the_cursor_stay(copier: Copier, mode: str) -> None:
    copier.copy(mode, ROWS[:2])
    copier.copy(mode, ROWS[1:])
    before = copier.position()

    position = narrowed(copier)

    assert copier.read().columns == ["id", "at"]
    assert copier.rows() == NARROW_ROWS
    assert (position.sequence, position.columns) == (before.sequence + 1, KEPT)
    assert (position.cursor, position.mode, position.loaded) == ("20", mode, True)
    assert position.primary_key == before.primary_key
    assert copier.position() == position
    assert [column["name"] for column in facts(copier.store, TABLE).columns] == ["id", "at", "_sync_at"]

    again = copier.copy(mode, orders([(2, 20), (3, 20)], WITHOUT_NAME))
    assert (again.rows_added, again.rows_changed) == (0, 0)
    copier.copy(mode, orders([(3, 20), (4, 20), (5, 30)], WITHOUT_NAME))
    assert copier.rows() == NARROW_ROWS + Counter([(4, 20), (5, 30)])


def test_readers_keep_what_they_opened_and_the_sweep_takes_the_values(copier: Copier) -> None:
    copier.copy("append", ROWS)
    options = copier.store.storage_options()
    opened = DeltaTable(copier.store.uri(TABLE), storage_options=options).to_pyarrow_dataset()
    narrowed(copier)
    assert Counter(opened.to_table(columns=["name"])["name"].to_pylist()) == Counter(row[1] for row in ROWS)
    assert b"secret-a" in stored_bytes(copier.store)
    sweep(copier.store, TABLE, set(), datetime.now(UTC) + timedelta(minutes=1))
    assert b"secret" not in stored_bytes(copier.store)
    assert copier.rows() == NARROW_ROWS


def test_it_may_be_repeated_and_takes_effect_once(copier: Copier) -> None:
    copier.copy("append", ROWS)
    run = copier.new_run()
    before = copier.position()
    first = narrowed(copier, run=run, base=before)
    assert narrowed(copier, run=run, base=before) == first
    assert copier.position() == first


def test_columns_that_are_not_there_cost_nothing(folder_copier: Copier) -> None:
    folder_copier.copy("append", ROWS)
    files = set(DeltaTable(folder_copier.store.uri(TABLE)).file_uris())
    position = narrowed(folder_copier, ("at", "gone", "id", "name"))
    assert set(DeltaTable(folder_copier.store.uri(TABLE)).file_uris()) == files
    assert position.columns == ("at", "gone", "id", "name")
    assert folder_copier.rows() == Counter(ROWS)


def test_an_older_run_is_fenced_and_one_that_was_overtaken_plans_again(folder_copier: Copier) -> None:
    copier = folder_copier
    copier.copy("append", ROWS)
    older, newer = copier.new_run(), copier.new_run()
    staged = copier.plan("append", orders([(4, "late", 40)]), run=older)
    narrowed(copier, run=newer)
    with pytest.raises(FencedError):
        narrowed(copier, ("id",), run=older)
    with pytest.raises(FencedError):
        staged.publish()
    assert copier.rows() == NARROW_ROWS


def test_a_batch_of_the_same_run_staged_before_is_stale(folder_copier: Copier) -> None:
    copier = folder_copier
    copier.copy("append", ROWS)
    run = copier.new_run()
    staged = copier.plan("append", orders([(4, "late", 40)]), run=run)
    narrowed(copier, run=run)
    with pytest.raises(StalePositionError):
        staged.publish()
    with pytest.raises(StalePositionError):
        narrowed(copier, ("id",), base=staged.plan.base)


def test_a_position_that_only_the_database_remembers_is_kept(folder_copier: Copier) -> None:
    """Somebody else's commits may have pushed ours out of the part of the log that is looked at."""
    copier = folder_copier
    copier.copy("append", ROWS)
    known = copier.position()
    for _ in range(HISTORY_LIMIT):
        DeltaTable(copier.store.uri(TABLE)).alter.set_table_properties({"delta.appendOnly": "false"})
    assert copier.position().mode is None
    position = narrowed(copier, base=known)
    assert (position.mode, position.cursor, position.loaded) == ("append", "20", True)
    assert copier.position() == position


def test_an_interrupted_first_load_stays_one(folder_copier: Copier) -> None:
    folder_copier.copy("append", ROWS, last=False)
    assert not narrowed(folder_copier).loaded


def test_a_column_that_had_made_way_for_another_gets_its_name_back(folder_copier: Copier) -> None:
    """What the next read calls ``a b`` depends on whether ``a_b`` is read too."""
    copier = folder_copier
    clashing = pa.schema([("id", pa.int64()), ("a_b", pa.string()), ("a b", pa.string()), ("at", pa.int64())])
    copier.copy("append", orders([(1, "plain", "spaced", 10)], clashing))
    assert copier.read().columns == ["id", "a_b", "a_b_2", "at"]
    narrowed(copier, ("a b", "at", "id"))
    left = pa.schema([("id", pa.int64()), ("a b", pa.string()), ("at", pa.int64())])
    copier.copy("append", orders([(1, "spaced", 10), (2, "more", 20)], left))
    assert copier.read().columns == ["id", "a_b", "at"]
    assert copier.rows() == Counter([(1, "spaced", 10), (2, "more", 20)])


def test_a_value_that_old_files_lack_does_not_become_a_null_that_they_hold(folder_copier: Copier) -> None:
    """Read again, as it now is at the source with a value in the column that came later, the row is no new one."""
    copier = folder_copier
    copier.copy("append", ROWS[:1])
    note = pa.field("note", pa.string())
    wider = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.int64()), note])
    copier.copy("append", orders([(2, "b", 20, "new")], wider))
    narrowed(copier, ("at", "id", "note"))
    before = copier.rows()
    again = pa.schema([("at", pa.int64()), ("id", pa.int64()), note])
    assert copier.copy("append", orders([(10, 1, "back-filled"), (20, 2, "new")], again)).nothing_new
    assert copier.rows() == before


def test_files_from_before_a_column_came(folder_copier: Copier) -> None:
    copier = folder_copier
    copier.copy("append", ROWS[:1])
    wider = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.int64()), ("note", pa.string())])
    copier.copy("append", orders([(2, "b", 20, "new")], wider))
    narrowed(copier, ("at", "id", "note"))
    assert copier.rows() == Counter([(1, 10, None), (2, 20, "new")])
    assert copier.read().columns == ["id", "at", "note"]
