"""What an upsert writes anew, what it compares, what it deletes, and which keys it refuses."""

from collections import Counter

import pyarrow as pa
import pytest

from lake import staging
from lake.errors import IncompatibleSchemaError, LakeError
from lake.log import read_snapshot
from lake.table import open_table
from tests.lake.copier import TABLE, Copier, orders

KEY = pa.schema([("id", pa.int64())])


def test_only_files_that_hold_a_changed_key_are_written_anew(copier: Copier) -> None:
    for number in range(5):
        copier.copy("incremental", [(number * 10 + i, f"old{i}", number * 10 + i) for i in range(10)])
    before = paths(copier)
    assert len(before) == 5

    result = copier.copy("incremental", [(7, "new", 100), (48, "new", 101), (99, "new", 102)])

    after = paths(copier)
    assert len(before & after) == 3
    assert (result.rows_added, result.rows_changed) == (1, 2)
    names = {row[0]: row[1] for row in copier.rows()}
    assert [names[key] for key in (7, 48, 99, 8)] == ["new", "new", "new", "old8"]
    assert len(names) == 51


def test_a_file_whose_rows_are_all_replaced_goes(copier: Copier) -> None:
    copier.copy("incremental", [(1, "a", 1), (2, "b", 2)])
    before = paths(copier)
    copier.copy("incremental", [(2, "B", 3), (1, "A", 4)])
    assert len(paths(copier)) == 1
    assert not before & paths(copier)
    assert copier.rows() == Counter([(1, "A", 4), (2, "B", 3)])


def test_rows_of_a_look_back_are_compared_with_what_is_stored(copier: Copier) -> None:
    copier.copy("incremental", [(1, "a", 10), (2, "b", 20), (3, "c", 30)])
    before = copier.position()
    looked_back = [(1, "a", 10), (9, "late", 15), (2, "changed without its cursor", 20), (3, "c", 30)]
    result = copier.copy("incremental", looked_back)
    assert (result.rows_added, result.rows_changed) == (1, 1)
    assert result.position.cursor == before.cursor == "30"
    assert copier.rows() == Counter(looked_back)


def test_a_floating_point_key_is_refused(folder_copier: Copier) -> None:
    folder_copier.primary_key = ("id",)
    rows = orders([(1, "a", 10)]).cast(pa.schema([("id", pa.float64()), ("name", pa.string()), ("at", pa.int64())]))
    with pytest.raises(IncompatibleSchemaError, match="key column 'id' holds floating-point numbers"):
        folder_copier.copy("incremental", rows)


def keys(*ids: int) -> pa.Table:
    return pa.table([list(ids)], schema=KEY)


def test_rows_are_deleted_by_key_in_the_same_commit(copier: Copier) -> None:
    copier.copy("incremental", [(number, "old", number) for number in range(10)])
    planned = copier.plan("incremental", orders([(3, "new", 20), (4, "new", 21), (99, "new", 22)]))

    result = planned.with_deletes(keys(2, 3, 5, 5, 777)).publish()

    assert (result.rows_added, result.rows_changed, result.rows_deleted) == (1, 2, 2)
    kept = [(number, "old", number) for number in (0, 1, 6, 7, 8, 9)]
    assert copier.rows() == Counter([*kept, (3, "new", 20), (4, "new", 21), (99, "new", 22)])
    assert result.position.sequence == 2
    assert planned.publish().already_done


def test_deletes_alone_are_news_once(copier: Copier) -> None:
    copier.copy("incremental", [(1, "a", 1), (2, "b", 2)])
    done = copier.plan("incremental", orders([])).with_deletes(keys(1)).publish()
    assert (done.rows_deleted, done.position.cursor) == (1, "2")
    assert copier.rows() == Counter([(2, "b", 2)])
    again = copier.plan("incremental", orders([])).with_deletes(keys(1)).publish()
    assert again.nothing_new
    copier.plan("incremental", orders([])).with_deletes(keys(2)).publish()
    assert copier.rows() == Counter()
    copier.copy("incremental", [(1, "back", 3)])
    assert copier.rows() == Counter([(1, "back", 3)])


