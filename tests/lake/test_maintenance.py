"""Many small commits: the table stays compact and says the same, whatever happens to the maintenance."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lake import maintenance
from lake.compaction import FILES_PER_TIER, Layout, crowded
from lake.errors import FencedError, StalePositionError
from lake.facts import CHECKPOINT_COMMITS, Debt, facts
from lake.log import Snapshot, TableFile
from lake.maintenance import Maintained, maintain
from lake.parquet import KEYED_FILE_BYTES
from lake.position import EMPTY
from lake.statistics import read_bounds
from lake.sweep import sweep
from lake.table import open_table
from tests.lake.copier import TABLE, Copier, orders

REPOSITORY = Path(__file__).parents[2]
WIDER = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.int64()), ("note", pa.string())])


def maintained(copier: Copier) -> Maintained:
    return maintain(copier.store, TABLE, copier.new_run())


def snapshot(copier: Copier) -> Snapshot:
    return open_table(copier.store, TABLE).snapshot()


def current_debt(copier: Copier) -> Debt:
    return facts(copier.store, TABLE).debt


def crowd(copier: Copier, mode: str, files: int = FILES_PER_TIER) -> Counter[tuple[Any, ...]]:
    """A table of so many small files, each with a range of keys of its own, not in their order."""
    rows = []
    for number in range(files):
        key = number * 7 % files * 10
        batch = [(key + i, f"name {number}", number * 10 + i) for i in range(3)]
        copier.copy(mode, batch)
        rows += batch
    return Counter(rows)


def as_duckdb_reads(copier: Copier) -> Counter[tuple[Any, ...]]:
    dataset = DeltaTable(copier.store.uri(TABLE), storage_options=copier.store.storage_options()).to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("orders", dataset)
        return Counter(connection.sql("select * exclude _sync_at from orders").fetchall())


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_small_files_become_one_and_the_table_goes_on_from_where_it_stood(copier: Copier, mode: str) -> None:
    rows = crowd(copier, mode)
    before = copier.position()
    assert current_debt(copier).crowded_files == current_debt(copier).small_files == FILES_PER_TIER

    done = maintained(copier)

    assert (done.files_before, done.files_after) == (FILES_PER_TIER, 1)
    assert copier.rows() == as_duckdb_reads(copier) == rows
    assert copier.rows(before.version) == rows
    after = copier.position()
    assert after == done.position
    assert (after.sequence, after.fence) == (before.sequence + 1, copier.fence)
    kept = ("mode", "primary_key", "cursor_field", "cursor", "columns", "row_filter", "loaded", "generation")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert not current_debt(copier).is_due

    known = max(rows, key=lambda row: row[2])
    assert copier.copy(mode, [known]).nothing_new
    copier.copy(mode, [known, (1, "next", 500)])
    assert copier.rows()[(1, "next", 500)] == 1
    assert sum(copier.rows().values()) == sum(rows.values()) + (mode == "append")


def test_readers_of_changes_are_told_that_no_row_changed(folder_copier: Copier) -> None:
    crowd(folder_copier, "append")
    done = maintained(folder_copier)
    log = folder_copier.store.read(f"{TABLE}/_delta_log/{done.position.version:020d}.json") or b""
    actions = [json.loads(line) for line in log.splitlines()]
    changes = [action[kind]["dataChange"] for action in actions for kind in ("add", "remove") if kind in action]
    assert changes == [False] * (FILES_PER_TIER + 1)


def test_neighbours_by_key_go_together_and_keep_their_statistics(
    folder_copier: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(folder_copier, "incremental", 12)
    size = next(iter(snapshot(folder_copier).files.values())).size_bytes
    monkeypatch.setattr("lake.compaction.KEYED_FILE_BYTES", size * 4 + 200)
    maintained(folder_copier)
    files = snapshot(folder_copier).files.values()
    spans = [read_bounds(file.statistics, "id", pa.int64()) for file in files]
    ranges = sorted((least.as_py(), greatest.as_py()) for least, greatest in (span for span in spans if span))
    assert ranges == [(0, 32), (40, 72), (80, 112)]
    assert sum(file.rows for file in files) == 36


def test_a_value_that_old_files_lack_does_not_become_a_null_that_they_hold(folder_copier: Copier) -> None:
    """A row that an append reads again is compared in the columns which the stored row had."""
    copier = folder_copier
    crowd(copier, "append", FILES_PER_TIER)
    edge = copier.position().cursor
    rows = [(1000, "with a note", int(edge or 0) + i, "new") for i in (1, 2)]
    for row in rows:
        copier.copy("append", orders([row], WIDER))
    before = copier.rows()
    maintained(copier)
    assert copier.rows() == before
    assert len(snapshot(copier).files) == 2

    again = [(*old[:3], "back-filled") for old in before if old[2] == int(edge or 0)]
    again += rows
    assert copier.copy("append", orders(again, WIDER)).rows_added == 0
    assert copier.rows() == before


def test_only_the_owner_maintains(folder_copier: Copier) -> None:
    copier = folder_copier
    older = copier.new_run()
    rows = crowd(copier, "append")
    with pytest.raises(FencedError):
        maintain(copier.store, TABLE, older)
    copier.generation = 0
    with pytest.raises(FencedError):
        maintained(copier)
    copier.generation = 1
    assert copier.rows() == rows
    assert maintain(copier.store, "1/nowhere", older) == Maintained(EMPTY)


def test_a_commit_in_between_wins(folder_copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    copier = folder_copier
    rows = crowd(copier, "append")
    merge = maintenance.compact

    def overtaken(*arguments: Any) -> Any:
        merged = merge(*arguments)
        copier.copy("append", [(7, "faster", 999)])
        return merged

    monkeypatch.setattr(maintenance, "compact", overtaken)
    run = copier.new_run()
    with pytest.raises(StalePositionError):
        maintain(copier.store, TABLE, run)
    assert copier.rows() == rows + Counter([(7, "faster", 999)])


def test_a_table_that_is_replaced_as_a_whole_is_left_as_it_is(folder_copier: Copier) -> None:
    for number in range(CHECKPOINT_COMMITS):
        folder_copier.copy("full_refresh", [(number, "x", number)])
    assert maintained(folder_copier).checkpoint
    assert len(snapshot(folder_copier).files) == 1
    assert folder_copier.rows() == Counter([(CHECKPOINT_COMMITS - 1, "x", CHECKPOINT_COMMITS - 1)])


def test_checkpoints_keep_the_log_short_and_readers_right(folder_copier: Copier) -> None:
    copier = folder_copier
    for number in range(CHECKPOINT_COMMITS + 2):
        copier.copy("incremental", [(number, "old", number), (0, f"version {number}", number)][: 1 + (number > 0)])
    assert current_debt(copier).commits == CHECKPOINT_COMMITS + 2
    before, position = copier.rows(), copier.position()
    done = maintained(copier)
    assert done.checkpoint
    assert current_debt(copier).commits <= 1
    assert copier.rows() == as_duckdb_reads(copier) == before
    assert (copier.position().cursor, copier.position().mode) == (position.cursor, position.mode)
    assert not maintained(copier).checkpoint
    copier.copy("incremental", [(1, "after", 100)])
    assert copier.rows()[(1, "after", 100)] == 1
    assert current_debt(copier).removed_files >= CHECKPOINT_COMMITS
    sweep(copier.store, TABLE, set(), datetime.now(UTC) - timedelta(hours=1))
    assert copier.rows(position.version) == before


def test_a_sweep_cleans_what_is_old_of_the_log(folder_copier: Copier) -> None:
    copier = folder_copier
    for number in range(CHECKPOINT_COMMITS):
        copier.copy("append", [(number, "x", number)])
    maintained(copier)
    copier.copy("append", [(99, "new", 99)])
    log = Path(copier.store.url.removeprefix("file://"), TABLE, "_delta_log")
    long_ago = time.time() - timedelta(days=31).total_seconds()
    old = [path for path in log.glob("*.json") if int(path.stem) < CHECKPOINT_COMMITS]
    rows, position = copier.rows(), copier.position()
    for path in old:
        os.utime(path, (long_ago, long_ago))

    sweep(copier.store, TABLE, set(), datetime.now(UTC) - timedelta(hours=24))

    assert not [path for path in old if path.exists()]
    assert (copier.rows(), copier.position()) == (rows, position)
    copier.copy("append", [(99, "new", 99), (100, "newer", 100)])
    assert copier.rows() == rows + Counter([(100, "newer", 100)])


MAINTAIN_AND_DIE = """
import pickle, sys
from lake.failpoints import arm
from lake.maintenance import maintain
place, *arguments = pickle.load(sys.stdin.buffer)
arm(place)
maintain(*arguments)
"""


@pytest.mark.parametrize("place", ["before-commit", "after-commit", "compacted"])
@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_maintenance_that_is_killed_leaves_the_table_right(folder_copier: Copier, mode: str, place: str) -> None:
    copier = folder_copier
    rows = crowd(copier, mode, CHECKPOINT_COMMITS)
    run = copier.new_run()
    arguments = pickle.dumps((place, copier.store, TABLE, run))
    child = subprocess.run(
        [sys.executable, "-c", MAINTAIN_AND_DIE], input=arguments, cwd=REPOSITORY, timeout=60, check=False
    )
    assert child.returncode == -signal.SIGKILL
    assert copier.rows() == as_duckdb_reads(copier) == rows

    again = maintain(copier.store, TABLE, run)
    assert (again.files_before > 0) == (place == "before-commit")
    assert again.checkpoint
    assert not current_debt(copier).is_due
    sweep(copier.store, TABLE, set(), datetime.now(UTC) + timedelta(hours=1))
    assert copier.rows() == as_duckdb_reads(copier) == rows
    copier.copy(mode, [(7, "next", 5000)])
    assert copier.rows()[(7, "next", 5000)] == 1


def test_each_row_is_written_anew_a_few_times_and_files_stay_few() -> None:
    """Ten thousand commits of 20 kB, by their sizes alone."""
    layout = Layout(KEYED_FILE_BYTES, None)
    names, files, rewritten, most = (f"{number}" for number in range(10**6)), list[TableFile](), 0, 0
    for _ in range(10_000):
        files.append(TableFile(next(names), 20_000, None))
        merged = crowded(files, layout)
        if merged:
            gone = {file.path for file in merged}
            files = [file for file in files if file.path not in gone]
            files += [TableFile(next(names), size, None) for size in packed(merged, layout.file_bytes)]
            rewritten += sum(file.size_bytes for file in merged)
        most = max(most, len(files))
    assert sum(file.size_bytes for file in files) == 10_000 * 20_000
    assert most < 40
    assert rewritten < 4 * 10_000 * 20_000


def packed(files: list[TableFile], limit: int) -> Iterator[int]:
    total = 0
    for file in files:
        if total and total + file.size_bytes > limit:
            yield total
            total = 0
        total += file.size_bytes
    yield total
