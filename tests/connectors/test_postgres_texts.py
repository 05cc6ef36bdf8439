"""Texts in every state: of no known encoding, broken, and very long."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from connectors.base import CursorRange, RowFilter
from connectors.errors import SourceError
from local.postgres import PostgresServer
from tests.connectors.source import Source

DRIVERS = pytest.mark.parametrize("narrow", [False, True], ids=["fast", "narrow"])
UTF8, LATIN1, CUT = r"'\x4dc3bc'", r"'\x4dfc'", r"'\x4dc3'"
NOT_UTF8 = "not valid UTF-8"


@pytest.fixture
def raw_source(postgres: PostgresServer) -> Iterator[Source]:
    """A database of the encoding SQL_ASCII: it keeps whatever bytes it is given."""
    database = f"raw_{postgres.create_database()}"
    postgres.execute(f"CREATE DATABASE {database} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    yield Source(postgres, database)
    postgres.drop_database(database)


def as_text(constant: str) -> str:
    return f"convert_from(CAST({constant} AS bytea), 'SQL_ASCII')"


@DRIVERS
def test_bytes_that_are_no_text_become_null_and_are_counted(raw_source: Source, narrow: bool) -> None:
    raw_source.execute(f"""
        CREATE TYPE pair AS (a int, b text);
        CREATE TABLE names (id int, t text, v varchar(9), c char(4), p pair, l text[], n numeric, u uuid);
        INSERT INTO names SELECT n, t, t, t, row(1, t)::pair, array[t], n, NULL
        FROM (VALUES (1, {as_text(UTF8)}), (2, {as_text(LATIN1)}), (3, {as_text(CUT)}), (4, NULL)) AS given (n, t)""")

    result = raw_source.read("names", narrow=narrow)

    texts = {"t": "Mü", "v": "Mü", "c": "Mü ", "p": "(1,Mü)", "l": '["Mü"]'}
    assert {name: result.table.schema.field(name).type for name in texts} == dict.fromkeys(texts, pa.string())
    for name, text in texts.items():
        assert result.column(name)[:3] == [text, None, None], name
    assert result.column("id") == [1, 2, 3, 4]
    assert result.warnings() == {(name, NOT_UTF8): 2 for name in texts}


@DRIVERS
def test_bytes_that_are_no_text_can_be_kept_as_bytes(raw_source: Source, narrow: bool) -> None:
    raw_source.execute(f"""
        CREATE TABLE names (id int, t text);
        INSERT INTO names VALUES (1, {as_text(UTF8)}), (2, {as_text(LATIN1)})""")
    by_id = CursorRange("id")
    result = raw_source.read("names", cursor=by_id, type_overrides={"t": "binary"}, narrow=narrow)
    assert (result.column("t"), result.warnings()) == (["Mü".encode(), "Mü".encode("latin-1")], {})
    found = raw_source.read("names", filters=(RowFilter("t", "=", "Mü"),), narrow=narrow)
    assert (found.column("id"), found.column("t")) == ([1], ["Mü"])


@DRIVERS
def test_broken_text_in_a_database_that_says_it_is_utf8(raw_source: Source, narrow: bool) -> None:
    """As old servers and restored files have it: neither Postgres nor every driver looks."""
    raw_source.execute(f"""
        CREATE TABLE names (id int, t text);
        INSERT INTO names VALUES (1, {as_text(CUT)}), (2, {as_text(UTF8)})""")
    raw_source.server.execute(
        f"UPDATE pg_database SET encoding = pg_char_to_encoding('UTF8') WHERE datname = '{raw_source.database}'"
    )
    result = raw_source.read("names", narrow=narrow)
    assert (result.column("t"), result.warnings()) == ([None, "Mü"], {("t", NOT_UTF8): 1})
    assert raw_source.read("names", type_overrides={"t": "binary"}, narrow=narrow).column("t")[0] == b"M\xc3"


@DRIVERS
def test_texts_of_other_encodings_arrive_as_unicode(source18: Source, narrow: bool) -> None:
    database = f"latin_{source18.database}"
    server = source18.server
    server.execute(f"CREATE DATABASE {database} ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    latin = Source(server, database)
    with server.connect(database, client_encoding="utf8") as connection:
        connection.execute("CREATE TABLE names (t text, c char(3), j jsonb)")
        connection.execute("""INSERT INTO names VALUES ('Mü 5 €', 'ü', '{"ü": "€"}')""")

    result = latin.read("names", narrow=narrow)

    assert result.table.to_pylist() == [{"t": "Mü 5 €", "c": "ü  ", "j": '{"ü": "€"}'}]
    assert latin.read("names", type_overrides={"t": "binary"}, narrow=narrow).column("t") == ["Mü 5 €".encode()]
    assert latin.read("names", filters=(RowFilter("t", "=", "Mü 5 €"),), narrow=narrow).column("c") == ["ü  "]
    latin.execute(r"INSERT INTO names VALUES (convert_from('\x81', 'SQL_ASCII'))")
    with pytest.raises(SourceError, match="cannot be converted to UTF-8") as caught:
        latin.read("names", narrow=narrow)
    assert not caught.value.retryable
    server.drop_database(database)


@DRIVERS
def test_a_text_of_a_hundred_megabytes(source18: Source, narrow: bool) -> None:
    source18.execute("""
        CREATE TABLE big (id int, t text);
        INSERT INTO big SELECT n, repeat(chr(96 + n), CASE n WHEN 2 THEN 100000000 ELSE 3 END)
        FROM generate_series(1, 3) AS n""")
    result = source18.read("big", narrow=narrow)
    assert dict(zip(result.column("id"), result.column("t"), strict=True)) == {1: "aaa", 2: "b" * 10**8, 3: "ccc"}
