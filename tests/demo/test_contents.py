"""The checksum that the demo and the benchmark rely on: does it see every difference, and nothing else?"""

from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from local.demo.client import DemoError
from local.demo.compare import compare_sides
from local.demo.contents import Contents, lake_contents, source_columns, source_contents
from local.demo.tpch import TABLES, load
from local.postgres import PostgresServer

ROWS = {
    "id": [1, 2, 3],
    "name": ["ä|b", None, ""],
    "price": ["12.50", "-0.05", None],
    "day": ["2024-02-29", None, "1992-01-01"],
    "at": ["2024-02-29 23:59:59.000001+00", "1969-12-31 23:59:59.5+00", None],
}
COLUMNS = "id bigint, name text, price numeric(15,2), day date, at timestamptz"


@pytest.fixture
def database(postgres18: PostgresServer) -> str:
    """With the table ``thing`` of ``ROWS``."""
    name = postgres18.create_database()
    with postgres18.connect(name) as connection:
        connection.execute(f"CREATE TABLE thing ({COLUMNS})".encode())
        connection.cursor().executemany(
            "INSERT INTO thing VALUES (%s, %s, %s, %s, %s)", list(zip(*ROWS.values(), strict=True))
        )
    return name


def lake_frame() -> pl.DataFrame:
    return pl.DataFrame(ROWS).select(
        pl.col("id").cast(pl.Int64),
        "name",
        pl.col("price").cast(pl.Decimal(15, 2)),
        pl.col("day").str.to_date(),
        pl.col("at").str.strip_suffix("+00").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC"),
    )


def contents_of(frame: pl.DataFrame, folder: Path) -> Contents:
    frame.write_delta(str(folder), mode="overwrite")
    return lake_contents(str(folder), {}, frame.columns)


def test_both_sides_agree_in_any_order(postgres18: PostgresServer, database: str, tmp_path: Path) -> None:
    with postgres18.connect(database) as connection:
        here = source_contents(connection, "thing")
        assert source_columns(connection, "thing") == list(ROWS)
    assert here.rows == 3
    assert contents_of(lake_frame(), tmp_path / "table") == here
    assert contents_of(lake_frame().reverse(), tmp_path / "reversed") == here


@pytest.mark.parametrize(
    "different",
    [
        lambda frame: frame.head(2),
        lambda frame: pl.concat([frame.head(2), frame.head(1)]),
        lambda frame: frame.with_columns(pl.col("name").fill_null("")),
        lambda frame: frame.with_columns(pl.col("price") + pl.lit("0.01").cast(pl.Decimal(15, 2))),
        lambda frame: frame.with_columns(pl.col("at") + pl.duration(microseconds=1)),
        lambda frame: frame.with_columns(pl.col("day").shift(1)),
    ],
    ids=["row missing", "row doubled in place of another", "null made empty", "a cent", "a microsecond", "days moved"],
)
def test_every_difference_is_named(postgres18: PostgresServer, database: str, tmp_path: Path, different) -> None:
    contents_of(different(lake_frame()), tmp_path / "table")
    with (
        postgres18.connect(database) as connection,
        pytest.raises(DemoError, match="The lake differs from the source: thing"),
    ):
        compare_sides(connection, {"thing": str(tmp_path / "table")}, {}, Console(quiet=True))


def test_every_table_of_tpch_is_loaded_with_its_key(postgres18: PostgresServer) -> None:
    database = postgres18.create_database()
    with postgres18.connect(database) as connection:
        loaded = load(connection, 0.01)
        assert loaded == {
            table.name: connection.execute(f"SELECT count(*) FROM {table.name}".encode()).fetchall()[0][0]
            for table in TABLES
        }
        keyed = connection.execute(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND connamespace = 'public'::regnamespace"
        ).fetchall()
        assert keyed == [(len(TABLES),)]
        for table in ("orders", "lineitem"):
            times = connection.execute(f"SELECT count(DISTINCT updated_at) FROM {table}".encode()).fetchall()
            assert times[0][0] > loaded[table] / 10
