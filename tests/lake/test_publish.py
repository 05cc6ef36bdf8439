"""Every mode publishes exactly once, whoever repeats, overtakes or is cut off."""

import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lake.errors import DuplicateKeyError, FencedError, LakeError, StalePositionError
from lake.position import EMPTY, Position
from lake.publish import Published
from lake.table import open_table
from tests.lake.copier import TABLE, Copier, orders

FIRST = [(1, "a", 10), (2, "b", 20), (3, "c", 30)]


def test_a_full_refresh_replaces_the_table_in_one_commit(copier: Copier) -> None:
    first = copier.copy("full_refresh", FIRST)
    second = copier.copy("full_refresh", [(2, "B", 21), (9, None, None)])

    assert copier.rows() == Counter([(2, "B", 21), (9, None, None)])
    assert copier.rows(first.position.version) == Counter(FIRST)
    assert (second.rows_added, second.position.sequence, second.position.loaded) == (2, 2, True)


def test_an_empty_source_gives_an_empty_table(copier: Copier) -> None:
    for mode in ("full_refresh", "incremental", "append"):
        copier.table = f"1/{mode}"
        assert copier.copy(mode, []).position.loaded
        assert copier.read().schema.names() == ["id", "name", "at"]
        assert copier.rows() == Counter()


def test_incremental_upserts_by_key_and_moves_the_cursor(copier: Copier) -> None:
    copier.copy("incremental", FIRST)
    result = copier.copy("incremental", [(3, "c", 30), (2, "B", 31), (4, "d", 32)])

    assert copier.rows() == Counter([(1, "a", 10), (3, "c", 30), (2, "B", 31), (4, "d", 32)])
    assert (result.rows_added, result.rows_changed, result.position.cursor) == (1, 1, "32")


@pytest.mark.parametrize("mode", ["incremental", "append"])
@pytest.mark.parametrize("name", ["nth", "_sync_nth", "__row", "__file", "_sync_row", "_sync_file", "lower0", "number"])
@pytest.mark.parametrize("kind", ["key", "value"])
def test_no_name_of_a_column_is_mistaken_for_one_of_ours(
    folder_copier: Copier, mode: str, name: str, kind: str
) -> None:
    copier = folder_copier
    if kind == "key":
        copier.primary_key = (name,)
        schema = pa.schema([(name, pa.int64()), ("v", pa.int64()), ("at", pa.int64())])
    else:
        schema = pa.schema([("id", pa.int64()), (name, pa.int64()), ("at", pa.int64())])
    rows: list[tuple[Any, ...]] = [(number, None, number) for number in range(5)]
    copier.copy(mode, orders(rows, schema))
    copier.copy(mode, orders([(7, 3, 7)], schema))
    for _ in range(2):
        assert copier.copy(mode, orders([(4, None, 4), (7, 3, 7)], schema)).nothing_new
    if mode == "append":
        assert copier.copy(mode, orders([(7, 3, 7)] * 3, schema)).rows_added == 2
        rows += [(7, 3, 7)] * 2
    else:
        assert copier.copy(mode, orders([(7, 4, 7)], schema)).rows_changed == 1
    expected = Counter([*rows, (7, 3 if mode == "append" else 4, 7)])
    assert copier.rows() == expected


def test_an_append_tells_the_signs_of_zero_apart(folder_copier: Copier) -> None:
    schema = pa.schema([("id", pa.int64()), ("v", pa.float64()), ("at", pa.int64())])
    copier = folder_copier
    copier.copy("append", orders([(1, 0.0, 1), (1, float("nan"), 1)], schema))
    added = copier.copy("append", orders([(1, 0.0, 1), (1, -0.0, 1), (1, float("nan"), 1)], schema))
    assert added.rows_added == 1
    assert sorted(math.copysign(1, row[1]) for row in copier.read().rows() if row[1] == 0) == [-1, 1]


