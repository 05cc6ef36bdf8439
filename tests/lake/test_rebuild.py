"""A rebuild grows beside the table and takes its place in one commit."""

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lake.errors import FencedError, LakeError
from lake.manifest import RunRef
from lake.position import EMPTY
from lake.publish import fence
from lake.table import open_table
from tests.lake.copier import TABLE, Copier, orders

OLD = [(1, "old", 10), (2, "old", 20)]
NEW = [(2, "new", 20), (3, "new", 30)]


def rebuild(copier: Copier, run: RunRef) -> None:
    copier.copy("incremental", NEW[:1], run=run, batch=0, last=False, rebuild=True)
    copier.copy("incremental", NEW, run=run, batch=1, rebuild=True)


def test_readers_keep_the_old_rows_until_the_swap(copier: Copier) -> None:
    copier.copy("incremental", OLD)
    copier.generation = 2
    run = copier.new_run()
    rebuild(copier, run)
    assert copier.rows() == Counter(OLD)
    options = copier.store.storage_options()
    old_reader = DeltaTable(copier.store.uri(TABLE), storage_options=options).to_pyarrow_dataset()

    swapped = copier.swap_in(run)

    assert copier.rows() == Counter(NEW)
    old_rows = old_reader.to_table(columns=["id", "name", "at"]).to_pylist()
    assert Counter(tuple(row.values()) for row in old_rows) == Counter(OLD)
    position = swapped.position
    assert (position.sequence, position.generation, position.cursor, position.loaded) == (2, 2, "30", True)


def test_a_swap_may_be_repeated_and_the_table_goes_on_from_it(copier: Copier) -> None:
    copier.copy("incremental", OLD)
    copier.generation = 2
    run = copier.new_run()
    rebuild(copier, run)
    swapped = copier.swap_in(run)
    again = copier.swap_in(run)
    assert again.already_done
    assert again.position == swapped.position

    copier.copy("incremental", [(3, "newer", 31), (4, "next", 40)])
    assert copier.rows() == Counter([(2, "new", 20), (3, "newer", 31), (4, "next", 40)])


def test_a_rebuild_is_resumed_by_a_later_run(copier: Copier) -> None:
    copier.copy("append", OLD)
    copier.generation = 2
    copier.copy("append", NEW[:1], last=False, rebuild=True)
    later = copier.new_run()
    copier.copy("append", NEW, run=later, rebuild=True)
    copier.swap_in(later)
    assert copier.rows() == Counter(NEW)


def test_an_unfinished_rebuild_is_not_swapped_in(copier: Copier) -> None:
    copier.copy("incremental", OLD)
    copier.generation = 2
    run = copier.new_run()
    copier.copy("incremental", NEW, run=run, last=False, rebuild=True)
    with pytest.raises(LakeError, match="not complete"):
        copier.swap_in(run)
    assert copier.rows() == Counter(OLD)


def test_a_writer_of_the_old_generation_is_fenced_after_the_swap(copier: Copier) -> None:
    copier.copy("incremental", OLD)
    zombie = copier.plan("incremental", orders([(9, "zombie", 90)]))
    copier.generation = 2
    run = copier.new_run()
    rebuild(copier, run)
    overtaken = RunRef("overtaken", run.fence - 1, 2)
    with pytest.raises(FencedError):
        copier.swap_in(overtaken)
    copier.swap_in(run)
    with pytest.raises(FencedError):
        zombie.publish()
    assert copier.rows() == Counter(NEW)


def test_a_rebuild_may_change_the_columns(copier: Copier) -> None:
    copier.copy("incremental", OLD)
    copier.generation = 2
    run = copier.new_run()
    other = orders(NEW).rename_columns(["id", "title", "at"])
    copier.copy("incremental", other, run=run, rebuild=True)
    copier.swap_in(run)
    assert copier.read().columns == ["id", "title", "at"]
    assert copier.rows() == Counter(NEW)


def test_a_table_that_never_was_can_be_swapped_in(copier: Copier) -> None:
    run = copier.new_run()
    copier.copy("incremental", NEW, run=run, rebuild=True)
    assert open_table(copier.store, TABLE).position == EMPTY
    copier.swap_in(run)
    assert copier.rows() == Counter(NEW)


@pytest.mark.parametrize("keyed", [True, False])
def test_a_full_refresh_in_batches_is_shown_as_a_whole(copier: Copier, keyed: bool) -> None:
    copier.copy("full_refresh", OLD)
    copier.generation = 2
    run = copier.new_run()
    batches = [[(1, "a", 10), (2, "b", 20)], [(2, "B", 20), (3, None, None)], []]
    for number, rows in enumerate(batches):
        planned = copier.plan("full_refresh", orders(rows), run, batch=number, last=not rows, rebuild=True, keyed=keyed)
        done = planned.publish()
        assert replace(planned.publish(), already_done=done.already_done) == done
        assert copier.rows() == Counter(OLD)
    copier.swap_in(run)
    again = [(2, "b", 20)] if not keyed else []
    assert copier.rows() == Counter([(1, "a", 10), (2, "B", 20), (3, None, None), *again])
    copier.copy("full_refresh", NEW)
    assert copier.rows() == Counter(NEW)


def test_a_later_batch_of_a_full_refresh_may_widen_a_column(copier: Copier) -> None:
    copier.copy("full_refresh", OLD)
    copier.generation = 2
    run = copier.new_run()
    texts = pa.schema([("id", pa.string()), ("name", pa.string()), ("at", pa.int64()), ("more", pa.int64())])
    copier.plan("full_refresh", orders([(1, "a", 10)]), run, last=False, rebuild=True).publish()
    rows = orders([("x", "b", 20, 1)], texts)
    copier.plan("full_refresh", rows, run, batch=1, rebuild=True).publish()
    copier.swap_in(run)
    assert copier.rows() == Counter([("1", "a", 10, None), ("x", "b", 20, 1)])


def test_a_fence_shuts_earlier_runs_out_before_there_is_anything_else_to_commit(copier: Copier) -> None:
    copier.copy("incremental", OLD)
    zombie = copier.plan("incremental", orders([(9, "zombie", 90)]))
    before = open_table(copier.store, TABLE).position
    run = copier.new_run()
    for _ in range(2):
        fence(copier.store, TABLE, run)
    after = open_table(copier.store, TABLE).position
    assert after == replace(before, sequence=before.sequence + 1, fence=run.fence, version=before.version + 1)
    with pytest.raises(FencedError):
        zombie.publish()
    with pytest.raises(FencedError):
        fence(copier.store, TABLE, RunRef("overtaken", run.fence - 1, 1))
    assert copier.rows() == Counter(OLD)
    copier.copy("incremental", [(3, "next", 30)], run=run)
    assert copier.rows() == Counter([*OLD, (3, "next", 30)])
