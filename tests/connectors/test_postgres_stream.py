"""Changes as they happened: rows, transactions, positions, and what is confirmed."""

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from connectors.capture import Boundary, Op, TableChanges
from connectors.postgres.connector import PostgresConnector
from connectors.postgres.replication import stream as streaming
from tests.connectors.following import Collected, Followed, applied, collect
from tests.connectors.source import Source
from tests.kit.servers import run_postgres

POSTGRES = PostgresConnector()
ITEMS = "CREATE TABLE items (id int PRIMARY KEY, t text, n int)"
TOASTED = """
CREATE TABLE docs (id int PRIMARY KEY, small text, large text);
ALTER TABLE docs ALTER large SET STORAGE EXTERNAL;
INSERT INTO docs VALUES (1, 'a', repeat('x', 10000)), (2, 'b', 'short')"""


def test_several_changes_of_one_key_in_their_order(source: Source) -> None:
    source.execute(ITEMS)
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("INSERT INTO items VALUES (1, 'a'); UPDATE items SET n = 1; DELETE FROM items")
        source.execute("INSERT INTO items VALUES (1, 'b')")
        found = followed.collect()
    assert found.story() == [
        ("INSERT", {"id": 1, "t": "a", "n": None}),
        ("UPDATE", {"id": 1, "t": "a", "n": 1}),
        ("DELETE", {"id": 1, "t": None, "n": None}),
        ("INSERT", {"id": 1, "t": "b", "n": None}),
    ]
    first, second, third, fourth = found.changes()
    assert first.position == second.position == third.position < fourth.position < found.end
    assert [change.ordinal for change in found.changes()] == [0, 1, 2, 0]


def test_the_time_of_the_commit(source18: Source) -> None:
    source18.execute(ITEMS)
    with Followed.begin(source18, ("items", "id")) as followed:
        ((before,),) = source18.rows("SELECT clock_timestamp()")
        source18.execute("INSERT INTO items VALUES (1)")
        ((after,),) = source18.rows("SELECT clock_timestamp()")
        (batch,) = followed.collect().batches
    assert before <= batch.marks["commit_at"][0].as_py() <= after


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_an_update_of_the_key_is_a_delete_and_a_move(source: Source, identity: str) -> None:
    source.execute(
        ITEMS + f"; ALTER TABLE items REPLICA IDENTITY {identity}; INSERT INTO items VALUES (1, 'a'), (9, 'c')"
    )
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("UPDATE items SET n = id; UPDATE items SET id = id + 1; UPDATE items SET id = id, t = 'b'")
        found = followed.collect()
    story = [(change.op, change.row["id"], change.ordinal) for change in found.changes()]
    assert story == [
        (Op.UPDATE, 1, 0),
        (Op.UPDATE, 9, 1),
        (Op.DELETE, 1, 2),
        (Op.MOVE, 2, 3),
        (Op.DELETE, 9, 4),
        (Op.MOVE, 10, 5),
        (Op.UPDATE, 2, 6),
        (Op.UPDATE, 10, 7),
    ]
    assert found.changes()[3].row == {"id": 2, "t": "a", "n": 1}


def test_a_key_of_other_text_and_the_same_value_is_no_other_key(source: Source) -> None:
    source.execute("""
        CREATE TABLE amounts (a numeric, b char(3), PRIMARY KEY (a, b)); ALTER TABLE amounts REPLICA IDENTITY FULL;
        INSERT INTO amounts VALUES (1.50, 'x'), (2, 'y')""")
    with Followed.begin(source, ("amounts", "a,b")) as followed:
        source.execute("UPDATE amounts SET a = 1.5 WHERE b = 'x'; UPDATE amounts SET b = 'z' WHERE a = 2")
        found = followed.collect()
    assert [(change.op.name, change.row["b"]) for change in found.changes()] == [
        ("UPDATE", "x  "),
        ("DELETE", "y  "),
        ("MOVE", "z  "),
    ]


