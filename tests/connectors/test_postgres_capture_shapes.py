"""What shows a change of a table that its log does not tell."""

import pytest

from connectors.capture import ShapedColumn
from tests.connectors.capture_control import Captured
from tests.connectors.source import Source


@pytest.fixture
def capture(source: Source) -> Captured:
    return Captured(source)


def test_columns_and_whether_old_rows_may_have_values_in_them(capture: Captured) -> None:
    capture.source.execute("""
        CREATE DOMAIN positive AS int DEFAULT 7;
        CREATE TABLE t (id int, gone int, plain numeric(10, 2));
        INSERT INTO t VALUES (1);
        ALTER TABLE t DROP COLUMN gone;
        ALTER TABLE t ADD counted int GENERATED ALWAYS AS IDENTITY;
        ALTER TABLE t ADD empty text, ADD filled text DEFAULT 'x', ADD dropped text DEFAULT 'x', ADD required int
            NOT NULL DEFAULT 1, ADD limited positive;
        ALTER TABLE t ALTER dropped DROP DEFAULT, ALTER required DROP DEFAULT, REPLICA IDENTITY FULL""")
    capture.set_up("t")
    columns = capture.shapes("t")["t"].columns

    assert {name: column.type for name, column in columns.items()} == {
        "id": "integer",
        "plain": "numeric(10,2)",
        "counted": "integer",
        "empty": "text",
        "filled": "text",
        "dropped": "text",
        "required": "integer",
        "limited": "positive",
    }
    filled = {name for name, column in columns.items() if column.filled}
    assert filled == {"filled", "dropped", "required", "counted", "limited"}
    assert all(column.logged for column in columns.values())
    assert [column.number for column in columns.values()] == [1, 3, 4, 5, 6, 7, 8, 9]


def test_a_column_made_again_has_another_number(capture: Captured) -> None:
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
    capture.set_up("t")
    before = capture.shapes("t")["t"]
    capture.source.execute("ALTER TABLE t DROP a; ALTER TABLE t ADD a int")
    after = capture.shapes("t")["t"]

    assert (before.columns["a"].number, after.columns["a"].number) == (2, 3)
    assert (before.identity, before.storage) == (after.identity, after.storage)


def test_generated_columns_are_in_the_log_from_18_on(capture: Captured) -> None:
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)")
    capture.set_up("t")
    column = capture.shapes("t")["t"].columns["twice"]

    modern = capture.source.server.version >= 18
    assert (column.type, column.filled, column.logged) == ("integer GENERATED AS (id * 2)", True, modern)


def test_virtual_columns_are_never_in_the_log(source18: Source) -> None:
    capture = Captured(source18)
    source18.execute("CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL)")
    capture.set_up("t")
    assert not capture.shapes("t")["t"].columns["twice"].logged


def test_generated_columns_that_the_publication_leaves_out(source18: Source) -> None:
    capture = Captured(source18, managed=False)
    source18.execute(f"""
        CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
        CREATE PUBLICATION {capture.setup.publication} FOR TABLE t""")
    assert not capture.shapes("t")["t"].columns["twice"].logged
    source18.execute(f"ALTER PUBLICATION {capture.setup.publication} SET TABLE t (id, twice)")
    assert capture.shapes("t")["t"].columns["twice"].logged


def test_columns_that_the_publication_does_not_list(capture: Captured) -> None:
    capture.source.execute(f"""
        CREATE TABLE t (id int PRIMARY KEY, a int, b int);
        CREATE PUBLICATION {capture.setup.publication} FOR TABLE t (id, b)""")
    columns = capture.shapes("t")["t"].columns
    assert {name for name, column in columns.items() if column.logged} == {"id", "b"}


def test_a_table_dropped_and_made_again(capture: Captured) -> None:
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    capture.set_up("t")
    before = capture.shapes("t")["t"]
    capture.source.execute("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY)")
    assert capture.shapes("t") == {}, "its changes are not published"
    capture.publish("t")
    assert capture.shapes("t")["t"].identity != before.identity


def test_only_published_tables_have_a_shape(capture: Captured) -> None:
    capture.source.execute("""
        CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); CREATE VIEW seen AS TABLE t;
        CREATE TABLE parent (id int PRIMARY KEY) PARTITION BY LIST (id);
        CREATE TABLE part PARTITION OF parent DEFAULT""")
    assert capture.shapes("t") == {}
    capture.set_up("t", "parent")
    assert capture.shapes("t", "other", "seen", "nowhere", "part", "parent").keys() == {"t", "parent"}


def test_rows_rewritten_in_place_show_by_storage_and_revision(capture: Captured) -> None:
    """The log has nothing of it: the same type, other values."""
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'A')")
    capture.set_up("t")
    before = capture.shapes("t")["t"]
    capture.source.execute("ALTER TABLE t ALTER a TYPE text USING lower(a)")
    after = capture.shapes("t")["t"]

    assert after.storage != before.storage
    assert after.columns["a"].revision != before.columns["a"].revision
    assert after.columns["id"] == before.columns["id"]


@pytest.mark.parametrize("statement", ["VACUUM FULL t", "TRUNCATE t", "CLUSTER t USING t_pkey"])
def test_rows_moved_elsewhere_show_by_storage_alone(capture: Captured, statement: str) -> None:
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'A')")
    capture.set_up("t")
    before = capture.shapes("t")["t"]
    capture.source.execute(statement)
    after = capture.shapes("t")["t"]
    assert (after.storage != before.storage, after.columns) == (True, before.columns)