def test_append_keeps_every_version_and_takes_ties_once(copier: Copier) -> None:
    copier.copy("append", [(1, "a", 10), (2, "b", 20), (2, "b", 20)])
    result = copier.copy("append", [(2, "b", 20), (2, "b", 20), (2, "b", 20), (7, "tie", 20), (1, "a", 21)])

    assert copier.rows() == Counter(
        [(1, "a", 10), (2, "b", 20), (2, "b", 20), (2, "b", 20), (7, "tie", 20), (1, "a", 21)]
    )
    assert (result.rows_added, result.position.cursor) == (3, "21")


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_a_run_without_news_commits_nothing(copier: Copier, mode: str) -> None:
    first = copier.copy(mode, FIRST)
    for rows in ([], [(3, "c", 30)]):
        again = copier.copy(mode, rows)
        assert again.nothing_new
        assert again.position == first.position == copier.position()


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "append"])
def test_a_repeated_publish_finds_its_own_commit(copier: Copier, mode: str) -> None:
    copier.copy(mode, FIRST)
    planned = copier.plan(mode, orders([(3, "c", 30), (2, "B", 31), (4, "d", 32)]))
    done = planned.publish()
    rows = copier.rows()

    again = planned.publish()
    assert again == replace(done, already_done=True)
    assert copier.rows() == rows
    assert copier.position() == done.position


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "append"])
def test_a_batch_read_again_after_its_commit_is_not_written_again(copier: Copier, mode: str) -> None:
    """The answer was lost and everything is repeated, the reading too."""
    run, rows = copier.new_run(), orders(FIRST)
    first = copier.plan(mode, rows, run).publish()
    again = copier.plan(mode, rows, run, base=EMPTY).publish()
    assert again.already_done
    assert (again.position, copier.rows()) == (first.position, Counter(FIRST))


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "append"])
def test_a_writer_that_was_overtaken_is_fenced(copier: Copier, mode: str) -> None:
    zombie = copier.plan(mode, orders([(8, "zombie", 80)]))
    copier.copy(mode, FIRST)
    with pytest.raises(FencedError):
        zombie.publish()
    assert copier.rows() == Counter(FIRST)


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "append"])
def test_a_batch_planned_on_an_older_table_must_be_planned_again(copier: Copier, mode: str) -> None:
    copier.copy(mode, FIRST)
    base = copier.position()
    late = copier.plan(mode, orders([(8, "x", 80)]), copier.new_run("late"))
    copier.fence -= 1
    copier.copy(mode, [(9, "y", 90)], run=copier.new_run("other"))
    assert copier.position().sequence == base.sequence + 1
    with pytest.raises(StalePositionError):
        late.publish()


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "append"])
@pytest.mark.parametrize("begun", [False, True])
def test_of_many_publishers_at_once_one_commits(copier: Copier, mode: str, begun: bool) -> None:
    if begun:
        copier.copy(mode, FIRST)
    base, fence = copier.position(), copier.fence + 1
    rivals = []
    for number in range(6):
        copier.fence = fence - 1
        rivals.append(
            copier.plan(mode, orders([(100 + number, "x", 100)]), copier.new_run(f"rival{number}"), base=base)
        )
    results: list[Published | LakeError] = []
    start = threading.Barrier(len(rivals))

    def compete(number: int) -> None:
        start.wait()
        try:
            results.append(rivals[number].publish())
        except LakeError as error:
            results.append(error)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(len(rivals))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [result for result in results if isinstance(result, Published)]
    lost = [result for result in results if not isinstance(result, Published)]
    assert (len(won), [type(error) for error in lost]) == (1, [StalePositionError] * 5)
    winner = int((won[0].position.run_id or "").removeprefix("rival"))
    kept = FIRST if begun and mode != "full_refresh" else []
    assert copier.rows() == Counter([*kept, (100 + winner, "x", 100)])


def test_a_batch_published_by_two_workers_at_once_takes_effect_once(copier: Copier) -> None:
    copier.copy("append", FIRST)
    planned = copier.plan("append", orders([(4, "d", 40)]))
    start, results = threading.Barrier(4), []

    def publish() -> None:
        start.wait()
        results.append(planned.publish())

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len({result.position for result in results}) == 1
    assert copier.rows() == Counter([*FIRST, (4, "d", 40)])


def test_a_first_load_in_batches_says_when_it_is_over(copier: Copier) -> None:
    run = copier.new_run()
    first = copier.copy("append", [(1, "a", 10), (2, "b", 20)], run=run, batch=0, last=False)
    assert not first.position.loaded
    resumed = copier.new_run()
    second = copier.copy("append", [(2, "b", 20), (5, "late tie", 20)], run=resumed, batch=0, last=True)

    assert second.position.loaded
    assert copier.rows() == Counter([(1, "a", 10), (2, "b", 20), (5, "late tie", 20)])


def test_a_last_batch_without_rows_still_ends_the_first_load(copier: Copier) -> None:
    copier.copy("incremental", FIRST, last=False)
    ended = copier.copy("incremental", [(3, "c", 30)])
    assert ended.position.loaded
    assert not ended.nothing_new
    assert copier.rows() == Counter(FIRST)


