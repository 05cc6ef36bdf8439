"""What happens at the source after the first sync: rows come and rows change."""

from typing import Any

import psycopg

_STATEMENTS = {
    "orders": (
        """INSERT INTO orders (o_orderkey, o_custkey, o_orderstatus, o_totalprice, o_orderdate, o_orderpriority,
                               o_clerk, o_shippriority, o_comment)
           SELECT (SELECT max(o_orderkey) FROM orders) + row_number() OVER (ORDER BY o_orderkey), o_custkey, 'O',
                  o_totalprice, o_orderdate, o_orderpriority, o_clerk, o_shippriority, 'ordered again'
           FROM orders WHERE o_orderkey % 400 = 1""",
        """UPDATE orders SET o_orderstatus = 'F', o_totalprice = o_totalprice * 0.9, updated_at = clock_timestamp()
           WHERE o_orderkey % 250 = 2 AND o_comment <> 'ordered again'""",
    ),
    "lineitem": (
        """INSERT INTO lineitem (l_orderkey, l_partkey, l_suppkey, l_linenumber, l_quantity, l_extendedprice,
                                 l_discount, l_tax, l_returnflag, l_linestatus, l_shipdate, l_commitdate,
                                 l_receiptdate, l_shipinstruct, l_shipmode, l_comment)
           SELECT l_orderkey, l_partkey, l_suppkey, l_linenumber + 100, l_quantity, l_extendedprice, l_discount,
                  l_tax, 'N', 'O', l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode, 'one more'
           FROM lineitem WHERE l_orderkey % 400 = 1""",
        """UPDATE lineitem SET l_discount = 0.10, l_comment = 'discounted', updated_at = clock_timestamp()
           WHERE l_orderkey % 250 = 2""",
    ),
}


def change_source(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Insert and update rows, no row twice; how many rows of each table are other than they were."""
    return {
        table: sum(connection.execute(statement.encode()).rowcount for statement in statements)
        for table, statements in _STATEMENTS.items()
    }
