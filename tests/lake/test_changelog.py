"""The change log: what two writers, a lost answer or a crash make of it, and what a reader finds while it is pruned."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from lake import changelog, entry_writer
from lake.changelog import ChangeLog, Entry
from lake.errors import LakeError, StalePositionError
from lake.storage import LakeStore
from tests.lake.follower import ITEMS, Change, batches, delete, insert, transaction, truncate

LATER = datetime.now(UTC) + timedelta(days=30)


@pytest.fixture
def log(store: LakeStore) -> ChangeLog:
    return ChangeLog(store, "1/_changes/abc")


def entry_of(log: ChangeLog, sequence: int, changes: list[Change] | None = None, position: int | None = None) -> Entry:
    """Written, not yet appended."""
    writer = log.writer(1, sequence)
    for rows, marks in batches(changes or []):
        writer.write("items", rows, marks)
    return writer.finish(position or sequence * 10, "m", datetime.now(UTC))


def grow(log: ChangeLog, upto: int) -> None:
    for sequence in range(log.head(1) + 1, upto + 1):
        log.append(entry_of(log, sequence, transaction(sequence * 10, insert(id=sequence, name="n", body="b"))))


def files(store: LakeStore) -> set[str]:
    return {stored.path for stored in store.list("1/_changes/abc/1/segments")}


def test_an_entry_is_read_as_it_was_written(log: ChangeLog, store: LakeStore) -> None:
    wider = ITEMS.append(pa.field("_sync_at", pa.int32()))
    changes = [
        *transaction(7, insert(id=1, name="a", body="x"), delete(id=2)),
        *transaction(9, truncate(), insert(id=3, name="b", body="y", _sync_at=5), schema=wider),
    ]
    written = entry_of(log, 1, changes, position=12)
    log.append(written)
    found = log.entry(1, 1)
    assert found == written
    first, second = found.segments["items"]
    assert (first.rows, first.first, first.last, first.has_deletes, first.has_truncate) == (
        2,
        (7, 0),
        (7, 1),
        True,
        False,
    )
    assert (second.has_truncate, second.has_inserts, second.has_unchanged) == (True, True, False)
    assert second.columns.names["_sync_at"] == "source_sync_at"
    with pq.ParquetFile(store.filesystem.open_input_file(second.files[0].path)) as file:
        assert file.read()["source_sync_at"].to_pylist() == [None, 5]


def test_the_newest_entry_is_found_by_any_hint(log: ChangeLog) -> None:
    assert log.head(1) == 0
    grow(log, 3)
    assert [log.head(1, hint) for hint in range(4)] == [3, 3, 3, 3]
    assert log.head(2) == 0
    assert log.entry(1, 4) is None


def test_the_newest_of_thousands_is_found(folder_store: LakeStore) -> None:
    log = ChangeLog(folder_store, "1/_changes/abc")
    content = entry_of(log, 1).as_bytes()
    for sequence in range(1, 2502):
        folder_store.create(f"1/_changes/abc/1/log/{sequence:012d}.json", content)
    assert [log.head(1, hint) for hint in (0, 1700, 2501)] == [2501, 2501, 2501]


def test_of_two_writers_one_has_each_number(log: ChangeLog) -> None:
    def write(_: int) -> list[int]:
        mine = []
        while (head := log.head(1)) < 8:
            try:
                log.append(entry_of(log, head + 1))
                mine.append(head + 1)
            except StalePositionError:
                continue
        return mine

    with ThreadPoolExecutor(3) as pool:
        written = [sequence for mine in pool.map(write, range(3)) for sequence in mine]
    assert sorted(written) == list(range(1, 9))


def test_a_writer_knows_its_own_entry_again(log: ChangeLog) -> None:
    entry = entry_of(log, 1)
    log.append(entry)
    log.append(entry)
    with pytest.raises(StalePositionError):
        log.append(replace(entry, writer="another"))


def test_a_put_whose_answer_was_lost_is_its_own(
    log: ChangeLog, store: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = store.objects.create
    answers: list[bool] = []

    def lose_the_first_answer(path: str, content: bytes) -> bool:
        answers.append(created(path, content))
        return answers[-1] if len(answers) > 1 else created(path, content)

    monkeypatch.setattr(store.objects, "create", lose_the_first_answer)
    log.append(entry_of(log, 1))
    assert answers == [True]
    assert log.head(1) == 1


def test_a_writer_that_was_away_does_not_write_a_number_again(log: ChangeLog) -> None:
    late = entry_of(log, 2)
    grow(log, 4)
    assert log.prune(1, LATER) == 3
    with pytest.raises(StalePositionError):
        log.append(late)
    with pytest.raises(StalePositionError):
        log.append(entry_of(log, 6))


def test_changes_that_come_in_another_order_are_refused(log: ChangeLog) -> None:
    ((rows, marks),) = batches([*transaction(9, insert(id=1)), *transaction(7, insert(id=2))])
    writer = log.writer(1, 1)
    with pytest.raises(LakeError, match="another order"):
        writer.write("items", rows, marks)
    ahead = log.writer(1, 1)
    for rows, marks in batches(transaction(9, insert(id=1))):
        ahead.write("items", rows, marks)
    with pytest.raises(LakeError, match="before its last change"):
        ahead.finish(8, "m", datetime.now(UTC))


def test_pruning_leaves_the_newest_entry_and_what_is_kept(log: ChangeLog, store: LakeStore) -> None:
    grow(log, 5)
    assert log.prune(1, LATER, keep_from=4) == 3
    assert [log.entry(1, sequence) is not None for sequence in range(1, 6)] == [False, False, False, True, True]
    assert files(store) == {path for sequence in (4, 5) for path in kept(log, sequence)}
    assert log.prune(1, LATER) == 1
    assert (log.head(1), files(store)) == (5, set(kept(log, 5)))
    assert log.prune(1, datetime.now(UTC) - timedelta(days=1)) == 0


def kept(log: ChangeLog, sequence: int) -> list[str]:
    entry = log.entry(1, sequence)
    assert entry is not None
    return list(entry.paths)


def test_a_reader_beside_pruning_finds_the_files_of_each_entry_behind_the_oldest(
    log: ChangeLog, store: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(log, 6)
    seen: list[list[int]] = []

    def read(place: str) -> None:
        there = [sequence for sequence in range(1, 7) if log.entry(1, sequence) is not None]
        assert files(store) >= {path for sequence in there for path in kept(log, sequence)}
        seen.append(there)

    monkeypatch.setattr(changelog, "reach", read)
    log.prune(1, LATER)
    assert seen == [list(range(first, 7)) for first in range(2, 7)]


def test_files_of_a_writer_that_died_go(log: ChangeLog, store: LakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelog, "ENTRIES_BETWEEN_LOOKS", 1)
    grow(log, 2)
    dead = entry_of(log, 3, transaction(30, insert(id=3)))
    grow(log, 3)
    under_way = entry_of(log, 4, transaction(40, insert(id=4)))
    log.prune(1, LATER, keep_from=2)
    assert files(store) >= {*dead.paths, *under_way.paths}
    monkeypatch.setattr(changelog, "STRAY", timedelta(0))
    log.prune(1, LATER, keep_from=3)
    assert files(store) == set(kept(log, 3))


def test_earlier_epochs_go(log: ChangeLog, store: LakeStore) -> None:
    digest = log.save_members({"items": {"name": "items"}})
    grow(log, 2)
    later = log.writer(2, 1).finish(5, digest, datetime.now(UTC))
    log.append(later)
    log.prune(2, datetime.now(UTC) - timedelta(days=7))
    assert (log.head(1), files(store), log.entry(2, 1)) == (0, set(), later)
    assert log.members(digest) == {"items": {"name": "items"}}
    with pytest.raises(LakeError):
        log.members("other")


def test_an_entry_of_many_tables_holds_little_and_opens_few_files(
    folder_store: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_writer, "HELD_BYTES", 100_000)
    log = ChangeLog(folder_store, "1/_changes/abc")
    writer = log.writer(1, 1)
    for position in range(1, 21):
        for table in range(60):
            for rows, marks in batches(transaction(position, insert(id=position, name=f"t{table}", body="b" * 100))):
                writer.write(f"table{table}", rows, marks)
        assert writer._held_bytes <= 100_000
        assert len(writer._open_files) <= entry_writer.OPEN_FILES
    entry = writer.finish(20, "m", datetime.now(UTC))
    for table in range(60):
        (segment,) = entry.segments[f"table{table}"]
        found: list[Any] = []
        for file in segment.files:
            with pq.ParquetFile(folder_store.filesystem.open_input_file(file.path)) as opened:
                found.extend(opened.read(["id", "name"]).to_pylist())
        assert found == [{"id": number, "name": f"t{table}"} for number in range(1, 21)]


def test_a_store_that_refuses_is_told(log: ChangeLog, store: LakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, content: bytes) -> bool:
        raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")

    entry = entry_of(log, 1)
    monkeypatch.setattr(store.objects, "create", refuse)
    with pytest.raises(LakeError, match="could not write"):
        log.append(entry)