def test_rows_without_a_cursor_are_kept_and_not_doubled_by_a_resumed_load(copier: Copier) -> None:
    nulls = [(1, "a", None), (2, "b", None)]
    result = copier.copy("append", nulls, last=False)
    assert result.position.cursor is None
    copier.copy("append", [*nulls, (3, "c", 30)])
    assert copier.rows() == Counter([*nulls, (3, "c", 30)])


def test_the_position_tells_what_was_committed(copier: Copier) -> None:
    result = copier.copy("incremental", FIRST)
    position = result.position
    assert position == Position(
        sequence=1,
        fence=1,
        generation=1,
        run_id="run1",
        batch=0,
        mode="incremental",
        primary_key=("id",),
        cursor_field="at",
        cursor="30",
        loaded=True,
        version=0,
    )
    assert copier.position() == position
    assert open_table(copier.store, TABLE, cached=position).position == position
    stale = replace(position, sequence=0, cursor="wrong")
    foreign = replace(position, generation=7, cursor="wrong")
    assert open_table(copier.store, TABLE, cached=stale).position == position
    assert open_table(copier.store, TABLE, cached=foreign).position == position
    assert open_table(copier.store, "1/nowhere").position == EMPTY


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([(4, "x", 40), (4, "y", 41)], "share the primary key id=4"),
        ([(4, "x", 40), (None, "y", 41)], "no value in the key column 'id'"),
    ],
)
def test_rows_without_a_key_of_their_own_fail_and_change_nothing(
    copier: Copier, rows: list[tuple[int | None, str, int]], told: str
) -> None:
    copier.copy("incremental", FIRST)
    with pytest.raises(DuplicateKeyError, match=told):
        copier.copy("incremental", rows)
    assert copier.rows() == Counter(FIRST)


def test_a_manifest_that_is_gone_says_so(copier: Copier) -> None:
    planned = copier.plan("append", orders(FIRST))
    copier.store.delete([planned.manifest])
    with pytest.raises(LakeError, match="no longer in the lake"):
        planned.publish()


@pytest.mark.parametrize("mode", ["incremental", "append"])
@pytest.mark.parametrize(
    ("kind", "decode", "values"),
    [
        (
            pa.timestamp("us", "UTC"),
            datetime.fromisoformat,
            [datetime(2024, 1, day, 1, 2, 3, 4, tzinfo=UTC) for day in (1, 2, 3)],
        ),
        (pa.timestamp("us"), datetime.fromisoformat, [datetime(1, 1, day) for day in (1, 2, 3)]),  # noqa: DTZ001
        (pa.date32(), date.fromisoformat, [date(9999, 1, day) for day in (1, 2, 3)]),
        (pa.decimal128(38, 9), Decimal, [Decimal(10) ** 28 + Decimal(digit).scaleb(-9) for digit in (1, 2, 3)]),
        (pa.string(), str, ["0" * 70 + digit for digit in "123"]),
    ],
)
def test_cursors_of_every_type(
    folder_copier: Copier, mode: str, kind: pa.DataType, decode: Callable[[str], Any], values: list[Any]
) -> None:
    copier = folder_copier
    copier.decode = decode
    copier.primary_key = ("id", "at")
    schema = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", kind)])
    copier.copy(mode, orders([(1, "a", values[0]), (2, "b", values[1])], schema))
    again = [(2, "b", values[1]), (3, "tie", values[1])]
    copier.copy(mode, orders([*again, (4, "c", values[2])], schema))
    assert copier.copy(mode, orders([(4, "c", values[2])], schema)).nothing_new
    rows = Counter(orders([(1, "a", values[0]), *again, (4, "c", values[2])], schema).to_pydict()["at"])
    assert Counter(row[0] for row in copier.rows()) == Counter([1, 2, 3, 4])
    assert Counter(row[2] for row in copier.rows()) == rows


def test_a_batch_of_another_generation_does_not_mix_with_the_table(folder_copier: Copier) -> None:
    folder_copier.copy("incremental", FIRST)
    folder_copier.generation = 2
    with pytest.raises(StalePositionError):
        folder_copier.copy("incremental", [(4, "d", 40)])
    folder_copier.copy("full_refresh", [(4, "d", 40)])
    assert folder_copier.rows() == Counter([(4, "d", 40)])
