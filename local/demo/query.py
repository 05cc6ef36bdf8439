"""A query over the lake by an engine that knows nothing of Syncline: DuckDB over the Delta tables."""

from collections.abc import Mapping

import duckdb
from deltalake import DeltaTable
from rich.table import Table

_TABLES = ("nation", "customer", "orders", "lineitem")
_QUERY = """
    SELECT n_name, count(DISTINCT o_orderkey), round(sum(l_extendedprice * (1 - l_discount)) / 1e6, 2) AS revenue
    FROM lineitem
    JOIN orders ON o_orderkey = l_orderkey
    JOIN customer ON c_custkey = o_custkey
    JOIN nation ON n_nationkey = c_nationkey
    GROUP BY n_name ORDER BY revenue DESC LIMIT 5
"""


def revenue_by_nation(urls: Mapping[str, str], storage_options: Mapping[str, str]) -> Table:
    """The five nations that bring most, as a table to print."""
    with duckdb.connect() as connection:
        for name in _TABLES:
            table = DeltaTable(urls[name], storage_options=dict(storage_options))
            connection.register(name, table.to_pyarrow_dataset())
        answer = connection.execute(_QUERY)
        shown = Table("  nation", "orders", "revenue, millions", box=None, pad_edge=False)
        for nation, orders, revenue in answer.fetchall():
            shown.add_row(f"  {nation}", f"{orders:,}", f"{revenue:,}")
    return shown