def test_what_an_update_leaves_out_of_line_is_unchanged(source: Source) -> None:
    source.execute(TOASTED)
    with Followed.begin(source, ("docs", "id")) as followed:
        source.execute("UPDATE docs SET small = 'c'; UPDATE docs SET id = 3 WHERE id = 1")
        found = followed.collect()
    assert [(change.op.name, change.row, change.unchanged) for change in found.changes()] == [
        ("UPDATE", {"id": 1, "small": "c"}, ("large",)),
        ("UPDATE", {"id": 2, "small": "c", "large": "short"}, ()),
        ("DELETE", {"id": 1, "small": None, "large": None}, ()),
        ("MOVE", {"id": 3, "small": "c"}, ("large",)),
    ]


def test_the_old_row_has_what_was_left_out_of_line(source: Source) -> None:
    source.execute(TOASTED + "; ALTER TABLE docs REPLICA IDENTITY FULL")
    with Followed.begin(source, ("docs", "id")) as followed:
        source.execute("UPDATE docs SET small = 'c'; UPDATE docs SET id = 3 WHERE id = 1")
        found = followed.collect()
    large = "x" * 10000
    assert [(change.op.name, change.row, change.unchanged) for change in found.changes()] == [
        ("UPDATE", {"id": 1, "small": "c", "large": large}, ()),
        ("UPDATE", {"id": 2, "small": "c", "large": "short"}, ()),
        ("DELETE", {"id": 1, "small": "c", "large": large}, ()),
        ("MOVE", {"id": 3, "small": "c", "large": large}, ()),
    ]


def test_a_key_that_lies_out_of_line(source: Source) -> None:
    source.execute("""
        CREATE TABLE words (w text PRIMARY KEY, n int); ALTER TABLE words ALTER w SET STORAGE EXTERNAL;
        INSERT INTO words VALUES (repeat('w', 2500), 1)""")
    with Followed.begin(source, ("words", "w")) as followed:
        source.execute("UPDATE words SET n = 2")
        found = followed.collect()
    assert found.story() == [("UPDATE", {"w": "w" * 2500, "n": 2})]


def test_the_bits_of_unchanged_columns_beyond_the_first_byte(source18: Source) -> None:
    names = [f"c{number}" for number in range(20)]
    source18.execute(f"CREATE TABLE wide (id int PRIMARY KEY, {', '.join(f'{name} text' for name in names)})")
    source18.execute("; ".join(f"ALTER TABLE wide ALTER {name} SET STORAGE EXTERNAL" for name in names))
    source18.execute(f"INSERT INTO wide SELECT 1, {', '.join(['repeat(md5(random()::text), 100)'] * 20)}")
    with Followed.begin(source18, ("wide", "id")) as followed:
        source18.execute("UPDATE wide SET c0 = '', c7 = NULL, c8 = 'x'")
        (change,) = followed.collect().changes()
    assert change.row == {"id": 1, "c0": "", "c7": None, "c8": "x"}
    assert change.unchanged == tuple(name for name in names if name not in ("c0", "c7", "c8"))


def test_interleaved_transactions_come_whole_in_the_order_of_their_commits(source: Source) -> None:
    source.execute(ITEMS)
    with Followed.begin(source, ("items", "id")) as followed:
        connect, name = source.server.connect, source.database
        with connect(name) as one, connect(name) as other, one.transaction():
            one.execute("INSERT INTO items VALUES (1)")
            with other.transaction():
                other.execute("INSERT INTO items VALUES (2)")
                one.execute("INSERT INTO items VALUES (3)")
                other.execute("INSERT INTO items VALUES (4)")
            one.execute("INSERT INTO items VALUES (5)")
        found = followed.collect()
    assert [(change.row["id"], change.ordinal) for change in found.changes()] == [
        (2, 0),
        (4, 1),
        (1, 0),
        (3, 1),
        (5, 2),
    ]


