"""Changes folded into a table: one scenario for each kind of change."""

import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from connectors.capture import MARKS as CAPTURE_MARKS
from lake.errors import DuplicateKeyError, MissingRowError, StalePositionError
from lake.fold import fold
from lake.maintenance import maintain
from lake.manifest import RunRef
from lake.marks import Op
from lake.narrow import narrow
from lake.publish import own_commit, publish
from lake.storage import LakeStore
from lake.table import open_table
from tests.lake.follower import (
    ITEMS,
    TABLE,
    UNCHANGED,
    Follower,
    committed,
    delete,
    insert,
    move,
    transaction,
    truncate,
    update,
)

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def follower(folder_store: LakeStore) -> Follower:
    made = Follower(folder_store)
    made.load([{"id": 1, "name": "a", "body": "long a"}, {"id": 2, "name": "b", "body": "long b"}])
    return made


def test_inserts_updates_and_deletes(follower: Follower) -> None:
    done = follower.follow(
        *transaction(10, insert(id=3, name="c", body="long c"), update(id=1, name="A", body="longer")),
        *transaction(20, delete(id=2)),
    )
    assert follower.rows("_sync_lsn") == [(1, "A", "longer", 10), (3, "c", "long c", 10)]
    assert (done.rows_added, done.rows_changed, done.rows_deleted) == (1, 1, 1)


def test_the_last_change_of_a_key_wins(follower: Follower) -> None:
    follower.follow(
        *transaction(10, insert(id=3, name="c", body="1"), update(id=3, name="c", body="2"), delete(id=3)),
        *transaction(20, insert(id=3, name="c", body="3"), delete(id=1), insert(id=1, name="again", body="")),
    )
    assert follower.rows() == [(1, "again", ""), (2, "b", "long b"), (3, "c", "3")]


def test_a_value_that_was_not_sent_is_the_stored_one(follower: Follower) -> None:
    follower.follow(*transaction(10, update(id=2, name="B", body=UNCHANGED)))
    assert follower.rows() == [(1, "a", "long a"), (2, "B", "long b")]


def test_a_value_that_was_not_sent_is_that_of_an_earlier_change(follower: Follower) -> None:
    follower.follow(
        *transaction(10, update(id=2, name="B", body="new")),
        *transaction(20, update(id=2, name="BB", body=UNCHANGED), insert(id=3, name="c", body="long c")),
        *transaction(30, update(id=3, name="C", body=UNCHANGED), update(id=2, name="BBB", body=UNCHANGED)),
    )
    assert follower.rows() == [(1, "a", "long a"), (2, "BBB", "new"), (3, "C", "long c")]


def test_a_value_that_was_not_sent_follows_its_row_to_another_key(follower: Follower) -> None:
    follower.follow(
        *transaction(10, *move({"id": 1}, id=7, name="a", body=UNCHANGED)),
        *transaction(20, update(id=7, name="A", body=UNCHANGED), *move({"id": 7}, id=8, name="A", body=UNCHANGED)),
    )
    assert follower.rows() == [(2, "b", "long b"), (8, "A", "long a")]


def test_keys_are_swapped_by_way_of_a_third(follower: Follower) -> None:
    follower.follow(
        *transaction(
            10,
            *move({"id": 1}, id=-1, name="a", body=UNCHANGED),
            *move({"id": 2}, id=1, name="b", body=UNCHANGED),
            *move({"id": -1}, id=2, name="a", body=UNCHANGED),
        )
    )
    assert follower.rows() == [(1, "b", "long b"), (2, "a", "long a")]


def test_keys_are_swapped_where_uniqueness_is_deferred(follower: Follower) -> None:
    follower.follow(
        *transaction(
            10,
            *move({"id": 1}, id=2, name="a", body=UNCHANGED),
            *move({"id": 2}, id=1, name="b", body=UNCHANGED),
        )
    )
    assert follower.rows() == [(1, "b", "long b"), (2, "a", "long a")]


def test_keys_move_up_where_uniqueness_is_deferred(follower: Follower) -> None:
    follower.follow(
        *transaction(
            10,
            *move({"id": 1}, id=2, name="a", body=UNCHANGED),
            *move({"id": 2}, id=3, name="b", body=UNCHANGED),
        )
    )
    assert follower.rows() == [(2, "a", "long a"), (3, "b", "long b")]


def test_nothing_before_a_truncation_counts(follower: Follower) -> None:
    done = follower.follow(
        *transaction(10, insert(id=3, name="c", body="long c")),
        *transaction(20, truncate(), insert(id=2, name="new", body="x")),
        *transaction(30, update(id=2, name="newer", body=UNCHANGED)),
    )
    assert follower.rows() == [(2, "newer", "x")]
    assert (done.rows_added, done.rows_deleted) == (1, 2)


