"""Rows that come, change and go in every order that transactions allow."""

import threading

import pytest

from activities.cdc.folding import FOLLOWED_BYTES
from tests.cdc.lab import Lab


@pytest.fixture
def table(lab: Lab) -> Lab:
    """``t`` with the keys 1 to 10, already in the lake."""
    lab.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 10) n"
    )
    lab.follow("t")
    lab.check()
    return lab


def test_insert_update_delete(table: Lab) -> None:
    table.execute(
        "INSERT INTO t VALUES (11, 'new'); UPDATE t SET v = 'changed' WHERE id = 1; DELETE FROM t WHERE id = 2"
    )
    table.check()
    assert table.followers["t"].reads == 1


def test_several_changes_of_one_key_in_one_transaction(table: Lab) -> None:
    table.execute(
        "BEGIN; UPDATE t SET v = 'a' WHERE id = 1; UPDATE t SET v = 'b' WHERE id = 1; DELETE FROM t WHERE id = 1; "
        "INSERT INTO t VALUES (1, 'c'); UPDATE t SET v = 'd' WHERE id = 1; COMMIT"
    )
    table.check()


def test_insert_and_delete_in_one_transaction(table: Lab) -> None:
    table.execute("BEGIN; INSERT INTO t VALUES (20, 'gone'); DELETE FROM t WHERE id = 20; COMMIT")
    table.check()


def test_delete_then_insert_of_the_same_key_across_transactions(table: Lab) -> None:
    table.execute("DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 'again')")
    table.capture()
    table.execute("DELETE FROM t WHERE id = 5")
    table.check()
    table.execute("INSERT INTO t VALUES (5, 'once more')")
    table.check()


def test_a_million_changes_in_one_transaction(table: Lab) -> None:
    table.execute("""
        BEGIN; INSERT INTO t SELECT n, 'bulk' || n FROM generate_series(1001, 601000) n;
        UPDATE t SET v = 'changed' WHERE id % 2 = 0; DELETE FROM t WHERE id % 6 = 0; COMMIT""")
    table.check()


@pytest.mark.parametrize(("changes", "reads"), [(299, 2), (300, 1)])
def test_more_changes_in_one_transaction_than_are_followed(table: Lab, changes: int, reads: int) -> None:
    table.execute("INSERT INTO t SELECT n, 'v' || n FROM generate_series(11, 1000) n")
    table.check()
    table.memory_bytes = 2 * changes * FOLLOWED_BYTES
    table.execute("DELETE FROM t WHERE id > 700")
    table.check()
    assert table.followers["t"].reads == reads


def test_interleaved_transactions(table: Lab) -> None:
    with (
        table.source.server.connect(table.source.database) as one,
        table.source.server.connect(table.source.database) as other,
    ):
        one.execute("BEGIN; UPDATE t SET v = 'one' WHERE id = 1")
        other.execute("BEGIN; UPDATE t SET v = 'other' WHERE id = 2")
        one.execute("UPDATE t SET v = 'one' WHERE id = 3")
        other.execute("INSERT INTO t VALUES (30, 'other'); COMMIT")
        table.check()
        later = threading.Thread(target=lambda: other.execute("UPDATE t SET v = 'later' WHERE id = 1"))
        later.start()
        one.execute("INSERT INTO t VALUES (31, 'one'); COMMIT")
        later.join()
    table.check()


def test_rollback_and_savepoint(table: Lab) -> None:
    table.execute("BEGIN; DELETE FROM t; INSERT INTO t VALUES (1, 'no'); ROLLBACK")
    table.execute("""
        BEGIN; UPDATE t SET v = 'kept' WHERE id = 1; SAVEPOINT s; DELETE FROM t; INSERT INTO t VALUES (40, 'no');
        ROLLBACK TO SAVEPOINT s; INSERT INTO t VALUES (41, 'kept'); COMMIT""")
    table.check()


@pytest.mark.parametrize("option", ["", "CASCADE", "RESTART IDENTITY"])
def test_truncate(table: Lab, option: str) -> None:
    table.execute("CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t); INSERT INTO child VALUES (1, 1)")
    table.follow("child")
    table.check()
    if not option.startswith("CASCADE"):
        table.execute("TRUNCATE child; ALTER TABLE child DROP CONSTRAINT child_t_fkey")
    table.execute(f"INSERT INTO t VALUES (50, 'before'); TRUNCATE t {option}; INSERT INTO t VALUES (1, 'after')")
    table.check()
    table.execute(f"TRUNCATE t {option}")
    table.check()
    assert table.followers["t"].reads == 1


def test_two_phase_commit(source: "object", lab: Lab) -> None:
    lab.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    lab.follow("t")
    lab.check()
    with lab.source.server.connect(lab.source.database) as session:
        if session.execute("SHOW max_prepared_transactions").fetchone() == ("0",):
            pytest.skip("the server was started without prepared transactions")
        name = lab.setup.slot
        session.execute("BEGIN")
        session.execute("INSERT INTO t VALUES (1, 'prepared')")
        session.execute(f"PREPARE TRANSACTION '{name}'".encode())
        lab.check()
        session.execute("INSERT INTO t VALUES (2, 'plain')")
        lab.check()
        session.execute(f"COMMIT PREPARED '{name}'".encode())
    lab.check()
