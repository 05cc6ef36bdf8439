"""Values that change at the source: in the lake they are what a read of the table gives."""

import pytest

from tests.cdc.lab import Lab
from tests.connectors.type_cases import CUSTOM_TYPES, EVERY_TYPE

COLUMNS = ", ".join(f"v{number}" for number in range(len(EVERY_TYPE.cases)))
GIVEN = COLUMNS.replace("v", "given.v")


def test_every_type_of_the_contract_through_insert_and_update(lab: Lab) -> None:
    lab.execute(CUSTOM_TYPES + EVERY_TYPE.statements())
    lab.execute("""
        ALTER TABLE every_type RENAME TO given;
        CREATE TABLE every_type (LIKE given INCLUDING ALL);
        CREATE TABLE updated (LIKE given INCLUDING ALL);
        INSERT INTO updated (id) SELECT id FROM given""")
    lab.follow("every_type")
    lab.follow("updated")
    lab.check()
    lab.execute(f"""
        INSERT INTO every_type SELECT * FROM given;
        UPDATE updated SET ({COLUMNS}) = ROW({GIVEN}) FROM given WHERE given.id = updated.id""")
    lab.check()
    lab.execute("UPDATE every_type SET id = id + 1000; DELETE FROM updated WHERE id % 2 = 0")
    lab.check()


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_toast_column_unchanged_by_an_update(lab: Lab, identity: str) -> None:
    lab.execute(f"""
        CREATE TABLE t (id int PRIMARY KEY, v int, long text, blob bytea);
        ALTER TABLE t ALTER COLUMN long SET STORAGE EXTERNAL, ALTER COLUMN blob SET STORAGE EXTERNAL;
        ALTER TABLE t REPLICA IDENTITY {identity};
        INSERT INTO t SELECT n, n, repeat('long', 2000), decode(repeat('00ff', 4000), 'hex')
            FROM generate_series(1, 20) n""")
    lab.follow("t")
    lab.check()
    lab.execute("""
        UPDATE t SET v = v + 1;
        UPDATE t SET long = repeat('other', 2000) WHERE id <= 5;
        UPDATE t SET v = v + 1 WHERE id <= 10;
        UPDATE t SET blob = null WHERE id = 3;
        INSERT INTO t VALUES (100, 0, repeat('new', 2000), null);
        UPDATE t SET v = 7 WHERE id = 100""")
    lab.check()
    lab.execute("UPDATE t SET id = id + 1000; UPDATE t SET id = id + 1000, v = 0 WHERE id % 2 = 0")
    lab.check()


def test_update_of_a_key_column(lab: Lab) -> None:
    lab.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, n FROM generate_series(1, 9) n")
    lab.follow("t")
    lab.check()
    lab.execute("""
        UPDATE t SET id = -id;
        BEGIN; UPDATE t SET id = 100 WHERE id = -1; UPDATE t SET id = -1 WHERE id = -2;
        UPDATE t SET id = -2 WHERE id = 100; COMMIT;
        UPDATE t SET id = 50, v = 'moved' WHERE id = -3; INSERT INTO t VALUES (-3, 'in its place')""")
    lab.check()


def test_null_and_value(lab: Lab) -> None:
    lab.execute("CREATE TABLE t (id int PRIMARY KEY, a int, b text); INSERT INTO t VALUES (1, 1, 'x'), (2, null, null)")
    lab.follow("t")
    lab.check()
    lab.execute("UPDATE t SET a = null, b = null WHERE id = 1; UPDATE t SET a = 2, b = '' WHERE id = 2")
    lab.check()


def test_a_value_of_100_mb(lab: Lab) -> None:
    lab.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'small'), (2, 'small')")
    lab.follow("t")
    lab.check()
    lab.execute("UPDATE t SET v = repeat('0123456789', 10000000) WHERE id = 1; INSERT INTO t VALUES (3, 'after')")
    lab.check()
    lab.execute("UPDATE t SET id = 4 WHERE id = 1")
    lab.check()


def test_wide_rows(lab: Lab) -> None:
    columns = ", ".join(f"c{n} {('int', 'text', 'numeric(12,3)', 'timestamptz')[n % 4]}" for n in range(300))
    values = ", ".join(
        ("n", "'t' || n", "n / 7.0", "timestamptz '2026-01-01' + n * interval '1 s'")[n % 4] for n in range(300)
    )
    lab.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns}); CREATE TABLE j (id int PRIMARY KEY, v jsonb)")
    lab.follow("t")
    lab.follow("j")
    lab.check()
    lab.execute(f"""
        INSERT INTO t SELECT n, {values} FROM generate_series(1, 500) n;
        UPDATE t SET c7 = null, c299 = now() WHERE id % 3 = 0;
        INSERT INTO j SELECT n, jsonb_build_object('n', n, 'long', (SELECT string_agg(md5(n::text || i), '')
            FROM generate_series(1, 1500) i)) FROM generate_series(1, 100) n;
        UPDATE j SET v = v || '{{"more": 1}}' WHERE id % 2 = 0""")
    lab.check()