def test_a_truncation_alone_empties_the_table(follower: Follower) -> None:
    follower.follow(*transaction(10, truncate()))
    assert follower.rows() == []


def test_columns_come_go_and_widen_while_changes_stream(follower: Follower) -> None:
    added = pa.schema([*ITEMS, ("size", pa.int32())])
    widened = pa.schema([("id", pa.int64()), ("body", pa.string()), ("size", pa.int64())])
    done = follower.follow(
        *transaction(10, insert(id=3, name="c", body="long c")),
        *transaction(20, insert(id=4, name="d", body="long d", size=4), schema=added),
        *transaction(30, update(id=3, body=UNCHANGED, size=2**40), schema=widened),
        *transaction(40, update(id=1, body=UNCHANGED, size=1), schema=widened),
    )
    assert follower.rows() == [
        (1, None, "long a", 1),
        (2, "b", "long b", None),
        (3, None, "long c", 2**40),
        (4, "d", "long d", 4),
    ]
    assert done.columns_changed == ("size is new, long",)
    narrower = pa.schema([("id", pa.int64()), ("body", pa.string()), ("size", pa.int16())])
    follower.follow(
        *transaction(50, insert(id=5, body="e", size=5), update(id=3, body=UNCHANGED, size=3), schema=narrower)
    )
    assert follower.rows()[2:] == [(3, None, "long c", 3), (4, "d", "long d", 4), (5, None, "e", 5)]


def test_names_that_the_lake_cannot_hold_are_stored_under_others(folder_store: LakeStore) -> None:
    follower = Follower(folder_store, key=("the id",))
    names = pa.schema([("the id", pa.int64()), ("_sync_op", pa.string()), ("the_id", pa.string())])
    follower.load([{"the id": 1, "_sync_op": "x", "the_id": "y"}], names)
    follower.follow(
        *transaction(10, update(**{"the id": 1, "_sync_op": UNCHANGED, "the_id": "z"}), schema=names),
        *transaction(20, insert(**{"the id": 2, "_sync_op": "op", "the_id": "t"}), schema=names),
    )
    frame = follower.read().sort("the_id_2")
    assert frame.select("the_id_2", "source_sync_op", "the_id").rows() == [(1, "x", "z"), (2, "op", "t")]


def test_only_chosen_columns_are_kept_and_the_key(follower: Follower) -> None:
    follower.columns = ("body",)
    follower.follow(*transaction(10, insert(id=3, name="c", body="long c"), update(id=1, name="A", body=UNCHANGED)))
    assert follower.rows() == [(1, None, "long a"), (2, "b", "long b"), (3, None, "long c")]


