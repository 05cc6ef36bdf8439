"""Parts of a table, of one snapshot: each row once, and whether a later snapshot has the same rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import Division, HeldSnapshot, Part, ReadRequest, RowFilter, Snapshot
from connectors.errors import SnapshotLostError
from tests.connectors.source import POSTGRES, Source

PART_BYTES = 256 * 1024
PLAIN = [
    "CREATE TABLE t (id int, v text, n numeric) WITH (autovacuum_enabled = off)",
    "INSERT INTO t SELECT n, repeat('x', 80), n FROM generate_series(1, 9000) n",
]
TREE = [
    "CREATE TABLE t (id int, v text, n numeric) PARTITION BY RANGE (id)",
    "CREATE TABLE t_a PARTITION OF t FOR VALUES FROM (0) TO (7000) PARTITION BY LIST (n)",
    "CREATE TABLE t_a_0 PARTITION OF t_a FOR VALUES IN (0)",
    "CREATE TABLE t_a_rest PARTITION OF t_a DEFAULT",
    "CREATE TABLE t_b PARTITION OF t FOR VALUES FROM (7000) TO (8000)",
    "CREATE TABLE t_rest PARTITION OF t DEFAULT",
    "INSERT INTO t SELECT n, repeat('x', 80), n % 2 FROM generate_series(1, 9000) n",
]
KINDS = {"plain": PLAIN, "tree": TREE}


@pytest.fixture(params=KINDS)
def table(request: pytest.FixtureRequest, source: Source) -> Source:
    for statement in KINDS[request.param]:
        source.execute(statement)
    return source


@pytest.fixture
def plain(source18: Source) -> Source:
    for statement in PLAIN:
        source18.execute(statement)
    return source18


def divided(source: Source, name: str = "t", part_bytes: int = PART_BYTES) -> tuple[Part, ...]:
    with POSTGRES.read_or_divide(source.config(), ReadRequest(name, "divide"), part_bytes) as found:
        return found.parts if isinstance(found, Division) else ()


@contextmanager
def held(source: Source) -> Iterator[HeldSnapshot]:
    with POSTGRES.hold(source.config(), "t", "holder") as snapshot:
        yield snapshot


def rows(source: Source, part: Part, snapshot: Snapshot, **request: Any) -> pa.Table:
    return source.read("t", part=part, snapshot=snapshot, **request).table


def unchanged(source: Source, part: Part, since: Snapshot, count: int) -> bool:
    with held(source) as now:
        request = ReadRequest("t", "again", part=part, snapshot=now.snapshot)
        return POSTGRES.is_unchanged(source.config(), request, since, count)


def test_the_parts_hold_each_row_of_the_snapshot_once(table: Source) -> None:
    expected = table.rows("SELECT id, v, n FROM t ORDER BY id")
    parts = divided(table)
    assert len(parts) > 3
    with held(table) as holder:
        table.execute("UPDATE t SET v = 'changed' WHERE id % 3 = 0")
        table.execute("UPDATE t SET id = id + 100000 WHERE id % 3 = 1")
        table.execute("DELETE FROM t WHERE id % 3 = 2")
        table.execute("INSERT INTO t SELECT n, 'late', 0 FROM generate_series(20000, 40000) n")
        read = [
            rows(table, part, holder.snapshot, narrow=number % 2 == 1) for number, part in enumerate(reversed(parts))
        ]
    assert sum(1 for each in read if each.num_rows) > 3
    found = pa.concat_tables(read).sort_by("id")
    assert [tuple(row.values()) for row in found.to_pylist()] == expected


def test_what_is_small_or_has_no_blocks_of_its_own_is_not_divided(plain: Source) -> None:
    plain.execute("CREATE VIEW seen AS SELECT * FROM t")
    plain.execute("CREATE TABLE parent (LIKE t); CREATE TABLE child () INHERITS (parent); INSERT INTO parent TABLE t")
    assert divided(plain, part_bytes=10 * 1024 * 1024) == ()
    assert divided(plain, "seen") == ()
    assert divided(plain, "parent") == ()
    assert len(divided(plain, part_bytes=8192)) == 64


def test_values_out_of_line_count(plain: Source) -> None:
    plain.execute("CREATE TABLE wide (id int, v text); ALTER TABLE wide ALTER v SET STORAGE EXTERNAL")
    plain.execute("INSERT INTO wide SELECT n, repeat('w', 20000) FROM generate_series(1, 1000) n")
    assert len(divided(plain, "wide", 4 * 1024 * 1024)) > 3


@pytest.mark.parametrize("narrow", [False, True])
def test_a_snapshot_that_has_ended(plain: Source, narrow: bool) -> None:
    part = divided(plain)[0]
    with held(plain) as holder:
        snapshot = holder.snapshot
    with pytest.raises(SnapshotLostError, match="no longer held"):
        rows(plain, part, snapshot, narrow=narrow)


def test_a_holder_notices_the_end_of_its_session(plain: Source) -> None:
    with held(plain) as holder:
        assert holder.is_held(0.1)
        plain.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncline-holder'")
        assert not holder.is_held(10) or not holder.is_held(10)


REWRITES = {
    "full vacuum": "VACUUM FULL t",
    "truncate": "TRUNCATE t",
    "new column": "ALTER TABLE t ADD COLUMN w int DEFAULT 7",
}


@pytest.mark.parametrize("how", REWRITES)
def test_a_table_that_was_rewritten_is_not_read_on(plain: Source, how: str) -> None:
    first, second, *_ = divided(plain)
    with held(plain) as holder:
        count = rows(plain, first, holder.snapshot).num_rows
        plain.execute(REWRITES[how])
        with pytest.raises(SnapshotLostError, match="rewritten"):
            rows(plain, second, holder.snapshot)
        since = holder.snapshot
    assert not unchanged(plain, first, since, count)


def test_partitions_that_come_and_go(source18: Source) -> None:
    for statement in TREE:
        source18.execute(statement)
    first, second, *_ = divided(source18)
    source18.execute("CREATE TABLE old AS SELECT n AS id, 'x' AS v, 0.0 AS n FROM generate_series(50000, 60000) n")
    with held(source18) as holder:
        # A new one has no row of the snapshot; one that was a table of its own may have.
        source18.execute("CREATE TABLE t_new PARTITION OF t FOR VALUES FROM (70000) TO (80000)")
        rows(source18, first, holder.snapshot)
        source18.execute("ALTER TABLE t ATTACH PARTITION old FOR VALUES FROM (50000) TO (60001)")
        with pytest.raises(SnapshotLostError):
            rows(source18, second, holder.snapshot)


CHANGES = {
    "nothing": ("SELECT", True),
    "a vacuum": ("VACUUM (FREEZE) t", True),
    "a change elsewhere": ("UPDATE t SET v = 'new' WHERE id = 9000", True),
    "an update": ("UPDATE t SET v = 'new' WHERE id = 5", False),
    "a changed key": ("UPDATE t SET id = -1 WHERE id = 5", False),
    "a deleted row": ("DELETE FROM t WHERE id = 5", False),
    "a row for another": ("DELETE FROM t WHERE id = 5; VACUUM t; INSERT INTO t VALUES (5, repeat('x', 80), 5)", False),
    "an update that was taken back": (
        "DO $$BEGIN UPDATE t SET v = 'n';RAISE 'no';EXCEPTION WHEN raise_exception THEN END$$",
        True,
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whether_a_part_is_what_it_was(plain: Source, what: str) -> None:
    statements, same = CHANGES[what]
    part = divided(plain)[0]
    with held(plain) as holder:
        count = rows(plain, part, holder.snapshot).num_rows
        since = holder.snapshot
    for statement in statements.split("; "):
        plain.execute(statement)
    assert unchanged(plain, part, since, count) is same


def test_a_filter_narrows_what_must_be_unchanged(plain: Source) -> None:
    part = divided(plain)[0]
    few = (RowFilter("id", "<", 5),)
    with held(plain) as holder:
        since = holder.snapshot
        assert rows(plain, part, since, filters=few).num_rows == 4
    plain.execute("UPDATE t SET v = 'new' WHERE id = 7")
    with held(plain) as now:
        request = ReadRequest("t", "again", part=part, snapshot=now.snapshot, row_filters=few)
        assert POSTGRES.is_unchanged(plain.config(), request, since, 4)
    plain.execute("UPDATE t SET id = 3 WHERE id = 8")
    with held(plain) as now:
        request = ReadRequest("t", "again", part=part, snapshot=now.snapshot, row_filters=few)
        assert not POSTGRES.is_unchanged(plain.config(), request, since, 4)


def test_a_part_says_which_numbers_must_be_text(plain: Source) -> None:
    plain.execute("UPDATE t SET n = 1e30 WHERE id = 9000")
    first, *_ = parts = divided(plain)
    with held(plain) as holder:
        reports = [plain.read("t", part=part, snapshot=holder.snapshot).report.text_columns for part in parts]
        assert set(reports) == {(), ("n",)}
        again = plain.read("t", part=first, snapshot=holder.snapshot, text_columns=("n",))
    assert again.report.text_columns == ("n",)
    assert again.column("n")[0] == "1"