def test_a_deletion_takes_a_row_of_the_look_back_out_only_where_it_is_not_read_again(folder_copier: Copier) -> None:
    copier = folder_copier
    copier.copy("incremental", [(1, "a", 1), (2, "b", 2), (3, "c", 3)])
    done = copier.plan("incremental", orders([(2, "b", 2), (3, "C", 3)])).with_deletes(keys(1, 2, 3)).publish()
    assert (done.rows_added, done.rows_changed, done.rows_deleted) == (0, 1, 1)
    assert copier.rows() == Counter([(2, "b", 2), (3, "C", 3)])


PAGES = pa.schema([("name", pa.string()), ("id", pa.int64()), ("at", pa.int64())])


def test_of_a_whole_group_just_the_new_rows_stay(copier: Copier) -> None:
    copier.primary_key = ("name", "id")
    stored = [(name, number, number) for name in ("a", "b", "c", "d") for number in range(1, 6)]
    for name in ("a", "c"):
        copier.copy("incremental", orders([row for row in stored if row[0] in (name, chr(ord(name) + 1))], PAGES))
    before = paths(copier)

    # Of one group fewer rows, of another none, and one that the table does not know.
    planned = copier.plan("incremental", orders([("a", 1, 1), ("a", 2, 9), ("e", 1, 10)], PAGES))
    result = planned.with_groups("name", "a", "b", "e").publish()

    assert (result.rows_added, result.rows_changed, result.rows_deleted) == (1, 1, 8)
    rest = [row for row in stored if row[0] in ("c", "d")]
    assert copier.rows() == Counter([*rest, ("a", 1, 1), ("a", 2, 9), ("e", 1, 10)])
    assert len(before & paths(copier)) == 1
    assert planned.with_groups("name", "a", "b", "e").publish().already_done
    again = copier.plan("incremental", orders([], PAGES)).with_groups("name", "b").publish()
    assert again.nothing_new


def test_a_group_goes_by_its_value_and_not_by_its_place_in_the_alphabet(folder_copier: Copier) -> None:
    copier = folder_copier
    copier.primary_key = ("name", "id")
    copier.copy("incremental", orders([("a", 1, 1), ("b'\"", 1, 2), ("c", 1, 3)], PAGES))
    copier.plan("incremental", orders([], PAGES)).with_groups("name", "a", "c").publish()
    assert copier.rows() == Counter([("b'\"", 1, 2)])


def test_deletions_of_a_table_without_keys_are_refused(folder_copier: Copier) -> None:
    copier = folder_copier
    copier.copy("append", [(1, "a", 1)])
    with pytest.raises(LakeError, match="kept by key"):
        copier.plan("append", orders([(2, "b", 2)])).with_deletes(keys(1)).publish()
    assert copier.rows() == Counter([(1, "a", 1)])


def test_many_small_row_groups_and_files(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row numbers hold across row groups, files and batches."""
    monkeypatch.setattr("lake.parquet.ROW_GROUP_ROWS", 7)
    monkeypatch.setattr("lake.rows.BATCH_ROWS", 3)
    monkeypatch.setattr(staging, "KEYED_FILE_BYTES", 3000)
    rows = [(number, f"name {number}", number) for number in range(200)]
    copier.copy("incremental", rows)
    assert len(paths(copier)) > 3
    changed = [(number, "changed", 200 + number) for number in range(3, 200, 11)]
    copier.copy("incremental", changed)
    expected = {row[0]: row for row in (*rows, *changed)}
    assert copier.rows() == Counter(expected.values())


def paths(copier: Copier) -> set[str]:
    table = open_table(copier.store, TABLE)
    return set(read_snapshot(copier.store, TABLE, table.position.version).files)


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_rows_on_both_sides_of_the_edge_are_kept_where_both_are_cast(folder_copier: Copier, mode: str) -> None:
    """The source's column became narrower than the stored one."""
    copier = folder_copier
    copier.copy(mode, [(1, "a", 10), (2, "b", 20)])
    narrower = pa.schema([("id", pa.int32()), ("name", pa.string()), ("at", pa.int64())])
    copier.copy(mode, orders([(2, "b", 20), (3, "late", 20), (4, "d", 30)], narrower))
    assert copier.rows() == Counter([(1, "a", 10), (2, "b", 20), (3, "late", 20), (4, "d", 30)])
