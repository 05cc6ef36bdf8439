"""The same for MariaDB: ConnectorX reads, as a stream of Arrow.

``python -m bench.peers.floor_mysql`` with the task of ``bench.peers.floor``, in the peers' environment.
"""

import json
import sys
from typing import Any

import connectorx

from bench.peers.parquet import write
from bench.peers.spent import report_spent

CHUNK_ROWS = 122_880


def main() -> None:
    task: dict[str, Any] = json.load(sys.stdin)
    with report_spent():
        for table in task["tables"]:
            query = f"SELECT * FROM {table}"
            reader = connectorx.read_sql(task["url"], query, return_type="arrow_stream", batch_size=CHUNK_ROWS)
            write(task["store"], f"{task['target']}/{table}.parquet", reader)


if __name__ == "__main__":
    main()
