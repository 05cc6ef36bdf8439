"""Values out of the log: the same, to the bit, as a read of the table gives them."""

from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.capture import Op
from local.postgres import PostgresServer
from tests.connectors.following import Collected, Followed
from tests.connectors.source import Source
from tests.connectors.type_cases import CUSTOM_TYPES, EVERY_TYPE, exact

COLUMNS = ", ".join(f"v{number}" for number in range(len(EVERY_TYPE.cases)))
VALUES = COLUMNS.replace("v", "given.v")


def rows(table: pa.Table) -> dict[int, tuple[object, ...]]:
    return {row["id"]: tuple(map(exact, row.values())) for row in table.to_pylist()}


def changed(found: Collected, op: Op) -> pa.Table:
    """The rows of one kind of change."""
    batches = [batch.rows.filter(pa.compute.equal(batch.marks["op"], int(op))) for batch in found.batches]
    return pa.Table.from_batches(batches)


def test_every_type_by_insert(source: Source) -> None:
    create, _, inserts = EVERY_TYPE.statements().partition("; ")
    source.execute(CUSTOM_TYPES + create)
    with Followed.begin(source, ("every_type", "id")) as followed:
        source.execute(inserts)
        found = followed.collect()

    read = source.read("every_type")
    assert pa.Table.from_batches([found.batches[0].rows]).schema == read.table.schema
    assert rows(changed(found, Op.INSERT)) == rows(read.table)
    assert {key: values[1:] for key, values in rows(read.table).items()} == EVERY_TYPE.expected()
    assert found.warnings() == EVERY_TYPE.warnings()


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_every_type_by_update_and_delete(source: Source, identity: str) -> None:
    source.execute(CUSTOM_TYPES + EVERY_TYPE.statements())
    source.execute(f"""
        ALTER TABLE every_type RENAME TO given;
        CREATE TABLE every_type (LIKE given INCLUDING ALL);
        ALTER TABLE every_type REPLICA IDENTITY {identity};
        INSERT INTO every_type (id) SELECT id FROM given""")
    with Followed.begin(source, ("every_type", "id")) as followed:
        source.execute(
            f"UPDATE every_type SET ({COLUMNS}) = ROW({VALUES}) FROM given WHERE given.id = every_type.id; "
            "DELETE FROM every_type"
        )
        found = followed.collect()

    read = source.read("given").table
    assert rows(changed(found, Op.UPDATE)) == rows(read)
    old = rows(changed(found, Op.DELETE))
    assert old == (rows(read) if identity == "FULL" else {key: (key, *([None] * len(EVERY_TYPE.cases))) for key in old})
    assert old.keys() == rows(read).keys()
    assert found.warnings() == EVERY_TYPE.warnings(), "of rows that go nothing is counted"


def test_numbers_without_a_precision_are_text_only_beside_ones_that_fit_no_decimal(source18: Source) -> None:
    source18.execute("CREATE TABLE numbers (id int PRIMARY KEY, n numeric)")
    with Followed.begin(source18, ("numbers", "id")) as followed:
        source18.execute(f"INSERT INTO numbers VALUES (1, 1.50), (2, 'NaN'), (3, 1.{'0' * 40}), (4, NULL), (5, -0.10)")
        first = followed.collect()
        source18.execute("INSERT INTO numbers VALUES (6, 1.50), (7, '-Infinity'), (8, 1e20), (9, 100), (10, 0.00)")
        second = followed.collect(first.end)

    assert first.types("numbers")["n"] == pa.decimal128(38, 18)
    assert [row["n"] for _, row in first.story()] == [Decimal("1.5"), None, Decimal(1), None, Decimal("-0.1")]
    assert second.types("numbers")["n"] == pa.string()
    assert [row["n"] for _, row in second.story()] == ["1.5", None, "100000000000000000000", "100", "0"]
    assert (first.warnings(), second.warnings()) == ({("n", "NaN"): 1}, {("n", "infinite"): 1})


def test_values_become_null_and_nulls_become_values(source: Source) -> None:
    source.execute("CREATE TABLE pairs (id int PRIMARY KEY, a text, b int[], c bytea)")
    with Followed.begin(source, ("pairs", "id")) as followed:
        source.execute(r"INSERT INTO pairs VALUES (1, 'x', '{1}', '\x01')")
        source.execute("UPDATE pairs SET a = NULL, b = NULL, c = NULL")
        source.execute(r"UPDATE pairs SET a = '', b = '{NULL}', c = ''")
        found = followed.collect()
    assert found.story() == [
        ("INSERT", {"id": 1, "a": "x", "b": "[1]", "c": b"\x01"}),
        ("UPDATE", {"id": 1, "a": None, "b": None, "c": None}),
        ("UPDATE", {"id": 1, "a": "", "b": "[null]", "c": b""}),
    ]


