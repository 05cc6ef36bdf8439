"""Which tables' changes come, under which names, and what happens when tables change while they are followed."""

from decimal import Decimal

import psycopg
import pytest

from connectors.capture import FollowedTable, Op
from tests.connectors.following import Followed, applied
from tests.connectors.source import Source

PARTITIONED = """
CREATE TABLE sales (id int, region text, n int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE north PARTITION OF sales FOR VALUES IN ('n');
CREATE TABLE south (n int, gone int, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region));
ALTER TABLE south DROP gone; ALTER TABLE sales ATTACH PARTITION south FOR VALUES IN ('s');
CREATE TABLE rest PARTITION OF sales DEFAULT PARTITION BY RANGE (id);
CREATE TABLE rest_all PARTITION OF rest DEFAULT"""


def test_quoted_and_unicode_names_in_several_schemas(source: Source) -> None:
    source.execute("""
        CREATE SCHEMA "my.schema"; CREATE SCHEMA "Größe";
        CREATE TABLE "my.schema"."a ""b"" c" ("Id" int PRIMARY KEY, "ü, x" text);
        CREATE TABLE "Größe"."Größe" ("Id" int PRIMARY KEY);
        CREATE TABLE public.plain (id int PRIMARY KEY); CREATE TABLE "Größe".plain (id int PRIMARY KEY)""")
    names = source.discover(schema="")
    assert {'"my.schema"."a ""b"" c"', "Größe.Größe", "public.plain", "Größe.plain"} == names.keys()
    with Followed.begin(source, *((name, "Id") for name in names), publication="ALL TABLES") as followed:
        source.execute("""
            INSERT INTO "my.schema"."a ""b"" c" VALUES (1, 'x'); INSERT INTO "Größe"."Größe" VALUES (2);
            INSERT INTO public.plain VALUES (3); INSERT INTO "Größe".plain VALUES (4)""")
        found = followed.collect(schema="")
    assert {change.table: change.row for change in found.changes()} == {
        '"my.schema"."a ""b"" c"': {"Id": 1, "ü, x": "x"},
        "Größe.Größe": {"Id": 2},
        "public.plain": {"id": 3},
        "Größe.plain": {"id": 4},
    }


def test_a_source_of_one_schema_has_the_tables_of_no_other(source18: Source) -> None:
    source18.execute(
        "CREATE SCHEMA other; CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other.t (id int PRIMARY KEY)"
    )
    with Followed.begin(source18, ("t", "id"), publication="ALL TABLES") as followed:
        source18.execute("INSERT INTO t VALUES (1); INSERT INTO other.t VALUES (2)")
        found = followed.collect()
    assert found.story() == [("INSERT", {"id": 1})]


@pytest.mark.parametrize("via_root", [True, False], ids=["root", "leaves"])
def test_changes_of_partitions_are_those_of_their_root(source: Source, via_root: bool) -> None:
    source.execute(PARTITIONED)
    publication = f"TABLE sales WITH (publish_via_partition_root = {via_root})"
    with Followed.begin(source, ("sales", "id,region"), publication=publication) as followed:
        source.execute("INSERT INTO sales VALUES (1, 'n', 10), (2, 's', 20), (3, 'x', 30), (4, 'n', 40)")
        source.execute("UPDATE sales SET region = 's' WHERE id = 1; UPDATE sales SET region = 'n' WHERE id = 1")
        source.execute("UPDATE sales SET n = n + 1; DELETE FROM sales WHERE id = 4")
        found = followed.collect()
        first = found.end
        expected = {(id, region): n for id, region, n in source.rows("SELECT * FROM sales")}
        source.execute("TRUNCATE sales; INSERT INTO sales VALUES (5, 'x', 50)")
        then = followed.collect(first)

    assert len(found.batches) == 1
    rows = applied(found.changes("sales"), ("id", "region"))
    assert {key: row["n"] for key, row in rows.items()} == expected
    # Where they are published by themselves, so are their truncates, of which there is no more to say than of one.
    truncates = [("TRUNCATE", {})] if via_root else []
    assert then.story("sales") == [*truncates, ("INSERT", {"id": 5, "region": "x", "n": 50})]


def test_to_truncate_a_partition_says_nothing_of_its_root(source: Source) -> None:
    source.execute(PARTITIONED)
    with Followed.begin(source, ("sales", "id,region")) as followed:
        source.execute("INSERT INTO sales VALUES (1, 'n', 10), (2, 's', 20); TRUNCATE north")
        source.execute("INSERT INTO sales VALUES (3, 'n', 10)")
        found = followed.collect()
    assert [change.op for change in found.changes()] == [Op.INSERT] * 3


