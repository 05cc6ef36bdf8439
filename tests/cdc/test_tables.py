"""Tables of every kind and name, and what is done to tables as a whole."""

import pytest

from connectors.capture import FollowedTable
from lake.storage import LakeStore
from tests.cdc.lab import POSTGRES, Lab, open_lab
from tests.connectors.source import Source


def test_no_primary_key_is_refused_unless_the_identity_is_full(lab: Lab) -> None:
    lab.execute("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    table = [FollowedTable("t", "t", ("id",))]
    (problem,) = POSTGRES.capture_problems(lab.config, lab.setup, table, existing=True)
    lab.execute(problem.fix)
    assert POSTGRES.capture_problems(lab.config, lab.setup, table, existing=True) == []
    lab.follow("t", "id")
    lab.check()
    lab.execute("UPDATE t SET v = 'c', id = 3 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (4, null)")
    lab.check()


def test_replica_identity_nothing_is_refused(lab: Lab) -> None:
    lab.execute("CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t REPLICA IDENTITY NOTHING")
    table = [FollowedTable("t", "t", ("id",))]
    assert POSTGRES.capture_problems(lab.config, lab.setup, table, existing=True)
    lab.follow("t")
    lab.capture()
    lab.execute("INSERT INTO t VALUES (1, 'a'); UPDATE t SET v = 'b'; DELETE FROM t")


def test_composite_keys(lab: Lab) -> None:
    lab.execute("""
        CREATE TABLE t (a text COLLATE "C", b timestamptz, c numeric(10,2), v int, PRIMARY KEY (a, b, c));
        INSERT INTO t SELECT 'k' || n % 3, timestamptz '2026-01-01' + n * interval '1 h', n / 3.0, n
            FROM generate_series(1, 50) n""")
    lab.follow("t", "a", "b", "c")
    lab.check()
    lab.execute("UPDATE t SET v = 0 WHERE a = 'k1'; UPDATE t SET a = 'ü' WHERE a = 'k2'; DELETE FROM t WHERE v > 40")
    lab.check()


def test_partitioned_via_the_root(lab: Lab) -> None:
    lab.execute("""
        CREATE TABLE t (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (id);
        CREATE TABLE t1a PARTITION OF t1 FOR VALUES IN (1, 2, 3);
        CREATE TABLE t1b PARTITION OF t1 DEFAULT;
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
        INSERT INTO t SELECT n, date '2026-01-01' + n, 'v' FROM generate_series(1, 50) n""")
    lab.follow("t", "id", "at")
    lab.check()
    lab.execute("""
        UPDATE t SET v = 'w' WHERE id < 10; UPDATE t SET at = '2026-02-20' WHERE id = 1; DELETE FROM t WHERE id = 2;
        INSERT INTO t1a VALUES (3, '2026-01-30', 'by the leaf');
        CREATE TABLE t3 PARTITION OF t FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
        INSERT INTO t VALUES (60, '2026-03-05', 'in a new one')""")
    lab.check()
    assert lab.followers["t"].reads == 1


@pytest.mark.parametrize("statement", ["TRUNCATE t1", "DROP TABLE t1", "ALTER TABLE t DETACH PARTITION t1"])
def test_a_partition_that_goes(lab: Lab, statement: str) -> None:
    lab.execute("""
        CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (100);
        INSERT INTO t SELECT n, 'v' FROM generate_series(1, 50) n""")
    lab.follow("t")
    lab.check()
    lab.execute(f"UPDATE t SET v = 'w' WHERE id = 20; {statement}")
    lab.check()


@pytest.mark.parametrize("at_once", [False, True])
def test_a_partition_that_comes_with_rows(lab: Lab, at_once: bool) -> None:
    lab.execute("""
        CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); INSERT INTO t VALUES (1, 'v')""")
    lab.follow("t")
    lab.check()
    made = "CREATE TABLE t2 (id int PRIMARY KEY, v text); INSERT INTO t2 VALUES (20, 'brought along')"
    attached = "ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (10) TO (100)"
    if at_once:
        lab.execute(f"BEGIN; {made}; {attached}; COMMIT")
    else:
        lab.execute(made)
        lab.execute(attached)
    lab.check()


def test_inheritance_is_refused(lab: Lab) -> None:
    lab.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE child (v int) INHERITS (t)")
    table = [FollowedTable("t", "t", ("id",))]
    codes = [each.code for each in POSTGRES.capture_problems(lab.config, lab.setup, table, existing=True)]
    assert codes == ["inherited_table"]


def test_a_renamed_table(lab: Lab) -> None:
    """The old name stays as it was; the new one is another table."""
    lab.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    lab.follow("t")
    lab.check()
    lab.execute("ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (2, 'b')")
    lab.follow("u")
    lab.check("u")
    lab.execute("UPDATE u SET v = 'c'")
    lab.check("u")


def test_a_dropped_and_recreated_table(lab: Lab) -> None:
    lab.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    lab.follow("t")
    lab.check()
    lab.execute(
        "UPDATE t SET v = 'c'; DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); "
        "INSERT INTO t VALUES (2, 'new'), (3, 'new')"
    )
    lab.check()
    lab.execute("UPDATE t SET v = 'newer' WHERE id = 3")
    lab.check()


def test_quoted_and_unicode_names(lab: Lab) -> None:
    lab.execute('CREATE TABLE "Таб ""лица.1" ("Id" int PRIMARY KEY, "naïve ☃" text, "a b,c;d" int)')
    lab.execute("""INSERT INTO "Таб ""лица.1" VALUES (1, 'ü', 1), (2, null, 2)""")
    table = 'Таб "лица.1'
    lab.follow(table, "Id")
    lab.capture()
    lab.sync(table)
    lab.execute("""UPDATE "Таб ""лица.1" SET "naïve ☃" = 'x', "a b,c;d" = null WHERE "Id" = 1;
                   INSERT INTO "Таб ""лица.1" VALUES (3, 'y', 3); DELETE FROM "Таб ""лица.1" WHERE "Id" = 2""")
    lab.capture()
    lab.sync(table)
    found = lab.rows(table).select(["Id", "naïve_☃", "a_b_c_d"]).to_pylist()
    assert sorted(map(tuple, (row.values() for row in found))) == [(1, "x", None), (3, "y", 3)]


def test_several_schemas(source: Source, store: LakeStore) -> None:
    source.execute(
        "CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.t (id int PRIMARY KEY, v text); "
        "CREATE TABLE two.t (id int PRIMARY KEY, v text); INSERT INTO one.t VALUES (1, 'one')"
    )
    with open_lab(source, store, schema=None) as lab:
        lab.follow("one.t")
        lab.follow("two.t")
        lab.capture()
        for table in lab.followers:
            lab.sync(table)
        lab.execute("INSERT INTO two.t VALUES (1, 'two'); UPDATE one.t SET v = 'changed'")
        lab.capture()
        for table, expected in (("one.t", "changed"), ("two.t", "two")):
            lab.sync(table)
            assert lab.rows(table).column("v").to_pylist() == [expected]


def test_generated_columns(lab: Lab) -> None:
    """Before PostgreSQL 18 the log does not have them: they are left out, and never half right."""
    lab.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED); "
        "INSERT INTO t (id, v) VALUES (1, 1)"
    )
    lab.follow("t")
    logged = lab.source.server.version >= 18
    but = () if logged else ("twice",)
    lab.check(but=but)
    lab.execute("INSERT INTO t (id, v) VALUES (2, 2); UPDATE t SET v = 3 WHERE id = 1")
    lab.check(but=but)
    assert ("twice" in lab.rows("t").column_names) == logged


def test_500_tables_of_one_source(lab: Lab) -> None:
    names = [f"t{number}" for number in range(500)]
    lab.execute(";".join(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)" for name in names))
    for name in names:
        lab.follow(name)
    lab.capture()
    followed = names[::100]
    for name in followed:
        lab.sync(name)
    lab.execute("BEGIN;" + ";".join(f"INSERT INTO {name} VALUES (1, '{name}')" for name in names) + "; COMMIT")
    lab.check(*followed)
    entry = lab.log.entry(1, lab.log.head(1))
    assert entry is not None
    assert sum(part.rows for parts in entry.segments.values() for part in parts) == 500