def test_a_value_of_a_hundred_megabytes(source18: Source) -> None:
    source18.execute("CREATE TABLE big (id int PRIMARY KEY, t text, b bytea)")
    with Followed.begin(source18, ("big", "id")) as followed:
        source18.execute("""
            INSERT INTO big SELECT n, repeat(chr(96 + n), CASE n WHEN 2 THEN 100000000 ELSE 3 END),
                   convert_to(repeat('b', CASE n WHEN 3 THEN 50000000 ELSE 1 END), 'UTF8')
            FROM generate_series(1, 4) AS n""")
        found = followed.collect()
    assert found.story() == [
        ("INSERT", {"id": 1, "t": "aaa", "b": b"b"}),
        ("INSERT", {"id": 2, "t": "b" * 10**8, "b": b"b"}),
        ("INSERT", {"id": 3, "t": "ccc", "b": b"b" * 50_000_000}),
        ("INSERT", {"id": 4, "t": "ddd", "b": b"b"}),
    ]


def test_bytes_that_are_no_text_become_null_and_are_counted(postgres: PostgresServer) -> None:
    database = f"raw_{postgres.create_database()}"
    postgres.execute(f"CREATE DATABASE {database} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    source = Source(postgres, database)
    source.execute(r"""
        CREATE TYPE pair AS (a int, b text);
        CREATE TABLE names (id int PRIMARY KEY, t text, v varchar(9), c char(4), p pair, l text[], n numeric);
        CREATE TABLE given AS SELECT n, convert_from(bytes, 'SQL_ASCII') AS t
        FROM (VALUES (1, '\x4dc3bc'::bytea), (2, '\x4dfc'), (3, '\x4dc3'), (4, NULL)) AS given (n, bytes)""")
    with Followed.begin(source, ("names", "id")) as followed:
        source.execute("INSERT INTO names SELECT n, t, t, t, row(1, t)::pair, array[t], n FROM given")
        found = followed.collect()

    read = source.read("names")
    assert rows(changed(found, Op.INSERT)) == rows(read.table)
    assert found.warnings() == read.warnings() != {}
    postgres.drop_database(database)


def test_texts_of_other_encodings_arrive_as_unicode(source18: Source) -> None:
    database = f"latin_{source18.database}"
    server = source18.server
    server.execute(f"CREATE DATABASE {database} ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    latin = Source(server, database)
    with server.connect(database, client_encoding="utf8") as connection:
        connection.execute('CREATE TABLE "Bücher" (id int PRIMARY KEY, "€" text, c char(3), l text[])')
        with Followed.begin(latin, ("Bücher", "id"), publication="ALL TABLES") as followed:
            connection.execute("""INSERT INTO "Bücher" VALUES (1, 'Mü 5 €', 'ü', array['ü', '€'])""")
            found = followed.collect()
    assert found.story() == [("INSERT", {"id": 1, "€": "Mü 5 €", "c": "ü  ", "l": '["ü","€"]'})]
    server.drop_database(database)


def test_array_elements_that_the_type_no_longer_has_become_null_and_are_counted(source: Source) -> None:
    source.execute(
        "CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE TABLE moods (id int PRIMARY KEY, m mood[], o mood)"
    )
    with Followed.begin(source, ("moods", "id")) as followed:
        source.execute(
            "INSERT INTO moods VALUES (1, '{happy}', 'happy'), (2, '{sad,happy}', 'sad'), (3, '{sad}', NULL)"
        )
        source.execute("ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'")
        found = followed.collect()
    assert [(row["m"], row["o"]) for _, row in found.story()] == [(None, "happy"), (None, "sad"), ('["sad"]', None)]
    assert found.warnings() == {("m", "no longer a value of its type"): 2}


def test_values_of_a_type_that_is_gone_keep_their_text(source: Source) -> None:
    source.execute("CREATE TYPE mood AS ENUM ('happy'); CREATE TABLE moods (id int PRIMARY KEY, m mood, l mood[])")
    with Followed.begin(source, ("moods", "id")) as followed:
        source.execute("INSERT INTO moods VALUES (1, 'happy', '{happy}')")
        source.execute("ALTER TABLE moods DROP m, DROP l; DROP TYPE mood")
        source.execute("INSERT INTO moods VALUES (2)")
        found = followed.collect()
    assert found.story() == [("INSERT", {"id": 1, "m": "happy", "l": "{happy}"}), ("INSERT", {"id": 2})]


def test_settings_of_the_role_change_no_text(source18: Source) -> None:
    source18.execute("""
        CREATE TABLE texts (id int PRIMARY KEY, z timestamptz, d date, i interval, f float8, b bytea, r tstzrange);
        ALTER ROLE postgres SET timezone = 'Asia/Tokyo';
        ALTER ROLE postgres SET datestyle = 'German, DMY';
        ALTER ROLE postgres SET intervalstyle = 'sql_standard';
        ALTER ROLE postgres SET extra_float_digits = -15;
        ALTER ROLE postgres SET bytea_output = 'escape'""")
    try:
        with Followed.begin(source18, ("texts", "id")) as followed:
            source18.execute(r"""
                INSERT INTO texts VALUES (1, '2024-01-02 03:04+00', '2024-01-02', '1 day 02:03', 0.1, '\xff00',
                                          '[2024-01-01 00:00+00,)')""")
            found = followed.collect()
        assert rows(changed(found, Op.INSERT)) == rows(source18.read("texts").table)
        assert found.story()[0][1]["i"] == "P1DT2H3M"
    finally:
        source18.execute("ALTER ROLE postgres RESET ALL")