def test_a_volatile_default_that_was_dropped_at_once(capture: Captured) -> None:
    """Nothing of the column itself tells that old rows have values: the storage does."""
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    capture.set_up("t")
    before = capture.shapes("t")["t"]
    capture.source.execute("ALTER TABLE t ADD a uuid DEFAULT gen_random_uuid(); ALTER TABLE t ALTER a DROP DEFAULT")
    after = capture.shapes("t")["t"]
    assert not after.columns["a"].filled
    assert after.storage != before.storage


def test_a_generated_column_of_another_expression(source18: Source) -> None:
    capture = Captured(source18)
    source18.execute("CREATE TABLE t (id int PRIMARY KEY, sum int GENERATED ALWAYS AS (id + 1) STORED)")
    capture.set_up("t")
    before = capture.shapes("t")["t"].columns["sum"]
    source18.execute("ALTER TABLE t ALTER sum SET EXPRESSION AS (id + 2)")
    assert capture.shapes("t")["t"].columns["sum"].type != before.type


PARTITIONED = """
CREATE TABLE root (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE a PARTITION OF root FOR VALUES IN ('a');
CREATE TABLE b PARTITION OF root FOR VALUES IN ('b') PARTITION BY RANGE (id);
CREATE TABLE b1 PARTITION OF b FOR VALUES FROM (0) TO (10);
INSERT INTO root VALUES (1, 'a'), (1, 'b');
"""


def test_partitions_truncated_detached_and_attached(capture: Captured) -> None:
    capture.source.execute(PARTITIONED)
    capture.set_up("root")
    oids = {name: str(capture.value(f"SELECT '{name}'::regclass::oid::int8")) for name in ("a", "b1")}
    first = capture.shapes("root")["root"]
    assert first.parts.keys() == set(oids.values())
    assert first.storage == ""

    capture.source.execute("INSERT INTO root VALUES (2, 'a')")
    assert capture.shapes("root")["root"] == first

    capture.source.execute("TRUNCATE b1")
    truncated = capture.shapes("root")["root"].parts
    assert truncated[oids["a"]] == first.parts[oids["a"]]
    assert truncated[oids["b1"]] != first.parts[oids["b1"]]

    capture.source.execute("ALTER TABLE root DETACH PARTITION a")
    assert capture.shapes("root")["root"].parts.keys() == {oids["b1"]}
    capture.source.execute("ALTER TABLE root ATTACH PARTITION a FOR VALUES IN ('a', 'c')")
    assert capture.shapes("root")["root"].parts.keys() == set(oids.values())


def test_what_comes_to_inherit_from_a_plain_table_is_a_part(capture: Captured) -> None:
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    capture.set_up("t")
    assert capture.shapes("t")["t"].parts == {}
    capture.source.execute("CREATE TABLE child () INHERITS (t)")
    assert len(capture.shapes("t")["t"].parts) == 1


def test_a_table_that_was_out_of_the_publication_for_a_while(capture: Captured) -> None:
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
    capture.set_up("t")
    first = capture.shapes("t")["t"]
    capture.publish("t", "u")
    assert capture.shapes("t")["t"] == first, "another table's coming changes nothing"

    capture.publish("u")
    capture.publish("t", "u")
    second = capture.shapes("t")["t"]
    assert second.publication != first.publication

    publication = capture.setup.publication
    capture.source.execute(f"""
        ALTER PUBLICATION {publication} SET (publish = 'insert');
        ALTER PUBLICATION {publication} SET (publish = 'insert, update, delete, truncate')""")
    assert capture.shapes("t")["t"].publication != second.publication


@pytest.mark.parametrize("what", ["ALL TABLES", "TABLES IN SCHEMA public"])
def test_publications_of_whole_schemas_and_databases(capture: Captured, what: str) -> None:
    capture.source.execute(f"CREATE PUBLICATION {capture.setup.publication} FOR {what}")
    capture.source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    (shape,) = capture.shapes("t").values()
    assert shape.columns["id"] == ShapedColumn(1, "integer", True, True, shape.columns["id"].revision)
    if what != "ALL TABLES":
        capture.source.execute(f"""
            ALTER PUBLICATION {capture.setup.publication} DROP {what};
            ALTER PUBLICATION {capture.setup.publication} ADD {what}""")
        assert capture.shapes("t")["t"].publication != shape.publication


def test_any_name(capture: Captured) -> None:
    name = '"a.b"."ünï ""x\'"'
    capture.source.execute(f'CREATE SCHEMA "a.b"; CREATE TABLE {name} (id int PRIMARY KEY)')
    capture.config = capture.source.config(schema=None)
    capture.set_up(name)
    assert capture.shapes(name).keys() == {name}


def test_five_hundred_tables_are_asked_for_at_once(capture: Captured) -> None:
    capture.source.execute("""DO $$ BEGIN FOR n IN 1..500 LOOP
        EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a text, b numeric)', n); END LOOP; END $$""")
    names = [f"t{number}" for number in range(1, 501)]
    capture.set_up(*names)
    assert capture.shapes(*names).keys() == set(names)
    assert capture.status().published_tables == tuple(sorted(names))
