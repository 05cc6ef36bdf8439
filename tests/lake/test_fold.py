"""Changes folded into a table: one scenario for each kind of change."""

import pytest

from lake.storage import LakeStore
from tests.lake.follower import UNCHANGED, Follower, delete, insert, move, transaction, truncate, update


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
