"""Columns that come, go and change while changes stream: the lake has what a read of the table gives."""

from typing import Any

import pytest

from activities.cdc import capturing
from connectors.postgres.replication import stream
from tests.cdc.lab import Lab


@pytest.fixture
def table(lab: Lab) -> Lab:
    lab.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(5)); "
        "INSERT INTO t SELECT n, n, 'b' || n FROM generate_series(1, 10) n"
    )
    lab.follow("t")
    lab.check()
    return lab


def alter(lab: Lab, statement: str, after: str = "UPDATE t SET a = a + 1 WHERE id % 2 = 0") -> None:
    """With changes right before it, in its transaction, and after it."""
    lab.execute(
        f"UPDATE t SET a = 100 WHERE id = 1; BEGIN; UPDATE t SET a = 200 WHERE id = 2; {statement}; "
        f"{after}; COMMIT; INSERT INTO t (id, a) VALUES (11, 11); DELETE FROM t WHERE id = 3"
    )
    lab.check()
    lab.execute("INSERT INTO t (id, a) VALUES (12, 12)")
    lab.check()


def test_add_a_column(table: Lab) -> None:
    alter(table, "ALTER TABLE t ADD COLUMN c text", "UPDATE t SET c = 'c' WHERE id > 5")
    assert table.followers["t"].reads == 1


@pytest.mark.parametrize("default", ["DEFAULT 'd'", "DEFAULT gen_random_uuid()::text", "NOT NULL DEFAULT ''"])
def test_add_a_column_with_a_default(table: Lab, default: str) -> None:
    alter(table, f"ALTER TABLE t ADD COLUMN c text {default}")


def test_add_a_column_with_a_default_that_is_dropped_at_once(table: Lab) -> None:
    alter(table, "ALTER TABLE t ADD COLUMN c text DEFAULT 'd'; ALTER TABLE t ALTER COLUMN c DROP DEFAULT")


def test_drop_a_column(table: Lab) -> None:
    alter(table, "ALTER TABLE t DROP COLUMN b")
    assert table.followers["t"].reads == 1


def test_drop_a_column_and_make_one_of_its_name(table: Lab) -> None:
    alter(table, "ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b varchar(5)")


def test_rename_a_column(table: Lab) -> None:
    alter(table, "ALTER TABLE t RENAME COLUMN b TO c")


def test_columns_that_swap_their_names(table: Lab) -> None:
    table.execute("ALTER TABLE t ADD COLUMN c varchar(5); UPDATE t SET c = 'c'")
    table.check()
    alter(
        table,
        "ALTER TABLE t RENAME COLUMN b TO x; ALTER TABLE t RENAME COLUMN c TO b; ALTER TABLE t RENAME COLUMN x TO c",
    )


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER COLUMN a TYPE bigint",
        "ALTER COLUMN a TYPE numeric(20,2)",
        "ALTER COLUMN b TYPE varchar(50)",
        "ALTER COLUMN b TYPE text",
        "ALTER COLUMN a TYPE text",
    ],
)
def test_widen_a_column(table: Lab, statement: str) -> None:
    after = "UPDATE t SET a = a WHERE id % 2 = 0" if "text" in statement else "UPDATE t SET a = a + 1 WHERE id % 2 = 0"
    table.execute(f"UPDATE t SET a = 100 WHERE id = 1; BEGIN; ALTER TABLE t {statement}; {after}; COMMIT")
    table.check()
    table.execute("UPDATE t SET b = 'after' WHERE id < 5")
    table.check()


def test_narrow_a_column(table: Lab) -> None:
    table.execute("ALTER TABLE t ALTER COLUMN a TYPE smallint, ALTER COLUMN b TYPE varchar(2) USING left(b, 2)")
    table.check()
    table.execute("UPDATE t SET a = 5 WHERE id = 5")
    table.check()


def test_values_that_change_with_the_type(table: Lab) -> None:
    table.execute("ALTER TABLE t ALTER COLUMN b TYPE varchar(5) USING upper(b)")
    table.check()


def test_another_key(table: Lab) -> None:
    table.execute(
        "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (a); UPDATE t SET b = 'x' WHERE a = 1"
    )
    table.execute("ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET id = 50 WHERE id = 2; DELETE FROM t WHERE id = 3")
    table.check()


def test_changes_while_the_table_is_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are older than the read, newer, or both: the lake has the last state of each row."""
    lab.execute("""
        CREATE TABLE t (id int PRIMARY KEY, a int, long text); ALTER TABLE t ALTER COLUMN long SET STORAGE EXTERNAL;
        INSERT INTO t SELECT n, n, repeat('long', 2000) FROM generate_series(1, 10) n""")
    lab.follow("t")
    statements = """
        UPDATE t SET a = a + 1; UPDATE t SET id = id + 100 WHERE id < 4;
        DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 5)"""
    monkeypatch.setattr(lab, "while_reading", lambda: lab.execute(statements))
    lab.execute("UPDATE t SET a = a + 1; DELETE FROM t WHERE id = 9")
    lab.check()


def test_a_read_is_followed_from_where_the_log_has_its_shape(table: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture that catches up is cut off before the transaction that the catalogue shows already."""
    monkeypatch.setattr(stream, "CHUNK_MESSAGES", 4)
    monkeypatch.setattr(capturing, "ENTRY_BYTES", 0)
    table.execute("INSERT INTO t (id) VALUES (100)")
    table.execute("BEGIN; UPDATE t SET a = 8 WHERE id = 2; ALTER TABLE t ADD COLUMN more text DEFAULT 'd'; COMMIT")

    def cut(rows: int, size_bytes: int, expected: int | None = None, told: Any = None) -> None:
        if told is not None:
            raise CutOffError

    with pytest.raises(CutOffError):
        table.capture(cut)
    cut_off = table.log.entry(1, table.log.head(1))
    assert cut_off is not None
    assert not cut_off.is_settled
    table.sync("t")
    assert table.followers["t"].reads == 2
    table.compare("t")
    table.check()
    assert table.followers["t"].reads == 2


class CutOffError(Exception):
    pass
