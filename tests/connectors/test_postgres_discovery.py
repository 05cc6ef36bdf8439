"""What a source offers: every kind of relation, whatever its name."""

import pytest

from connectors.base import Column, IncrementalField
from connectors.errors import ConfigurationError
from tests.connectors.source import POSTGRES, Source

RELATIONS = """
CREATE TABLE plain (id bigint PRIMARY KEY, code text UNIQUE, email text NOT NULL UNIQUE, at timestamptz, day date);
CREATE INDEX ON plain (at DESC, id);
CREATE INDEX ON plain (day) WHERE day IS NOT NULL;
CREATE UNIQUE INDEX ON plain (lower(code));
COMMENT ON TABLE plain IS 'A plain table';
INSERT INTO plain SELECT n, n::text, n::text, now(), now() FROM generate_series(1, 1000) AS n;
CREATE VIEW seen AS SELECT id, code FROM plain;
CREATE MATERIALIZED VIEW stored AS SELECT id, at FROM plain;
CREATE UNIQUE INDEX ON stored (id);
CREATE TABLE parts (id int, region text, amount numeric(10,2), PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b') PARTITION BY RANGE (id);
CREATE TABLE parts_b1 PARTITION OF parts_b FOR VALUES FROM (0) TO (1000);
INSERT INTO parts SELECT n, CASE WHEN n <= 100 THEN 'a' ELSE 'b' END, n FROM generate_series(1, 500) AS n;
CREATE SCHEMA far;
ANALYZE;
"""


def test_every_kind_of_relation(source: Source) -> None:
    source.execute(RELATIONS)
    found = source.discover()

    assert {name: table.kind for name, table in found.items()} == {
        "plain": "table",
        "seen": "view",
        "stored": "materialized_view",
        "parts": "partitioned_table",
    }
    plain = found["plain"]
    assert plain.columns == (
        Column("id", "bigint", False, "integer"),
        Column("code", "text", True, "text"),
        Column("email", "text", False, "text"),
        Column("at", "timestamp with time zone", True, "timestamptz"),
        Column("day", "date", True, "date"),
    )
    assert plain.primary_key == ("id",)
    assert plain.unique_keys == (("email",), ("code",))
    assert plain.incremental_fields == (
        IncrementalField("id", "integer", "id", "bigint", False, True),
        IncrementalField("at", "timestamp", "at", "timestamp with time zone", True, True),
        IncrementalField("day", "date", "day", "date", True, False),
    )
    assert plain.description == "A plain table"
    assert plain.row_estimate == 1000
    assert found["parts"].primary_key == ("region", "id")
    assert found["parts"].row_estimate == 500
    assert found["stored"].unique_keys == (("id",),)
    assert found["seen"].row_estimate is None
    assert found["seen"].primary_key == ()


def test_foreign_tables_are_listed(source: Source) -> None:
    source.execute("""
        CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER other FOREIGN DATA WRAPPER nowhere;
        CREATE FOREIGN TABLE far_away (id int, at date) SERVER other""")
    (table,) = source.discover().values()
    assert (table.kind, [field.field for field in table.incremental_fields]) == ("foreign_table", ["id", "at"])


NAMES = ["Mixed Case", "ünï🐘", "a.b", 'quo"te', "'; DROP TABLE x; --", "back\\slash", "%s", "select", 'a"."b', "$1"]


@pytest.mark.parametrize("schema", ["public", None])
def test_any_name_can_be_discovered_and_read(source: Source, schema: str | None) -> None:
    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    schemas = ["public"] if schema else ["public", *NAMES]
    for each in schemas:
        source.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(each)}")
        columns = ", ".join(f"{quoted(name)} text" for name in [*NAMES, "c0", "C0", "t"])
        for name in NAMES:
            table = f"{quoted(each)}.{quoted(name)}"
            values = ", ".join("'" + f"{each}/{name}".replace("'", "''") + "'" for _ in range(len(NAMES) + 3))
            source.execute(f"CREATE TABLE {table} ({columns}); INSERT INTO {table} VALUES ({values})")

    config = source.config(schema=schema)
    found = POSTGRES.discover(config)
    assert len({table.name for table in found}) == len(schemas) * len(NAMES)
    contents = set()
    for table in found[:: 1 if schema else 11]:
        (again,) = POSTGRES.discover(config, [table.name])
        assert again == table
        (row,) = source.read(table.name, config=config).table.to_pylist()
        assert list(row) == [column.name for column in table.columns]
        assert len(set(row.values())) == 1
        contents.update(row.values())
    if schema:
        assert contents == {f"public/{name}" for name in NAMES}


def test_only_named_tables_that_exist(source18: Source) -> None:
    source18.execute("CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE SCHEMA s; CREATE TABLE s.a (id int)")
    assert list(source18.discover("b", "nope")) == ["b"]
    assert list(source18.discover("s.a", "public.b", "a", schema="")) == ["public.b", "s.a"]
    assert POSTGRES.discover(source18.config(), []) == []


def test_only_what_the_role_may_select(source18: Source) -> None:
    role = f"reader_{source18.database}"
    source18.execute(f"""
        CREATE TABLE open (id int); CREATE TABLE closed (id int); CREATE TABLE half (id int, secret text);
        CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int);
        CREATE ROLE {role} LOGIN PASSWORD 'x';
        GRANT SELECT ON open, hidden.t TO {role}; GRANT SELECT (id) ON half TO {role}""")
    try:
        found = source18.discover(user=role, password="x", schema="")
        assert {name: [column.name for column in table.columns] for name, table in found.items()} == {
            "public.open": ["id"],
            "public.half": ["id"],
        }
    finally:
        source18.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_schema_that_is_not_there(source18: Source) -> None:
    POSTGRES.validate(source18.config())
    with pytest.raises(ConfigurationError, match="There is no schema nope") as caught:
        POSTGRES.validate(source18.config(schema="nope"))
    assert caught.value.attr == "schema"