def test_nothing_comes_of_what_was_rolled_back(source: Source) -> None:
    source.execute(ITEMS)
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("""
            BEGIN; INSERT INTO items VALUES (1); ROLLBACK;
            BEGIN; INSERT INTO items VALUES (2); SAVEPOINT s; INSERT INTO items VALUES (3); ROLLBACK TO s;
            INSERT INTO items VALUES (4); SAVEPOINT t; INSERT INTO items VALUES (5); RELEASE t; COMMIT""")
        found = followed.collect()
    assert [change.row["id"] for change in found.changes()] == [2, 4, 5]


def test_a_prepared_transaction_comes_when_it_is_committed() -> None:
    with run_postgres(18, wal_level="logical", max_prepared_transactions="2") as server:
        source = Source(server, server.create_database())
        source.execute(ITEMS)
        with Followed.begin(source, ("items", "id")) as followed:
            source.execute("BEGIN; INSERT INTO items VALUES (1); PREPARE TRANSACTION 'one'")
            source.execute("BEGIN; INSERT INTO items VALUES (2); PREPARE TRANSACTION 'two'")
            first = followed.collect()
            assert first.story() == []
            source.execute("COMMIT PREPARED 'one'")
            source.execute("ROLLBACK PREPARED 'two'")
            second = followed.collect(first.end)
    assert [change.row["id"] for change in second.changes()] == [1]


def test_truncate_of_several_tables(source: Source) -> None:
    source.execute("""
        CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY);
        CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents)""")
    tables = ("parents", "id"), ("children", "id"), ("other", "id")
    with Followed.begin(source, *tables) as followed:
        source.execute(
            "INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1, 1); INSERT INTO other VALUES (1)"
        )
        source.execute("BEGIN; TRUNCATE parents CASCADE; INSERT INTO parents VALUES (2); COMMIT")
        found = followed.collect()
    assert found.story("parents") == [("INSERT", {"id": 1}), ("TRUNCATE", {}), ("INSERT", {"id": 2})]
    assert found.story("children") == [("INSERT", {"id": 1, "parent": 1}), ("TRUNCATE", {})]
    assert found.story("other") == [("INSERT", {"id": 1})]
    assert [change.ordinal for change in found.changes()] == [0, 1, 2, 0, 1, 2]


def test_changes_of_other_tables_are_left_out(source18: Source) -> None:
    source18.execute(ITEMS + "; CREATE TABLE other (id int PRIMARY KEY)")
    with Followed.begin(source18, ("items", "id"), publication="ALL TABLES") as followed:
        source18.execute("INSERT INTO other VALUES (1); INSERT INTO items VALUES (1); TRUNCATE other")
        source18.execute("INSERT INTO other VALUES (2)")
        found = followed.collect()
    assert found.story() == [("INSERT", {"id": 1, "t": None, "n": None})]


def test_a_large_transaction_comes_in_pieces_of_bounded_memory(source18: Source) -> None:
    source18.execute("CREATE TABLE many (id int PRIMARY KEY, t text)")
    process, peak, pieces, seen = psutil.Process(), 0, 0, 0
    with Followed.begin(source18, ("many", "id")) as followed:
        source18.execute("INSERT INTO many SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 300000) AS n")
        source18.execute("INSERT INTO many VALUES (0, 'last')")
        with followed.open() as stream:
            base = process.memory_info().rss
            for item in stream.changes():
                peak = max(peak, process.memory_info().rss - base)
                if isinstance(item, Boundary):
                    if item.position >= stream.target:
                        break
                    continue
                pieces += 1
                assert item.rows.nbytes <= 2 * streaming.CHUNK_BYTES
                marks = item.marks.to_pylist()
                for mark, id in zip(marks, item.rows["id"].to_pylist(), strict=True):
                    if id:
                        assert (id, mark["ordinal"], mark["position"]) == (seen + 1, seen, marks[0]["position"])
                        seen = id
    assert seen == 300_000
    assert pieces > 20
    assert peak < 100 * 2**20