def test_rows_of_a_child_are_rows_of_its_parent(source18: Source) -> None:
    source18.execute("""
        CREATE TABLE parents (id int PRIMARY KEY, t text);
        CREATE TABLE children (PRIMARY KEY (id), extra int) INHERITS (parents)""")
    with Followed.begin(source18, ("parents", "id"), ("children", "id")) as followed:
        source18.execute("INSERT INTO parents VALUES (1, 'p'); INSERT INTO children VALUES (2, 'c', 5)")
        source18.execute("TRUNCATE children")
        found = followed.collect()
    assert found.story("parents") == [("INSERT", {"id": 1, "t": "p"}), ("INSERT", {"id": 2, "t": "c"})]
    assert found.story("children") == [("INSERT", {"id": 2, "t": "c", "extra": 5}), ("TRUNCATE", {})]


def test_columns_that_come_and_go_in_the_middle(source: Source) -> None:
    source.execute("CREATE TABLE items (id int PRIMARY KEY, a int, b text); INSERT INTO items VALUES (0, 0, '')")
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("INSERT INTO items VALUES (1, 1, 'x'); ALTER TABLE items ADD c date DEFAULT '2024-01-01'")
        source.execute("INSERT INTO items VALUES (2, 2, 'y'); ALTER TABLE items DROP a")
        source.execute("INSERT INTO items VALUES (3, 'z'); ALTER TABLE items RENAME b TO \"B\"")
        source.execute("INSERT INTO items VALUES (4, '1.5'); ALTER TABLE items ALTER \"B\" TYPE numeric(5,2) USING 7")
        source.execute("UPDATE items SET c = NULL WHERE id = 0")
        source.execute(
            "ALTER TABLE items ADD b int, DROP c; ALTER TABLE items ADD c bool; DELETE FROM items WHERE id = 1"
        )
        source.execute("INSERT INTO items VALUES (5, 8.25, 9, true)")
        found = followed.collect()
    story = [(op, {name: str(value) for name, value in row.items()}) for op, row in found.story()]
    assert story == [
        ("INSERT", {"id": "1", "a": "1", "b": "x"}),
        ("INSERT", {"id": "2", "a": "2", "b": "y", "c": "2024-01-01"}),
        ("INSERT", {"id": "3", "b": "z", "c": "2024-01-01"}),
        ("INSERT", {"id": "4", "B": "1.5", "c": "2024-01-01"}),
        ("UPDATE", {"id": "0", "B": "7.00", "c": "None"}),
        ("DELETE", {"id": "1", "B": "None", "b": "None", "c": "None"}),
        ("INSERT", {"id": "5", "B": "8.25", "b": "9", "c": "True"}),
    ]


def test_a_table_changes_in_the_middle_of_a_transaction(source: Source) -> None:
    source.execute("CREATE TABLE items (id int PRIMARY KEY, a int, b int)")
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("""
            BEGIN; INSERT INTO items VALUES (1, 2, 3); ALTER TABLE items DROP a; ALTER TABLE items ADD a int;
            INSERT INTO items VALUES (4, 5, 6); ALTER TABLE items ALTER a TYPE text; UPDATE items SET a = 'x';
            UPDATE items SET id = 7 WHERE id = 4; COMMIT""")
        found = followed.collect()
    assert [(change.op.name, change.row, change.ordinal) for change in found.changes()] == [
        ("INSERT", {"id": 1, "a": 2, "b": 3}, 0),
        ("INSERT", {"id": 4, "b": 5, "a": 6}, 1),
        ("UPDATE", {"id": 1, "b": 3, "a": "x"}, 2),
        ("UPDATE", {"id": 4, "b": 5, "a": "x"}, 3),
        ("DELETE", {"id": 4, "b": None, "a": None}, 4),
        ("MOVE", {"id": 7, "b": 5, "a": "x"}, 5),
    ]


def test_a_renamed_table_is_another_one(source: Source) -> None:
    source.execute("CREATE TABLE items (id int PRIMARY KEY); CREATE TABLE spare (id int PRIMARY KEY, t text)")
    with Followed.begin(source, ("items", "id"), publication="ALL TABLES") as followed:
        source.execute("INSERT INTO items VALUES (1); INSERT INTO spare VALUES (2)")
        source.execute("ALTER TABLE items RENAME TO old; ALTER TABLE spare RENAME TO items")
        source.execute("INSERT INTO old VALUES (3); INSERT INTO items VALUES (4, 'x')")
        found = followed.collect()
    assert found.story() == [("INSERT", {"id": 1}), ("INSERT", {"id": 4, "t": "x"})]


def test_a_table_that_was_dropped_and_made_again(source: Source) -> None:
    source.execute("CREATE TABLE items (id int PRIMARY KEY, a int)")
    with Followed.begin(source, ("items", "id"), publication="ALL TABLES") as followed:
        source.execute("INSERT INTO items VALUES (1, 2); DROP TABLE items; CREATE TABLE items (id text PRIMARY KEY)")
        source.execute("INSERT INTO items VALUES ('x')")
        found = followed.collect()
    assert found.story() == [("INSERT", {"id": 1, "a": 2}), ("INSERT", {"id": "x"})]


def test_a_column_list_and_generated_columns(source: Source) -> None:
    source.execute("CREATE TABLE items (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int)")
    with Followed.begin(source, ("items", "id"), publication="TABLE items (id, a)") as followed:
        source.execute("INSERT INTO items (id, a, c) VALUES (1, 2, 3)")
        found = followed.collect()
    assert found.story() == [("INSERT", {"id": 1, "a": 2})]