KEYS = {
    "composite": [{"k": 1, "l": "x"}, {"k": 1, "l": "y"}, {"k": 2, "l": "x"}],
    "text": [{"k": "a"}, {"k": "A"}, {"k": "ä\x00"}],
    "decimal": [{"k": Decimal("1.50")}, {"k": Decimal("-1.50")}, {"k": Decimal("1.51")}],
    "moment": [{"k": committed(1)}, {"k": committed(2)}, {"k": committed(0)}],
    "local time": [{"k": committed(n).replace(tzinfo=None)} for n in range(3)],
    "date": [{"k": date(2026, 1, n)} for n in (1, 2, 3)],
    "binary": [{"k": b"\x00"}, {"k": b"\x00\x00"}, {"k": b""}],
    "boolean": [{"k": True}, {"k": False}],
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_keys_of_each_type(folder_store: LakeStore, keys: list[dict[str, Any]]) -> None:
    kinds = pa.Table.from_pylist(keys).schema
    if pa.types.is_decimal(kinds.types[0]):
        kinds = pa.schema([("k", pa.decimal128(10, 2))])
    schema = pa.schema([*kinds, ("body", pa.string()), ("other", pa.int64())])
    follower = Follower(folder_store, key=tuple(kinds.names))
    first, second, *rest = keys
    follower.load([{**first, "body": "1", "other": 1}, {**second, "body": "2", "other": 1}], schema)
    follower.follow(
        *transaction(10, *(insert(**key, body="new", other=2) for key in rest), delete(**second), schema=schema),
        *transaction(20, *(update(**key, body=UNCHANGED, other=3) for key in (first, *rest)), schema=schema),
    )
    expected = [(*first.values(), "1", 3), *((*key.values(), "new", 3) for key in rest)]
    assert sorted(follower.rows()) == sorted(expected)


def test_a_change_without_a_key_is_refused(follower: Follower) -> None:
    follower.capture(transaction(10, insert(id=3, name="c"), insert(id=None, name="d")))
    with pytest.raises(DuplicateKeyError, match="id=null"):
        follower.apply()


def test_a_value_that_is_nowhere_is_refused(follower: Follower) -> None:
    follower.capture(transaction(10, update(id=9, name="i", body=UNCHANGED)))
    with pytest.raises(MissingRowError, match="read anew"):
        follower.apply()


def test_a_row_of_which_a_value_is_nowhere_is_awaited_while_the_table_is_read(folder_store: LakeStore) -> None:
    """Row 1 was read as row 2, whose key it had by then."""
    follower = Follower(folder_store, rebuild=True)
    follower.load([{"id": 2, "name": "a", "body": "long a"}], mark=replace(follower.start(), horizon=15))
    follower.capture(transaction(10, update(id=1, name="a", body=UNCHANGED)))
    assert not follower.apply(overlap=True).position.loaded
    assert follower.read().filter(pl.col("id") == 1)["_sync_lsn"].to_list() == [-10]
    follower.capture(transaction(20, *move({"id": 1}, id=2, name="b", body=UNCHANGED)))
    assert follower.apply(overlap=True).position.loaded
    assert follower.rows("_sync_lsn") == [(2, "b", "long a", 20)]


def test_a_row_that_was_never_read_is_found_out(folder_store: LakeStore) -> None:
    """Its part of the table was read when it had left it, the other before it came there."""
    follower = Follower(folder_store, rebuild=True)
    follower.load([{"id": 5, "name": "e", "body": "long e"}], mark=replace(follower.start(), horizon=15))
    follower.capture(transaction(10, *move({"id": 1}, id=2, name="a", body=UNCHANGED)))
    follower.apply(overlap=True)
    follower.capture([], position=20)
    with pytest.raises(MissingRowError, match="read anew"):
        follower.apply(overlap=True)


def test_a_first_load_is_over_where_the_log_has_passed_the_read(folder_store: LakeStore) -> None:
    follower = Follower(folder_store)
    assert not follower.load([{"id": 1, "name": "a", "body": "b"}]).position.loaded
    follower.capture([], position=10)
    plan = follower.plan()
    staged = follower.fold(plan, overlap=True)
    assert staged.log is not None
    done = publish(folder_store, replace(staged, log=replace(staged.log, horizon=25)), plan)
    assert (done.position.loaded, done.nothing_new) == (False, False)
    for end, loaded in ((20, False), (30, True)):
        follower.capture([], position=end)
        assert follower.apply(overlap=True).position.loaded is loaded


def test_a_log_without_changes_is_news_only_where_that_is_asked_for(follower: Follower) -> None:
    follower.capture([], position=10)
    follower.apply()
    follower.capture(transaction(20, update(id=1, name="A", body="x")))
    follower.apply()
    plan = follower.plan()
    publish(follower.store, replace(follower.fold(plan), log=replace(follower.mark(), horizon=1)), plan)
    follower.capture([], position=30)
    assert follower.apply().nothing_new
    assert follower.mark().position == 20
    assert not follower.apply(keep_alive=True).nothing_new
    assert follower.mark().position == 30


def test_deleted_rows_stay_where_that_is_wanted(folder_store: LakeStore) -> None:
    follower = Follower(folder_store, soft_deletes=True)
    follower.load([{"id": number, "name": f"n{number}", "body": f"b{number}"} for number in (1, 2, 3)])
    follower.follow(
        *transaction(10, delete(id=1), update(id=2, name="N2", body=UNCHANGED)),
        *transaction(20, delete(id=2), insert(id=4, name="n4", body="b4")),
        *transaction(30, delete(id=4)),
    )
    marks = ("_sync_lsn", "_sync_deleted", "_sync_deleted_at")
    assert follower.rows(*marks) == [
        (1, "n1", "b1", 10, True, committed(10)),
        (2, "N2", "b2", 20, True, committed(20)),
        (3, "n3", "b3", 0, False, None),
        (4, "n4", "b4", 30, True, committed(30)),
    ]
    follower.follow(*transaction(40, insert(id=1, name="back", body="b"), truncate(), insert(id=3, name="x", body="y")))
    assert follower.rows(*marks) == [
        (1, "back", "b", 40, True, committed(40)),
        (2, "N2", "b2", 20, True, committed(20)),
        (3, "x", "y", 40, False, None),
        (4, "n4", "b4", 30, True, committed(30)),
    ]


def test_very_many_changes_of_one_row_without_its_value(folder_store: LakeStore) -> None:
    follower = Follower(folder_store)
    follower.load([{"id": 1, "name": "a", "body": "long a"}])
    count = 200_000
    rows = pa.RecordBatch.from_pydict(
        {"id": [i // 2 + 1 + i % 2 for i in range(2 * count)], "name": ["n"] * 2 * count, "body": [None] * 2 * count},
        ITEMS,
    )
    marks = pa.RecordBatch.from_arrays(
        [
            pa.array([10] * 2 * count),
            pa.array(range(2 * count)),
            pa.array([Op.DELETE, Op.MOVE] * count, pa.int8()),
            pa.array([committed(10)] * 2 * count, pa.timestamp("us", "UTC")),
            pa.array([None, b"\x04"] * count, pa.binary()),
        ],
        schema=CAPTURE_MARKS,
    )
    writer = follower.log.writer(1, 1)
    writer.write("items", rows, marks)
    follower.log.append(writer.finish(10, follower.members, committed(10)))
    follower.apply()
    assert follower.rows() == [(count + 1, "n", "long a")]


def test_the_place_in_the_log_outlives_maintenance_and_narrowing(follower: Follower) -> None:
    for number in range(3, 16):
        follower.follow(*transaction(10 * number, insert(id=number, name=f"n{number}", body="b")))
    before, mark = follower.rows("_sync_lsn"), follower.mark()
    follower.fence += 1
    run = RunRef("upkeep", follower.fence, 1)
    assert maintain(follower.store, TABLE, run).files_before > 1
    assert (follower.rows("_sync_lsn"), follower.mark()) == (before, mark)
    base = open_table(follower.store, TABLE).position
    narrow(follower.store, TABLE, run, ("id", "name"), base)
    assert (follower.rows("_sync_lsn"), follower.mark()) == ([(i, n, lsn) for i, n, _, lsn in before], mark)


FOLD_AND_DIE = """
import pickle, sys
from lake.failpoints import arm
from lake.fold import fold
from lake.publish import publish
place, store, segments, folding, plan = pickle.load(sys.stdin.buffer)
arm(place)
publish(store, fold(store, segments, folding), plan)
"""


@pytest.mark.parametrize("place", ["folded", "before-commit", "after-commit"])
def test_changes_are_applied_once_whatever_is_killed(store: LakeStore, place: str) -> None:
    follower = Follower(store)
    follower.load([{"id": 1, "name": "a", "body": "long a"}, {"id": 2, "name": "b", "body": "long b"}])
    follower.capture(transaction(10, *move({"id": 1}, id=3, name="c", body=UNCHANGED), delete(id=2)))
    plan = follower.plan()
    segments, folding = follower.order(plan)
    arguments = pickle.dumps((place, store, segments, replace(folding, progress=print), plan))
    child = subprocess.run(
        [sys.executable, "-c", FOLD_AND_DIE], input=arguments, cwd=REPOSITORY, timeout=60, check=False
    )
    assert child.returncode == -signal.SIGKILL
    done = own_commit(open_table(store, TABLE), plan.run, plan.batch)
    assert (done is not None) == (place == "after-commit")
    if done is None:
        done = publish(store, fold(store, segments, folding), plan)
    assert (done.rows_added, done.rows_deleted) == (1, 2)
    assert follower.rows() == [(3, "c", "long a")]
    with pytest.raises(StalePositionError):
        fold(store, segments, folding)


def test_rows_that_were_deleted_before_they_were_read_leave_others_alone(folder_store: LakeStore) -> None:
    follower = Follower(folder_store, soft_deletes=True, rebuild=True)
    follower.load([{"id": 9, "name": "i", "body": "long i"}], mark=replace(follower.start(), horizon=10))
    changes = (update(id=1, name="a", body=UNCHANGED), delete(id=1), insert(id=2, name="b", body="long b"))
    follower.capture(transaction(10, *changes, update(id=9, name="I", body=UNCHANGED)))
    assert follower.apply(overlap=True).position.loaded
    assert follower.rows("_sync_deleted") == [(2, "b", "long b", False), (9, "I", "long i", False)]


def test_a_deleted_row_that_stays_is_not_the_one_that_comes_to_its_key(folder_store: LakeStore) -> None:
    follower = Follower(folder_store, soft_deletes=True, rebuild=True)
    rows = [{"id": 1, "name": "a", "body": "long a"}, {"id": 2, "name": "b", "body": "long b"}]
    follower.load(rows, mark=replace(follower.start(), horizon=20))
    follower.capture(transaction(10, delete(id=2)))
    follower.apply(overlap=True)
    follower.capture(transaction(20, *move({"id": 1}, id=2, name="c", body=UNCHANGED)))
    assert follower.apply(overlap=True).position.loaded
    assert follower.rows("_sync_deleted") == [(1, "a", "long a", True), (2, "c", "long a", False)]
