"""What is swept, what never is, and what a killed writer leaves behind."""

import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lake.manifest import STAGING
from lake.position import EMPTY
from lake.storage import LakeStore
from lake.sweep import erase, sweep
from lake.table import OpenTable, open_table
from tests.lake.copier import TABLE, Copier, orders

REPOSITORY = Path(__file__).parents[2]
ROWS = [(1, "a", 10), (2, "b", 20)]


def later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def data_files(store: LakeStore) -> set[str]:
    return {one.path for one in store.list(TABLE) if one.path.endswith(".parquet")}


def test_what_no_commit_refers_to_is_swept(copier: Copier) -> None:
    copier.copy("incremental", ROWS)
    committed = data_files(copier.store)
    copier.plan("incremental", orders([(3, "staged by a dead run", 30)]))
    assert data_files(copier.store) > committed

    assert sweep(copier.store, TABLE, set(), datetime.now(UTC) - timedelta(hours=1)) == 0
    assert sweep(copier.store, TABLE, set(), later()) == 3
    assert data_files(copier.store) == committed
    assert list(copier.store.list(f"{TABLE}/{STAGING}")) == []
    assert copier.rows() == Counter(ROWS)
    assert sweep(copier.store, TABLE, set(), later()) == 0


def test_a_live_run_keeps_what_it_staged(copier: Copier) -> None:
    copier.copy("incremental", ROWS)
    run = copier.new_run("alive")
    planned = copier.plan("incremental", orders([(3, "c", 30)]), run)
    sweep(copier.store, TABLE, {"alive"}, later())
    planned.publish()
    assert copier.rows() == Counter([*ROWS, (3, "c", 30)])


def test_a_file_that_left_the_table_stays_as_long_as_a_reader_may_use_it(copier: Copier) -> None:
    first = copier.copy("full_refresh", ROWS)
    copier.copy("full_refresh", [(9, "new", 90)])
    sweep(copier.store, TABLE, set(), datetime.now(UTC) - timedelta(hours=24))
    assert copier.rows(first.position.version) == Counter(ROWS)

    sweep(copier.store, TABLE, set(), later())
    assert copier.rows() == Counter([(9, "new", 90)])
    assert len(data_files(copier.store)) == 1


def test_a_shadow_stays_until_it_is_swapped_in_and_its_files_after(copier: Copier) -> None:
    copier.copy("incremental", ROWS)
    copier.generation = 2
    run = copier.new_run()
    copier.copy("incremental", [(5, "shadow", 50)], run=run, rebuild=True)
    sweep(copier.store, TABLE, set(), later())
    copier.swap_in(run)
    sweep(copier.store, TABLE, set(), later())

    assert copier.rows() == Counter([(5, "shadow", 50)])
    assert list(copier.store.list(f"{TABLE}/g2/_delta_log")) == []
    copier.copy("incremental", [(6, "next", 60)])
    assert copier.rows() == Counter([(5, "shadow", 50), (6, "next", 60)])


def test_a_sweep_reads_checkpoints(copier: Copier) -> None:
    for number in range(3):
        copier.copy("append", [(number, "x", number)])
    DeltaTable(copier.store.uri(TABLE), storage_options=copier.store.storage_options()).create_checkpoint()
    copier.copy("append", [(7, "x", 7)])
    sweep(copier.store, TABLE, set(), later())
    assert copier.rows() == Counter([(0, "x", 0), (1, "x", 1), (2, "x", 2), (7, "x", 7)])


