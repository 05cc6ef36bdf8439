"""Recognising a read that brought nothing new the last time.

A cursor read begins at the greatest value that the table holds, so it finds at least that row again, and what it finds
must be compared with the table. When the same rows were compared with the same version of the table before, they need
not be compared again: most runs of most tables end here.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import chain

import pyarrow as pa

from activities.messages import Run
from connectors.base import ReadReport
from lake.position import Position

MOST_ROWS = 10_000
MOST_BYTES = 2**24
"""What is held in memory to be looked at. A read of more is no repetition that is worth to be found."""


def look_ahead(batches: Iterator[pa.RecordBatch]) -> tuple[list[pa.RecordBatch] | None, Iterator[pa.RecordBatch]]:
    """All batches of a short read, None of a longer one; and the batches to go on with, none of them lost."""
    seen: list[pa.RecordBatch] = []
    rows = size_bytes = 0
    for batch in batches:
        seen.append(batch)
        rows, size_bytes = rows + batch.num_rows, size_bytes + batch.nbytes
        if rows > MOST_ROWS or size_bytes > MOST_BYTES:
            return None, chain(_released(seen), batches)
    return seen, iter(seen)


def digest(run: Run, base: Position, schema: pa.Schema, batches: Sequence[pa.RecordBatch], report: ReadReport) -> str:
    """The same for the same rows, read by the same settings and this release, to go to the same version of the table.

    Rows that are merely alike (in another order, or with other bytes under a null) may give another one.
    """
    # Each run has a job and a fence of its own, which change nothing of what it reads.
    meant = {name: value for name, value in asdict(run).items() if name not in ("job_id", "fence")}
    whole = None if report.whole_groups is None else asdict(report.whole_groups)
    told = [version("syncline"), meant, base.as_dict(), whole, report.state]
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_table(pa.Table.from_batches(batches, schema).combine_chunks())
    found.update(sink.getvalue())
    return found.hexdigest()


def _released(batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while batches:
        yield batches.pop(0)
