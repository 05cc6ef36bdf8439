"""PostgreSQL's own ``COPY … (FORMAT binary)`` to nowhere: what one connection can deliver, without using any of it.

``python -m bench.peers.copy_out`` with ``{"url", "tables"}`` as JSON on standard input.
"""

import json
import sys

import psycopg
from psycopg import sql

from bench.peers.spent import report_spent


def main() -> None:
    task = json.load(sys.stdin)
    with report_spent(), psycopg.connect(task["url"]) as connection, connection.cursor() as cursor:
        for table in task["tables"]:
            query = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(sql.Identifier(table))
            with cursor.copy(query) as copy:
                while copy.read():
                    pass


if __name__ == "__main__":
    main()
