"""A read in a process of its own (``python -m tests.connectors.files.measured_process``) that says what it took.

Takes the connection's fields as JSON, with the allowed folder; prints rows, the sum of the column
``id``, the memory before and at the most (MB), and seconds.
"""

import json
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import ReadRequest
from connectors.files import FilesConnector
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings


def main() -> None:
    pa.set_memory_pool(pa.system_memory_pool())
    order = json.loads(sys.stdin.readline())
    files = FilesConnector()
    config = files.parse_config(order["inputs"], Surroundings(OPEN, (Path(order["folder"]),)))
    before = psutil.Process().memory_info().rss
    begun = time.monotonic()
    rows = total = largest = 0
    with files.read(config, ReadRequest("t", "measured")) as read:
        for batch in read.batches():
            rows += batch.num_rows
            total += pc.sum(batch.column("id")).as_py()
            largest = max(largest, batch.nbytes)
    seconds = time.monotonic() - begun
    # Of this program alone: what getrusage has begins with the memory of the process that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    most = int(status["VmHWM"].split()[0]) >> 10
    answer = {"rows": rows, "total": total, "before_mb": before >> 20, "most_mb": most, "seconds": seconds}
    print(json.dumps({**answer, "batch_mb": largest / 2**20}))


if __name__ == "__main__":
    main()
