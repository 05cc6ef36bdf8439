"""The history of a table: a version for each change, each with its end, whatever the batches and whatever is killed."""

import pickle
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from lake.marks import Op
from lake.publish import own_commit, publish
from lake.storage import LakeStore
from lake.table import open_table
from tests.lake.follower import (
    BEGUN,
    TABLE,
    UNCHANGED,
    Change,
    Follower,
    committed,
    delete,
    insert,
    move,
    transaction,
    truncate,
    update,
)
from tests.lake.test_fold import REPOSITORY
from tests.lake.test_fold_model import Source

MARKS = ["_sync_lsn", "_sync_ordinal", "_sync_op", "_sync_valid_from", "_sync_valid_to"]
Version = dict[str, Any]


@pytest.fixture
def follower(folder_store: LakeStore) -> Follower:
    made = Follower(folder_store, history=True)
    made.load([{"id": 1, "name": "a", "body": "long a"}, {"id": 2, "name": "b", "body": "long b"}])
    return made


def versions(follower: Follower) -> list[tuple[Any, ...]]:
    """In the order of the log: key, values, what made it and until when it was valid."""
    frame = follower.read().sort("_sync_lsn", "_sync_ordinal", "id")
    return frame.select("id", "name", "body", "_sync_op", "_sync_lsn", "_sync_valid_to").rows()


def test_each_change_is_a_version_that_ends_with_the_next(follower: Follower) -> None:
    follower.follow(
        *transaction(10, insert(id=3, name="c", body="long c"), update(id=1, name="A", body=UNCHANGED)),
        *transaction(20, update(id=1, name="AA", body=UNCHANGED), delete(id=2)),
    )
    follower.follow(*transaction(30, delete(id=1)))
    assert versions(follower) == [
        (1, "a", "long a", "insert", 0, committed(10)),
        (2, "b", "long b", "insert", 0, committed(20)),
        (3, "c", "long c", "insert", 10, None),
        (1, "A", "long a", "update", 10, committed(20)),
        (1, "AA", "long a", "update", 20, committed(30)),
        (2, None, None, "delete", 20, committed(20)),
        (1, None, None, "delete", 30, committed(30)),
    ]


def test_a_truncation_ends_every_version(follower: Follower) -> None:
    follower.follow(
        *transaction(10, insert(id=3, name="c", body="long c")),
        *transaction(20, truncate(), insert(id=1, name="new", body="x")),
    )
    assert versions(follower) == [
        (1, "a", "long a", "insert", 0, committed(20)),
        (2, "b", "long b", "insert", 0, committed(20)),
        (3, "c", "long c", "insert", 10, committed(20)),
        (None, None, None, "truncate", 20, committed(20)),
        (1, "new", "x", "insert", 20, None),
    ]


def test_keys_that_are_swapped_at_once(follower: Follower) -> None:
    swapped = (
        *move({"id": 1}, id=2, name="a", body=UNCHANGED),
        *move({"id": 2}, id=1, name="b", body=UNCHANGED),
    )
    follower.follow(*transaction(10, *swapped))
    current = [row[:3] for row in versions(follower) if row[-1] is None]
    assert current == [(2, "a", "long a"), (1, "b", "long b")]


def test_a_replay_is_known_by_its_position(follower: Follower) -> None:
    follower.capture(transaction(10, update(id=1, name="A", body=UNCHANGED)))
    plan = follower.plan()
    staged = follower.fold(plan)
    publish(follower.store, staged, plan)
    before = versions(follower)
    assert publish(follower.store, staged, plan).already_done
    assert versions(follower) == before


RECORD_AND_DIE = """
import pickle, sys
from lake.failpoints import arm
from lake.history import record
from lake.publish import publish
place, store, segments, folding, plan = pickle.load(sys.stdin.buffer)
arm(place)
publish(store, record(store, segments, folding), plan)
"""


@pytest.mark.parametrize("place", ["folded", "before-commit", "after-commit"])
def test_versions_are_there_once_whatever_is_killed(store: LakeStore, place: str) -> None:
    follower = Follower(store, history=True)
    follower.load([{"id": 1, "name": "a", "body": "long a"}])
    follower.capture(transaction(10, update(id=1, name="A", body=UNCHANGED)))
    plan = follower.plan()
    segments, folding = follower.order(plan)
    arguments = pickle.dumps((place, store, segments, replace(folding, progress=print), plan))
    child = subprocess.run(
        [sys.executable, "-c", RECORD_AND_DIE], input=arguments, cwd=REPOSITORY, timeout=60, check=False
    )
    assert child.returncode == -signal.SIGKILL
    if own_commit(open_table(store, TABLE), plan.run, plan.batch) is None:
        publish(store, follower.fold(plan), plan)
    assert versions(follower) == [
        (1, "a", "long a", "insert", 0, committed(10)),
        (1, "A", "long a", "update", 10, None),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_any_changes_in_any_batches(folder_store: LakeStore, seed: int) -> None:
    chance = Random(seed)  # noqa: S311
    source, follower = Source(chance, deferred=False), Follower(folder_store, history=True)
    schema = pa.schema(list(source.columns.items()))
    for _ in range(4):
        source.insert()
    first = [row for row, _ in source.rows.values()]
    follower.load(first, schema)
    for _ in range(5):
        begun = len(source.log)
        for _ in range(chance.randint(1, 5)):
            source.transact()
        follower.capture([change for one in source.log[begun:] for change in one], source.position)
        follower.apply()
        expected = replayed(first, (change for one in source.log for change in one))
        names = [*schema.names, *MARKS]
        found = follower.read().select(names).to_dicts()
        assert in_order(found) == in_order([{name: row.get(name) for name in names} for row in expected])


def in_order(rows: list[Version]) -> list[Version]:
    return sorted(rows, key=lambda row: (row["_sync_lsn"], row["_sync_ordinal"], row["id"] or 0))


def replayed(first: list[Version], changes: Iterable[Change]) -> list[Version]:
    """One change after the other."""
    told = {"_sync_lsn": 0, "_sync_ordinal": 0, "_sync_op": "insert", "_sync_valid_from": BEGUN, "_sync_valid_to": None}
    history = [{**row, **told} for row in first]
    current = {row["id"]: row for row in history}
    gone: Version = {}
    for change in changes:
        at, key = committed(change.position), change.row.get("id")
        ending = list(current) if change.op == Op.TRUNCATE else [key]
        ended = [current.pop(each) for each in ending if each in current]
        for row in ended:
            row["_sync_valid_to"] = at
        before = gone if change.op == Op.MOVE else ended[0] if ended else {}
        version = {name: before[name] if value is UNCHANGED else value for name, value in change.row.items()}
        names = {Op.MOVE: "insert"}
        version |= {
            "_sync_lsn": change.position,
            "_sync_ordinal": change.ordinal,
            "_sync_op": names.get(change.op, change.op.name.lower()),
            "_sync_valid_from": at,
            "_sync_valid_to": at if change.op in (Op.DELETE, Op.TRUNCATE) else None,
        }
        history.append(version)
        if change.op == Op.DELETE:
            gone = ended[0]
        elif change.op != Op.TRUNCATE:
            current[key] = version
    return history
