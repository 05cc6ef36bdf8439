"""Tables that change their shape just while a read begins."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from connectors.errors import BusyError
from connectors.postgres import reader
from tests.connectors.reading import ReadResult
from tests.connectors.source import Source
from tests.kit.platform import eventually

DRIVERS = pytest.mark.parametrize("narrow", [False, True], ids=["fast", "narrow"])
WAITING = """
    SELECT 1 FROM pg_locks
    WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextmanager
def overtaken(source: Source, narrow: bool, statement: str, locked: str = "t") -> Iterator[ReadResult]:
    """What a read gives that has looked at the catalogue and waits for the table, while somebody changes it."""
    look = reader._outline
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(source.server.dsn(source.database)) as other,
        pytest.MonkeyPatch.context() as patch,
    ):

        def look_and_lock(*arguments: Any) -> Any:
            outline = look(*arguments)
            other.execute(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE".encode())
            return outline

        patch.setattr(reader, "_outline", look_and_lock)
        reading = thread.submit(source.read, "t", narrow=narrow)
        eventually(lambda: source.rows(WAITING), "the read to wait for the table", 20)
        other.execute(statement.encode())
        other.commit()
        yield reading.result(60)


CHANGES = {
    "a column of another type": "ALTER TABLE t ALTER v TYPE numeric USING v + 0.5",
    "a column of another type, as wide": "ALTER TABLE t ALTER v TYPE real",
    "a column that is gone": "ALTER TABLE t DROP v",
    "two columns that change their names": "ALTER TABLE t RENAME v TO x; ALTER TABLE t RENAME w TO v",
    "a new column": "ALTER TABLE t ADD n int DEFAULT 7",
    "all rows written anew": "ALTER TABLE t ALTER id TYPE bigint; ALTER TABLE t ALTER id TYPE int",
    "a table emptied": "TRUNCATE t",
    "another table of the same name": "ALTER TABLE t RENAME TO old; CREATE TABLE t AS SELECT 9 AS id, 9 AS v, 9 AS w",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
def test_a_table_that_changes_while_its_read_begins(source18: Source, statement: str) -> None:
    """A snapshot taken before the change sees no row of a table written anew after it: that must not pass for empty."""
    source18.execute(
        "CREATE TABLE t (id int, v int, w int); INSERT INTO t SELECT n, n, -n FROM generate_series(1, 9) n"
    )
    with pytest.raises(BusyError, match="t was changed just as"), overtaken(source18, False, statement):
        pass


@DRIVERS
def test_tables_below_a_view_that_are_emptied_while_its_read_begins(source18: Source, narrow: bool) -> None:
    source18.execute("""
        CREATE TABLE leaves (id int) PARTITION BY RANGE (id);
        CREATE TABLE leaf PARTITION OF leaves FOR VALUES FROM (0) TO (10);
        INSERT INTO leaves SELECT generate_series(1, 9);
        CREATE VIEW t AS SELECT * FROM leaves""")
    with pytest.raises(BusyError, match="t was changed just as"), overtaken(source18, narrow, "TRUNCATE leaf", "leaf"):
        pass


@DRIVERS
def test_rows_that_change_while_a_read_begins_do_not_hold_it_up(source18: Source, narrow: bool) -> None:
    source18.execute(
        "CREATE TABLE t (id int, v int, w int); INSERT INTO t SELECT n, n, -n FROM generate_series(1, 9) n"
    )
    with overtaken(source18, narrow, "UPDATE t SET v = 0; DELETE FROM t WHERE id > 5") as result:
        assert result.column("v") == list(range(1, 10))