def test_transactions_larger_and_smaller_than_a_chunk(source18: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_MESSAGES", 7)
    source18.execute(ITEMS)
    sizes = [1, 2, 20, 1, 6, 7, 8, 5, 30, 1]
    with Followed.begin(source18, ("items", "id")) as followed:
        source18.execute(
            "".join(
                f"BEGIN; INSERT INTO items SELECT n, '{size}' FROM generate_series(1, {size}) AS n; "
                "UPDATE items SET id = -id; DELETE FROM items; COMMIT; "
                for size in sizes
            )
        )
        found = followed.collect()
    transactions: dict[int, list[int]] = {}
    for change in found.changes():
        transactions.setdefault(change.position, []).append(change.ordinal)
    assert list(transactions.values()) == [list(range(4 * size)) for size in sizes]
    assert applied(found.changes(), ("id",)) == {}


def test_whole_transactions_up_to_where_it_begins_are_left_out(source: Source) -> None:
    source.execute(ITEMS)
    with Followed.begin(source, ("items", "id")) as followed:
        ends = []
        after = followed.confirmed
        for number in range(4):
            source.execute(f"INSERT INTO items VALUES ({number})")
            found = followed.collect(after)
            assert [change.row["id"] for change in found.changes()] == [number]
            ends.append(after := found.end)
        again = [[change.row["id"] for change in followed.collect(end).changes()] for end in ends]
    assert again == [[1, 2, 3], [2, 3], [3], []]


def test_a_boundary_is_exactly_behind_its_transaction(source18: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """To begin at a boundary in the middle of much neither loses nor repeats a transaction."""
    monkeypatch.setattr(streaming, "CHUNK_MESSAGES", 10)
    source18.execute(ITEMS)
    with Followed.begin(source18, ("items", "id")) as followed:
        source18.execute("".join(f"BEGIN; INSERT INTO items VALUES ({n}); COMMIT; " for n in range(100)))
        begin, seen = followed.confirmed, []
        while len(seen) < 100:
            with followed.open(begin) as stream:
                found = collect(stream, lambda _: True)
            seen += [change.row["id"] for change in found.changes()]
            begin = found.end
    assert seen == list(range(100))


def test_confirm_moves_the_slot_and_nothing_else_does(source: Source) -> None:
    source.execute(ITEMS)
    with Followed.begin(source, ("items", "id")) as followed:
        begin = followed.confirmed
        source.execute("INSERT INTO items VALUES (1)")
        with followed.open() as stream:
            first = collect(stream)
        assert followed.confirmed == begin
        with followed.open() as stream:
            collect(stream)
            stream.confirm(first.end)
            stream.confirm(begin)
        assert followed.confirmed == first.end
        source.execute("INSERT INTO items VALUES (2)")
        with followed.open() as stream:
            assert [change.row["id"] for change in collect(stream).changes()] == [2]
        assert followed.confirmed == first.end


def test_what_is_confirmed_counts_when_the_reader_fails(source18: Source) -> None:
    """In the middle of a transaction, too, of which much is still to come."""
    source18.execute(ITEMS)

    def fail(followed: Followed) -> None:
        with followed.open() as stream:
            ends.append(collect(stream).end)
            source18.execute("INSERT INTO items SELECT n FROM generate_series(1, 300000) AS n")
            next(stream.changes())
            stream.confirm(ends[0])
            raise ZeroDivisionError

    ends: list[int] = []
    with Followed.begin(source18, ("items", "id")) as followed:
        with pytest.raises(ZeroDivisionError):
            fail(followed)
        assert [followed.confirmed] == ends


def test_an_idle_source_is_at_its_target_at_once(source: Source) -> None:
    source.execute(ITEMS)
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("CREATE TABLE noise AS SELECT 1; INSERT INTO noise SELECT 2")
        with followed.open() as stream:
            begun = time.monotonic()
            found = collect(stream)
            assert time.monotonic() - begun < 0.5
            stream.confirm(found.end)
        assert followed.confirmed >= stream.target
        with followed.open() as stream:
            begun = time.monotonic()
            assert collect(stream).end >= stream.target
            assert time.monotonic() - begun < 0.5


def test_a_boundary_each_second_and_the_source_goes_on(source18: Source) -> None:
    source18.execute(ITEMS + "; CREATE TABLE noise (n int)")
    with Followed.begin(source18, ("items", "id")) as followed, followed.open() as stream:
        target = collect(stream).end
        begun = time.monotonic()
        collect(stream, lambda _: True)
        assert time.monotonic() - begun < 1.5
        source18.execute("INSERT INTO noise VALUES (1)")
        collect(stream, lambda boundary: boundary.position > target)
        source18.execute("INSERT INTO items VALUES (1)")
        found = Collected()
        while not found.batches:
            found = collect(stream, lambda _: True)
        assert found.story() == [("INSERT", {"id": 1, "t": None, "n": None})]


def test_changes_under_way_arrive_while_others_are_made(source18: Source) -> None:
    """A table under write load equals the sum of its changes when the load stops."""
    source18.execute(ITEMS)

    def load(worker: int) -> None:
        with source18.server.connect(source18.database) as connection:
            for number in range(200):
                id = number * 4 + worker
                connection.execute(f"INSERT INTO items VALUES ({id}, 'w', {number})".encode())
                connection.execute(f"UPDATE items SET n = n + 1 WHERE id % 50 = {id % 50}".encode())
                connection.execute(f"DELETE FROM items WHERE id = {id - 400}".encode())

    rows: dict[object, dict[str, object]] = {}
    with Followed.begin(source18, ("items", "id")) as followed, ThreadPoolExecutor() as pool:
        after = followed.confirmed
        done = [pool.submit(load, worker) for worker in range(4)]
        while True:
            finished = all(each.done() for each in done)
            found = followed.collect(after)
            rows, after = applied(found.changes(), ("id",), rows), found.end
            if finished:
                break
        for each in done:
            each.result()
    assert rows == {(id,): {"id": id, "t": t, "n": n} for id, t, n in source18.rows("SELECT * FROM items")}


def test_a_batch_belongs_to_one_table(source18: Source) -> None:
    source18.execute(ITEMS + "; CREATE TABLE other (id int PRIMARY KEY)")
    with Followed.begin(source18, ("items", "id"), ("other", "id")) as followed:
        source18.execute("INSERT INTO items VALUES (1); INSERT INTO other VALUES (1); INSERT INTO items VALUES (2)")
        with followed.open() as stream:
            items = [item for item, _ in zip(stream.changes(), range(3), strict=False)]
    assert [item.table_id if isinstance(item, TableChanges) else "boundary" for item in items] == [
        "items",
        "other",
        "boundary",
    ]


def test_a_message_of_ours_hurries_the_boundary_behind_it(source: Source) -> None:
    """Others, of a transaction or alone, keep nothing from coming."""
    source.execute(ITEMS)
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("SELECT pg_logical_emit_message(false, 'other', 'alone'); INSERT INTO items VALUES (1)")
        with followed.open() as stream:
            source.execute("SELECT pg_logical_emit_message(false, 'other', repeat('x', 100000))")
            end = POSTGRES.log_end(source.config())
            found: list[TableChanges | Boundary] = []
            for item in stream.changes():
                found.append(item)
                if isinstance(item, Boundary) and item.position >= end:
                    break
    assert isinstance(found[-1], Boundary)
    assert any(item.awaited for item in found if isinstance(item, Boundary))
    assert [row["id"] for item in found if isinstance(item, TableChanges) for row in item.rows.to_pylist()] == [1]
