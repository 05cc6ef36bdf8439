"""What happens at the source between two runs: rows of ``lineitem`` that are updated, and new ones."""

import math
import random
from typing import Any

import psycopg
from psycopg import sql

KINDS = ("recent", "uniform", "zipf")
_SEED = 7
_NEW_SHARE = 0.1
"""Of the rows that change, how many are new in ``recent``."""
_COLUMNS = (
    "l_partkey, l_suppkey, l_linenumber, l_quantity, l_extendedprice, l_discount, l_tax, l_returnflag, l_linestatus, "
    "l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode, l_comment"
)


def update(connection: psycopg.Connection[Any], kind: str, percent: float) -> int:
    """Change about so many percent of the orders, all lines of each; the number of rows.

    ``recent``: the newest orders by key, a tenth of them new. ``uniform``: any. ``zipf``: with the probability of
    their rank, the newest first: hot orders, and a long tail.
    """
    orders = _orders(connection)
    count = max(1, round(len(orders) * percent / 100))
    new = round(count * _NEW_SHARE) if kind == "recent" else 0
    changed = _choose(kind, orders, count - new)
    connection.execute("CREATE TEMP TABLE chosen (orderkey bigint PRIMARY KEY)")
    with connection.cursor() as cursor, cursor.copy("COPY chosen FROM STDIN") as copy:
        for key in changed:
            copy.write_row([key])
    updated = connection.execute(
        "UPDATE lineitem SET l_quantity = l_quantity + 1, l_comment = reverse(l_comment), "
        "updated_at = clock_timestamp() FROM chosen WHERE l_orderkey = orderkey"
    ).rowcount
    connection.execute("DROP TABLE chosen")
    return updated + (insert(connection, orders[-new:]) if new else 0)


def delete_percent(connection: psycopg.Connection[Any], percent: float) -> int:
    """About so many percent of the orders, any of them."""
    orders = _orders(connection)
    # Others than those that were updated: they would all lie together.
    chosen = _choose("uniform", orders, max(1, round(len(orders) * percent / 100)), _SEED + 1)
    return connection.execute("DELETE FROM lineitem WHERE l_orderkey = ANY(%s)", [chosen]).rowcount


def insert_percent(connection: psycopg.Connection[Any], percent: float) -> int:
    """New orders behind the newest one."""
    orders = _orders(connection)
    return insert(connection, orders[-max(1, round(len(orders) * percent / 100)) :])


def insert(connection: psycopg.Connection[Any], like: list[int]) -> int:
    """As many new orders, with the lines of these; they follow the newest one."""
    query = (
        f"INSERT INTO lineitem (l_orderkey, {_COLUMNS}) SELECT l_orderkey - {{}} + {{}}, {_COLUMNS} FROM lineitem "
        "WHERE l_orderkey BETWEEN {} AND {}"
    )
    newest = connection.execute("SELECT max(l_orderkey) + 1 FROM lineitem").fetchone()
    assert newest
    first, last = sql.Literal(like[0]), sql.Literal(like[-1])
    return connection.execute(sql.SQL(query).format(first, sql.Literal(newest[0]), first, last)).rowcount


def settle(connection: psycopg.Connection[Any]) -> None:
    """Nobody has to be the first who reads the new rows, and what this session read is not counted as theirs."""
    connection.execute("VACUUM (ANALYZE) lineitem")
    connection.execute("CHECKPOINT")


def _orders(connection: psycopg.Connection[Any]) -> list[int]:
    return [row[0] for row in connection.execute("SELECT DISTINCT l_orderkey FROM lineitem ORDER BY l_orderkey")]


def _choose(kind: str, orders: list[int], count: int, seed: int = _SEED) -> list[int]:
    chance = random.Random(seed)  # noqa: S311
    if kind == "recent":
        return orders[-count:]
    if kind == "uniform":
        return chance.sample(orders, count)
    chosen: set[int] = set()
    while len(chosen) < count:
        # The rank of a draw from a Zipf distribution with exponent 1, by its inverse.
        rank = int(math.exp(chance.random() * math.log(len(orders))))
        chosen.add(orders[-rank])
    return list(chosen)
