"""What may run and what may not, by the guard alone and by the engine's locks alone."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from lake.storage import LakeStore
from query.engine import Engine
from query.errors import InvalidQueryError
from query.functions import FUNCTIONS, TABLE_FUNCTIONS
from query.guard import check
from query.messages import QueryLimits
from tests.query import hostile

SECRET = "the-content-of-a-file"
BY_KEYWORD = {"coalesce", "construct_array", "unnest", "if", "ifnull", "count_star"}
"""Functions that only the parser knows, or that it makes of keywords."""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret.csv"
    file.write_text(f"name\n{SECRET}\n")
    return file


@pytest.mark.parametrize("sql", hostile.EVERYTHING)
def test_the_guard_refuses(connection: duckdb.DuckDBPyConnection, secret_file: Path, sql: str) -> None:
    """Or finds names of tables that no project has: its tables are of letters, digits and _ and begin otherwise."""
    try:
        checked = check(connection, sql.format(file=secret_file))
    except InvalidQueryError:
        return
    assert checked.tables
    assert any(
        "/" in name or "." in name or name.startswith(("duckdb_", "pg_", "sqlite_")) for name in checked.tables
    ), checked.tables


@pytest.mark.parametrize("sql", [*hostile.FILES, *hostile.ADDRESSES])
def test_the_engine_is_locked_even_without_the_guard(tmp_path: Path, secret_file: Path, sql: str) -> None:
    engine = Engine.start(QueryLimits())
    engine.give([], {}, LakeStore(f"file://{tmp_path}/lake"), 10)
    with pytest.raises(duckdb.Error) as caught:
        engine.connection.execute(sql.format(file=secret_file)).fetchall()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set python_enable_replacements = true",
        "set temp_directory = '/tmp'",
        "set memory_limit = '100GB'",
        "set autoinstall_known_extensions = true",
        "install httpfs",
        "load httpfs",
        "attach '/tmp/other.db' as other",
        "copy (select 1) to '/tmp/stolen.csv'",
        "export database '/tmp/stolen'",
    ],
)
def test_the_locks_cannot_be_opened(tmp_path: Path, sql: str) -> None:
    engine = Engine.start(QueryLimits())
    engine.give([], {}, LakeStore(f"file://{tmp_path}/lake"), 10)
    with pytest.raises(duckdb.Error):
        engine.connection.execute(sql)


def test_variables_of_the_process_are_no_tables(tmp_path: Path) -> None:
    stolen = duckdb.sql("select 42 as answer").to_arrow_table()
    assert stolen.num_rows == 1
    engine = Engine.start(QueryLimits())
    engine.give([], {}, LakeStore(f"file://{tmp_path}/lake"), 10)
    with pytest.raises(duckdb.CatalogException):
        engine.connection.execute("select * from stolen")


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select * from Orders o join customer using (id)", {"orders", "customer"}),
        ('select "a b", "ü" from "postgres_orders"', {"postgres_orders"}),
        ("with orders as (select 1 as a) select * from orders", set()),
        ("with orders as (select * from orders) select * from orders", {"orders"}),
        ("with a as (select * from b), b as (select 1) select * from a, b", {"b"}),
        ("select * from (with a as (select 1) select * from a), a", {"a"}),
        ("with recursive a as (select 1 as x union all select x + 1 from a where x < 9) select * from a", set()),
        ("select (select max(x) from orders), [y for y in [1, 2]], exists (from customer)", {"orders", "customer"}),
        ("describe orders", {"orders"}),
        ("summarize orders", {"orders"}),
        ("from orders select sum(a) over (partition by b order by c), row_number() over ()", {"orders"}),
        ("select * from (pivot orders on a in (1, 2) using sum(b)) limit 5", {"orders"}),
        ("select * exclude (a) replace (b + 1 as b), columns('c.*') from orders", {"orders"}),
        ("select distinct on (a) * from orders using sample 10 rows", {"orders"}),
        ("select a from orders union by name select b from customer order by all nulls last", {"orders", "customer"}),
        ("select -a, a ** 2, not b, a || 'x', a::decimal(9, 2), try_cast(a as date), a[1:2], {'x': a}.x from o", {"o"}),
        (
            "select unnest([1]), date_trunc('day', now()), current_date, interval 1 day, extract(year from d) from o",
            {"o"},
        ),
        ("values (1), (2)", set()),
        ("select 1 -- ; drop table x", set()),
        ("select * from range(3) r, generate_series(1, 2), unnest([1]) u", set()),
        (
            "select mode() within group (order by a), count(*) filter (b) from o group by grouping sets ((a), ())",
            {"o"},
        ),
        ("select * from o asof join p using (moment) semi join q on true", {"o", "p", "q"}),
    ],
)
def test_the_guard_lets_through(connection: duckdb.DuckDBPyConnection, sql: str, tables: set[str]) -> None:
    assert check(connection, sql).tables == tables


def test_deep_and_long_queries_are_refused(connection: duckdb.DuckDBPyConnection) -> None:
    for sql in (
        "select " + "-" * 3000 + "1",
        "select 1" + " + 1" * 20_000,
        "select * from " + "(select * from " * 900 + "range(1)" + ")" * 900,
        "select '" + "x" * 200_000 + "'",
    ):
        with pytest.raises(InvalidQueryError):
            check(connection, sql)


def test_every_allowed_function_exists(connection: duckdb.DuckDBPyConnection) -> None:
    """A name that the engine no longer has, or that is misspelt, allows nothing."""
    rows = connection.execute("select function_name, function_type from duckdb_functions()").fetchall()
    functions = {name for name, kind in rows if kind in ("scalar", "aggregate", "macro")}
    tables = {name for name, kind in rows if kind in ("table", "table_macro")}
    assert functions >= FUNCTIONS - BY_KEYWORD
    assert tables >= TABLE_FUNCTIONS
