"""What is asked of a source: never less than the query can mean."""

from typing import Any

import duckdb
import pytest

from connectors.base import RowFilter
from query.guard import check
from query.pushdown import needed_columns, row_filters

COLUMNS = {
    "id": "bigint",
    "Name": "text",
    "day": "date",
    "moment": "timestamp with time zone",
    "rough": "timestamp(0) without time zone",
    "total": "numeric(12,2)",
    "who": "uuid",
}


def tree(sql: str) -> Any:
    with duckdb.connect() as connection:
        return check(connection, sql).tree


@pytest.mark.parametrize(
    ("sql", "needed"),
    [
        ("select id from t", ("id",)),
        ("select NAME, t.day from t where total > 1", ("Name", "day", "total")),
        ("select count(*) from t", ("id",)),
        ("select a.id from t a join (values (1)) b(id) using (id)", None),
        ("select a.id from t a join u using (who)", ("id", "who")),
        ("select * from t", None),
        ("select t from t", None),
        ("select x from t x", None),
        ("select count(t) from t", None),
        ("select id from t natural join u", None),
        ("select a from t as t(a)", None),
        ("summarize t", None),
        ("select columns('i.*') from t", None),
        ("select id from t order by (select max(day) from t)", ("id", "day")),
    ],
)
def test_columns(sql: str, needed: tuple[str, ...] | None) -> None:
    assert needed_columns(tree(sql), COLUMNS) == needed


@pytest.mark.parametrize(
    ("sql", "filters"),
    [
        ("select * from t where id = 5", [("id", "=", 5)]),
        ("select * from t where 5 < id and t.name = 'x''y' and total > 1", [("id", ">", 5), ("Name", "=", "x'y")]),
        ("select * from t x where x.day >= '2024-01-01'", [("day", ">=", "2024-01-01")]),
        ("select * from t where moment < timestamp '2024-01-01 10:00:00'", [("moment", "<", "2024-01-01 10:00:00")]),
        ("with a as (select * from t where id = 5) select * from a, a b", [("id", "=", 5)]),
        ("select * from t where id = 5 or id = 6", []),
        ("select * from t where not id = 5", []),
        ("select * from t where id + 1 = 5", []),
        ("select * from t where id = 99999999999999999999", []),
        ("select * from t where id = '5'", []),
        ("select * from t where id = true", []),
        ("select * from t where id = null", []),
        ("select * from t where name < 'x'", []),
        ("select * from t where name = 'x' collate nocase", []),
        ("select * from t where day >= '2024-01-01 12:00:00'", []),
        ("select * from t where rough >= '2024-01-01 12:00:00.5'", []),
        ("select * from t where who = 'A'", []),
        ("select * from t where id = 5 union select * from t", []),
        ("select * from t a, t b where a.id = 5", []),
        ("select * from t left join u on true where id = 5", []),
        ("select * from t tablesample 10 rows where id = 5", []),
        ("select * from t where other.id = 5", []),
    ],
)
def test_conditions(sql: str, filters: list[tuple[str, str, Any]]) -> None:
    assert row_filters(tree(sql), "t", COLUMNS, "Postgres") == tuple(RowFilter(*each) for each in filters)


MYSQL_COLUMNS = {
    "id": "bigint(20) unsigned",
    "n": "int",
    "name": "varchar(50)",
    "note": "longtext",
    "kind": "enum('a','b')",
    "day": "date",
    "made": "datetime(6)",
    "seen": "timestamp",
    "total": "decimal(12,2)",
    "raw": "varbinary(9)",
}


@pytest.mark.parametrize(
    ("sql", "filters"),
    [
        ("select * from t where id >= 5 and n < -1", [("id", ">=", 5), ("n", "<", -1)]),
        ("select * from t where name = 'x' and note = 'y'", [("name", "=", "x"), ("note", "=", "y")]),
        ("select * from t where day < '2024-01-01'", [("day", "<", "2024-01-01")]),
        (
            "select * from t where made > '2024-01-01 10:00:00.5' and seen <= timestamp '2024-01-01'",
            [("made", ">", "2024-01-01 10:00:00.5"), ("seen", "<=", "2024-01-01")],
        ),
        ("select * from t where name < 'x' and kind = 'a' and total = 1 and raw = 'x'", []),
        ("select * from t where id = 99999999999999999999 and n = '5'", []),
    ],
)
def test_conditions_for_mysql(sql: str, filters: list[tuple[str, str, Any]]) -> None:
    assert row_filters(tree(sql), "t", MYSQL_COLUMNS, "MySQL") == tuple(RowFilter(*each) for each in filters)


def test_no_conditions_for_a_source_whose_types_are_not_known() -> None:
    """Whatever its types are called."""
    assert row_filters(tree("select * from t where id = 5"), "t", COLUMNS, "SQLite") == ()


def test_a_column_wins_over_an_alias_of_the_same_name() -> None:
    """What is pushed down takes a name in WHERE for the column; so does the engine."""
    with duckdb.connect() as connection:
        connection.execute("create table t as select range as id from range(10)")
        assert connection.execute("select id + 1 as id from t where id = 5").fetchall() == [(6,)]
