"""A read in a process of its own: ``python -m tests.connectors.mysql.reading_process TABLE``.

Takes the connection's fields as JSON on the first line of its input. Says ``reading`` after the first batch, reads on
at the next line, and says how that ended.
"""

import json
import sys

from connectors.base import ReadRequest
from connectors.errors import SourceError
from connectors.mysql import MySqlConnector
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings


def main(table: str) -> None:
    mysql = MySqlConnector()
    config = mysql.parse_config(json.loads(sys.stdin.readline()), Surroundings(OPEN))
    try:
        with mysql.read(config, ReadRequest(table, "r", batch_bytes=2**20)) as read:
            batches = read.batches()
            next(batches)
            print("reading", flush=True)
            sys.stdin.readline()
            for _ in batches:
                pass
        print("finished", flush=True)
    except SourceError as error:
        print(type(error).__name__, error.retryable, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
