import pytest

from connectors.base import Column, IncrementalField
from tests.connectors.sqlite.files import SqliteFile


def kinds(file: SqliteFile, table: str) -> dict[str, str]:
    return {column.name: column.kind for column in file.discover(table)[table].columns}


def test_tables_and_views_but_nothing_of_sqlites_own(file: SqliteFile) -> None:
    file.execute("""
        CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT);
        CREATE TABLE "sqliteful" (a);
        CREATE TABLE "quo""ted . ünï 🐘" ("a b" INT, "select" TEXT, "q""q" TEXT, "t" INT);
        CREATE TABLE keyed (a TEXT, b INT, PRIMARY KEY (b, a)) WITHOUT ROWID;
        CREATE VIEW seen AS SELECT id, v || '!' AS loud FROM plain;
        CREATE VIEW broken AS SELECT * FROM nowhere;
        CREATE VIRTUAL TABLE words USING fts5(body);
        CREATE INDEX plain_v ON plain (v); ANALYZE""")
    found = file.discover()
    assert list(found) == sorted(["plain", "sqliteful", 'quo"ted . ünï 🐘', "keyed", "seen"])
    assert {name: table.kind for name, table in found.items() if table.kind == "view"} == {"seen": "view"}
    assert [column.name for column in found['quo"ted . ünï 🐘'].columns] == ["a b", "select", 'q"q', "t"]
    assert list(file.discover("keyed", "gone", "broken")) == ["keyed"]
    file.insert('"quo""ted . ünï 🐘"', [(1, "x", "y", 2)])
    assert file.read('quo"ted . ünï 🐘').table.to_pylist() == [{"a b": 1, "select": "x", 'q"q': "y", "t": 2}]


def test_keys(file: SqliteFile) -> None:
    file.execute("""
        CREATE TABLE by_row (id INTEGER PRIMARY KEY, v);
        CREATE TABLE backwards (id INTEGER PRIMARY KEY DESC);
        CREATE TABLE loose (id TEXT PRIMARY KEY);
        CREATE TABLE composite (a INT, b TEXT, PRIMARY KEY (b, a));
        CREATE TABLE keyed (a TEXT, b INT, PRIMARY KEY (b, a)) WITHOUT ROWID;
        CREATE TABLE strict (a TEXT PRIMARY KEY, b ANY) STRICT;
        CREATE TABLE unique_only (a TEXT UNIQUE, b INT NOT NULL UNIQUE, c INT, UNIQUE (c, a));
        CREATE UNIQUE INDEX some ON unique_only (c) WHERE c > 5;
        CREATE UNIQUE INDEX computed ON unique_only (lower(a))""")
    found = file.discover()
    keys = {name: table.primary_key for name, table in found.items()}
    assert keys == {
        "by_row": ("id",),
        "backwards": ("id",),
        "loose": ("id",),
        "composite": ("b", "a"),
        "keyed": ("b", "a"),
        "strict": ("a",),
        "unique_only": (),
    }
    nullable = {name: [column.nullable for column in table.columns] for name, table in found.items()}
    assert nullable["by_row"] == [False, True]
    assert nullable["backwards"] == [True], "SQLite lets nulls into such keys"
    assert nullable["loose"] == [True]
    assert nullable["composite"] == [True, True]
    assert nullable["keyed"] == [False, False]
    assert nullable["strict"] == [False, True]
    assert found["unique_only"].unique_keys[0] == ("b",)
    assert set(found["unique_only"].unique_keys) == {("a",), ("b",), ("c", "a")}
    file.execute("INSERT INTO loose VALUES (NULL), (NULL), ('a')")
    assert file.read("loose").column("id") == [None, None, "a"]


def test_generated_columns_are_columns(file: SqliteFile) -> None:
    file.execute("""
        CREATE TABLE t (id INTEGER PRIMARY KEY, twice INT AS (id * 2), stored TEXT AS ('n' || id) STORED);
        INSERT INTO t (id) VALUES (3)""")
    assert file.read("t").table.to_pylist() == [{"id": 3, "twice": 6, "stored": "n3"}]


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("INTEGER", "integer"),
        ("unsigned big int", "integer"),
        ("FLOATING POINT", "integer"),
        ("BOOLEAN", "integer"),
        ("VARCHAR(255)", "text"),
        ("NCLOB", "text"),
        ("CHARINT", "integer"),
        ("BLOB", "binary"),
        ("DOUBLE PRECISION", "float"),
        ("double", "float"),
        ("NUMERIC", "numeric"),
        ("Decimal (10, 5)", "numeric"),
        ("DATE", "date"),
        ("DATETIME", "timestamp"),
        ("timestamp(6)", "timestamp"),
        ("TIMESTAMP WITH TIME ZONE", "text"),
        ("JSON", "text"),
        ("UUID", "text"),
        ("STRING", "text"),
        ("", "other"),
    ],
)
def test_kinds_follow_the_declared_type(file: SqliteFile, declared: str, kind: str) -> None:
    file.execute(f"CREATE TABLE t (v {declared})")
    assert kinds(file, "t") == {"v": kind}
    assert file.discover("t")["t"].columns[0].type == (declared or "any")


def test_what_would_make_one_key_of_two_is_not_done_to_keys(file: SqliteFile) -> None:
    file.execute("CREATE TABLE t (n NUMERIC, at DATETIME, d DATE, v NUMERIC, PRIMARY KEY (n, at, d))")
    assert kinds(file, "t") == {"n": "integer", "at": "text", "d": "date", "v": "numeric"}
    rows = [(1, "2024-01-01 10:00", "2024-01-01", 1), (1, "2024-01-01 10:00:00", "2024-01-01", 1)]
    file.insert("t", rows)
    assert [(row["n"], row["at"]) for row in file.read("t").table.to_pylist()] == [row[:2] for row in rows]


def test_incremental_fields(file: SqliteFile) -> None:
    file.execute("""
        CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL, at TIMESTAMP, d DATE, v TEXT, f REAL, x);
        CREATE INDEX t_at ON t (at, n); CREATE INDEX t_d ON t (d) WHERE d > '2024'""")
    assert file.discover("t")["t"].incremental_fields == (
        IncrementalField("id", "integer", "id", "INTEGER", nullable=False, is_indexed=True),
        IncrementalField("n", "integer", "n", "INT", nullable=False, is_indexed=False),
        IncrementalField("at", "timestamp", "at", "TIMESTAMP", nullable=True, is_indexed=True),
        IncrementalField("d", "date", "d", "DATE", nullable=True, is_indexed=False),
    )


def test_views_have_the_types_of_their_columns(file: SqliteFile) -> None:
    file.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME); CREATE VIEW v AS SELECT id, at, id + 1 AS x FROM t"
    )
    assert file.discover("v")["v"].columns == (
        Column("id", "INTEGER", True, "integer"),
        Column("at", "DATETIME", True, "timestamp"),
        Column("x", "any", True, "other"),
    )


def test_estimates_come_from_the_last_analysis(file: SqliteFile) -> None:
    file.execute("""
        CREATE TABLE t (a INT); CREATE TABLE u (a INT);
        WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO t SELECT i FROM n; ANALYZE""")
    assert {name: table.row_estimate for name, table in file.discover().items()} == {"t": 300, "u": None}


def test_a_database_of_nothing(file: SqliteFile) -> None:
    file.path.write_bytes(b"")
    assert file.discover() == {}
