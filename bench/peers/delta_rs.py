"""A script with delta-rs: what it takes to append rows to a table, or to ``MERGE`` them into it.

``python -m bench.peers.delta_rs`` with a ``Task`` as JSON on standard input. DuckDB's ``postgres_query`` reads the
rows that changed, as in the floor script.
"""

import json
import sys
from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from bench.peers.floor import connect, read
from bench.peers.spent import report_spent


@dataclass(frozen=True)
class Task:
    source: str
    """URL of the database."""
    query: str
    """What to read from PostgreSQL."""
    url: str
    options: dict[str, str]
    action: str
    """``append``, also into no table, or ``merge``."""
    key: list[str]


def main() -> None:
    task = Task(**json.load(sys.stdin))
    with report_spent(), connect(task.source) as connection:
        rows = read(connection, task.query)
        if task.action == "merge":
            merge(task, rows.read_all())
        else:
            write_deltalake(task.url, rows, mode="append", storage_options=task.options)


def merge(task: Task, rows: pa.Table) -> None:
    """With the statistics of the rows, by which it leaves out files (``streamed_exec`` would do without)."""
    table = DeltaTable(task.url, storage_options=task.options)
    same_key = " AND ".join(f'target."{column}" = source."{column}"' for column in task.key)
    merging = table.merge(rows, predicate=same_key, source_alias="source", target_alias="target", streamed_exec=False)
    merging.when_matched_update_all().when_not_matched_insert_all().execute()


if __name__ == "__main__":
    main()
