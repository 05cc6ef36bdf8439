"""What discovery finds in a database, and that it looks at the catalogue only."""

from typing import Any

import pytest

from connectors.base import Column, IncrementalField
from connectors.errors import ConfigurationError
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings
from tests.connectors.mysql.source import MYSQL, Source


def test_tables_views_keys_and_cursors(source: Source) -> None:
    source.execute(
        "CREATE TABLE parent (a int, b varchar(9), c datetime(6) NOT NULL, d decimal(10,2), "
        "e bigint unsigned NOT NULL, f text, g double, h enum('x','it''s'), "
        "PRIMARY KEY (b, a), UNIQUE KEY loose (d), UNIQUE KEY tight (e), KEY by_c (c, d), KEY by_f (f(10))) "
        "COMMENT 'of parents'",
        "INSERT INTO parent SELECT seq, 'b', '2024-01-01', seq, seq, 'f', 0, 'x' FROM seq_1_to_100",
        "ANALYZE TABLE parent",
        "CREATE TABLE `Ünï ``code` (`sel ect` int)",
        "CREATE VIEW seen AS SELECT a, c FROM parent",
        "CREATE TABLE history (id int PRIMARY KEY) WITH SYSTEM VERSIONING",
        "CREATE SEQUENCE numbers",
    )
    found = source.discover()

    assert {name: table.kind for name, table in found.items()} == {
        "parent": "table",
        "Ünï `code": "table",
        "seen": "view",
        "history": "table",
    }
    parent = found["parent"]
    assert parent.columns == (
        Column("a", "int(11)", False, "integer"),
        Column("b", "varchar(9)", False, "text"),
        Column("c", "datetime(6)", False, "timestamp"),
        Column("d", "decimal(10,2)", True, "numeric"),
        Column("e", "bigint(20) unsigned", False, "numeric"),
        Column("f", "text", True, "text"),
        Column("g", "double", True, "float"),
        Column("h", "enum('x','it''s')", True, "enum", ("x", "it's")),
    )
    assert parent.primary_key == ("b", "a")
    assert parent.unique_keys == (("e",), ("d",))
    assert parent.row_estimate == 100
    assert parent.description == "of parents"
    assert parent.incremental_fields == (
        IncrementalField("a", "integer", "a", "int(11)", False, False),
        IncrementalField("c", "timestamp", "c", "datetime(6)", False, True),
        IncrementalField("d", "numeric", "d", "decimal(10,2)", True, True),
        IncrementalField("e", "numeric", "e", "bigint(20) unsigned", False, True),
    )
    assert found["seen"].primary_key == ()
    assert found["seen"].row_estimate is None
    assert [column.name for column in found["Ünï `code"].columns] == ["sel ect"]


def test_named_tables_only(source: Source) -> None:
    source.execute("CREATE TABLE a (id int)", "CREATE TABLE b (id int)", "CREATE TABLE `B'` (id int)")
    assert set(source.discover("b", "B'", "gone")) == {"b", "B'"}
    assert set(source.discover("B")) == set()
    assert MYSQL.discover(source.config(), []) == []


def test_columns_that_are_hidden_or_computed_are_there(source: Source) -> None:
    source.execute("CREATE TABLE t (a int, b int INVISIBLE, c int AS (a + 1) VIRTUAL)")
    assert [column.name for column in source.discover()["t"].columns] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": "db.example.com/x"}, "host"),
        ({"port": "x"}, "port"),
        ({"port": 70000}, "port"),
        ({"database": None}, "database"),
        ({"user": ""}, "user"),
        ({"user": True}, "user"),
        ({"password": "a\0"}, "password"),
        ({"sslmode": "perhaps"}, "sslmode"),
        ({"ssl_ca": "none"}, "ssl_ca"),
    ],
)
def test_fields_that_are_wrong_in_themselves(changes: dict[str, Any], attr: str) -> None:
    inputs = {"host": "h", "database": "d", "user": "u", "password": " p ", **changes}
    with pytest.raises(ConfigurationError) as caught:
        MYSQL.parse_config(inputs, Surroundings(OPEN))
    assert caught.value.attr == attr


def test_a_configuration_shows_no_password() -> None:
    inputs = {"host": " h ", "database": "d", "user": "u", "password": " p-w "}
    config = MYSQL.parse_config(inputs, Surroundings(OPEN))
    assert (config.host, config.port, config.password, config.sslmode) == ("h", 3306, " p-w ", "prefer")
    assert "p-w" not in repr(config)