def test_a_replica_identity_that_is_not_the_key(source: Source) -> None:
    """Of a key that was not sent nothing is made up."""
    source.execute("""
        CREATE TABLE items (id int PRIMARY KEY, code int NOT NULL, t text); CREATE UNIQUE INDEX by_code ON items (code);
        ALTER TABLE items REPLICA IDENTITY USING INDEX by_code; INSERT INTO items VALUES (1, 10, 'a')""")
    with Followed.begin(source, ("items", "id")) as followed:
        source.execute("UPDATE items SET code = 20; DELETE FROM items")
        found = followed.collect()
    assert found.story() == [
        ("UPDATE", {"id": 1, "code": 20, "t": "a"}),
        ("DELETE", {"id": None, "code": 20, "t": None}),
    ]


def test_only_columns_that_the_role_may_read(source: Source) -> None:
    role = f"reader_{source.database}"
    source.execute(f"""
        CREATE TABLE items (id int PRIMARY KEY, open numeric(5,2), secret text); CREATE TABLE free (id int PRIMARY KEY);
        CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'pass';
        GRANT SELECT (id, open) ON items TO {role}; GRANT SELECT ON free TO {role}""")
    try:
        with Followed.begin(source, ("items", "id"), ("free", "id")) as followed:
            source.execute(
                "INSERT INTO items VALUES (1, 2.5, 'x'); UPDATE items SET id = 3; INSERT INTO free VALUES (4)"
            )
            found = followed.collect(user=role, password="pass")
        assert found.story("items") == [
            ("INSERT", {"id": 1, "open": Decimal("2.50")}),
            ("DELETE", {"id": 1, "open": None}),
            ("MOVE", {"id": 3, "open": Decimal("2.50")}),
        ]
        assert found.story("free") == [("INSERT", {"id": 4})]
    finally:
        source.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_table_without_a_key_by_all_of_its_columns(source: Source) -> None:
    source.execute("CREATE TABLE notes (a int, t text); ALTER TABLE notes REPLICA IDENTITY FULL")
    with Followed.begin(source, ("notes", "a,t")) as followed:
        source.execute("INSERT INTO notes VALUES (1, NULL); UPDATE notes SET t = 'x'; UPDATE notes SET a = a")
        found = followed.collect()
    assert found.story() == [
        ("INSERT", {"a": 1, "t": None}),
        ("DELETE", {"a": 1, "t": None}),
        ("MOVE", {"a": 1, "t": "x"}),
        ("UPDATE", {"a": 1, "t": "x"}),
    ]


def test_a_type_of_an_extension_that_has_a_cast_of_its_own_to_text(source: Source) -> None:
    """A read gives what the cast gives."""
    source.execute("""
        CREATE TYPE celsius AS (degrees int);
        CREATE FUNCTION shown(celsius) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT ($1).degrees || ' °C' $$;
        CREATE CAST (celsius AS text) WITH FUNCTION shown(celsius);
        CREATE TABLE days (id int PRIMARY KEY, c celsius)""")
    with Followed.begin(source, ("days", "id")) as followed:
        source.execute("INSERT INTO days VALUES (1, ROW(21)), (2, NULL)")
        found = followed.collect()
    assert found.story() == [("INSERT", {"id": 1, "c": "21 °C"}), ("INSERT", {"id": 2, "c": None})]
    assert [row for _, row in found.story()] == source.read("days").table.to_pylist()


def test_five_hundred_tables(source18: Source) -> None:
    source18.execute("".join(f"CREATE TABLE t{n} (id int PRIMARY KEY, v text); " for n in range(500)))
    with Followed.begin(source18, publication="ALL TABLES") as followed:
        followed.tables = [FollowedTable(f"t{n}", f"t{n}", ("id",)) for n in range(500)]
        source18.execute("".join(f"INSERT INTO t{n} VALUES ({n}, 'x'), ({n + 1}, 'y'); " for n in range(500)))
        found = followed.collect()
    assert len(found.batches) == 500
    assert [change.row["id"] for change in found.changes()] == [n + m for n in range(500) for m in (0, 1)]
    assert [change.ordinal for change in found.changes()] == list(range(1000))


def test_a_table_that_is_followed_and_does_not_exist(source18: Source) -> None:
    source18.execute("CREATE TABLE items (id int PRIMARY KEY)")
    with Followed.begin(source18, ("items", "id")) as followed:
        followed.tables = [*followed.tables, FollowedTable("none", "none", ("id",))]
        source18.execute("INSERT INTO items VALUES (1)")
        with followed.open() as stream:
            assert stream.shapes.keys() == {"items"}


def test_updates_need_a_replica_identity(source18: Source) -> None:
    """The source itself sees to it."""
    source18.execute("CREATE TABLE notes (a int)")
    with (
        Followed.begin(source18, ("notes", "a")),
        pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState),
    ):
        source18.execute("INSERT INTO notes VALUES (1); UPDATE notes SET a = 2")