def test_a_checkpoint_that_is_written_meanwhile_does_not_stop_a_sweep(
    folder_copier: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    copier = folder_copier
    copier.copy("append", ROWS)
    copier.plan("append", orders([(3, "staged by a dead run", 30)]))
    opened = []

    def overtaken(store: LakeStore, root: str) -> OpenTable:
        table = open_table(store, root)
        if not opened:
            copier.copy("append", [(4, "faster", 40)])
            DeltaTable(store.uri(root)).create_checkpoint()
        opened.append(root)
        return table

    monkeypatch.setattr("lake.sweep.open_table", overtaken)
    assert sweep(copier.store, TABLE, set(), later()) == 3
    assert opened[:2] == [TABLE, TABLE]
    assert copier.rows() == Counter([*ROWS, (4, "faster", 40)])


def test_erasing_leaves_nothing_of_the_table_and_all_of_others(copier: Copier) -> None:
    copier.copy("incremental", ROWS)
    copier.table = f"{TABLE}_2"
    copier.copy("incremental", ROWS)
    erase(copier.store, TABLE)
    assert list(copier.store.list(TABLE)) == []
    assert open_table(copier.store, TABLE).position == EMPTY
    assert copier.rows() == Counter(ROWS)


def test_an_eraser_that_comes_back_late_leaves_what_was_loaded_since(
    copier: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It froze with its first deletion before it; meanwhile another erased, and a run loaded the table anew."""
    copier.copy("incremental", ROWS)
    delete, fresh = LakeStore.delete, [(number, "fresh", 1) for number in range(50)]
    late = True

    def meanwhile(store: LakeStore, paths: Iterable[str]) -> None:
        nonlocal late
        if late:
            late = False
            erase(copier.store, TABLE)
            # The store's own times may be of whole seconds; an activity is given to another after fifteen.
            time.sleep(1.1)
            copier.generation = 2
            copier.copy("incremental", fresh)
        delete(store, paths)

    monkeypatch.setattr(LakeStore, "delete", meanwhile)
    erase(copier.store, TABLE)
    assert copier.rows() == Counter(fresh)


def test_a_position_of_before_a_backup_was_put_back_is_not_believed(folder_copier: Copier, tmp_path: Path) -> None:
    copier = folder_copier
    copier.copy("append", [(1, "a", 1)])
    root = Path(copier.store.url.removeprefix("file://")) / TABLE
    shutil.copytree(root, tmp_path / "backup")
    cached = copier.copy("append", [(2, "lost", 2)]).position
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "backup", root)
    copier.fence = cached.fence + 1
    fresh = copier.copy("append", [(3, "after", 3)]).position
    assert (fresh.sequence, fresh.generation) == (cached.sequence, cached.generation)
    assert open_table(copier.store, TABLE, cached=cached).position == fresh


def test_an_erased_table_does_not_believe_a_cached_position(copier: Copier) -> None:
    cached = copier.copy("incremental", ROWS).position
    erase(copier.store, TABLE)
    copier.generation = 2
    fresh = copier.copy("incremental", [(1, "again", 1)]).position
    assert fresh.sequence == cached.sequence
    assert open_table(copier.store, TABLE, cached=cached).position == fresh


PUBLISH_AND_DIE = """
import pickle, sys
from lake.failpoints import arm
from lake.publish import publish
place, *arguments = pickle.load(sys.stdin.buffer)
arm(place)
publish(*arguments)
"""


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "append"])
@pytest.mark.parametrize("place", ["before-commit", "after-commit"])
def test_a_writer_killed_around_its_commit_loses_and_doubles_nothing(copier: Copier, mode: str, place: str) -> None:
    copier.copy(mode, ROWS)
    planned = copier.plan(mode, orders([(2, "b", 20), (2, "b2", 30)] if mode == "append" else [(2, "b2", 30)]))
    arguments = pickle.dumps((place, copier.store, planned.manifest, planned.plan))
    child = subprocess.run(
        [sys.executable, "-c", PUBLISH_AND_DIE], input=arguments, cwd=REPOSITORY, timeout=60, check=False
    )
    assert child.returncode == -signal.SIGKILL

    after = planned.publish()
    assert after.already_done == (place == "after-commit")
    expected = {
        "full_refresh": [(2, "b2", 30)],
        "incremental": [(1, "a", 10), (2, "b2", 30)],
        "append": [*ROWS, (2, "b2", 30)],
    }
    assert copier.rows() == Counter(expected[mode])
    sweep(copier.store, TABLE, set(), later())
    assert copier.rows() == Counter(expected[mode])
    assert planned.publish().already_done
