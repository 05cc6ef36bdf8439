"""A table that was read, as changes: all that it had is gone, and all that it has is new."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

import pyarrow as pa

from lake.entries import Segment
from lake.entry_writer import EntryWriter
from lake.manifest import STAGING
from lake.marks import MARKS, Op
from lake.storage import LakeStore


def snapshot_segments(
    store: LakeStore,
    table_path: str,
    run_id: str,
    position: int,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
) -> tuple[Segment, ...]:
    """Of one transaction at that position of the source's log. They lie among what the run stages."""
    folder = f"{table_path}/{STAGING}/{run_id}/{uuid.uuid4().hex[:12]}"
    writer = EntryWriter(store, folder, epoch=0, sequence=1)
    now = datetime.now(UTC)
    try:
        emptied = pa.RecordBatch.from_arrays([pa.nulls(1, column.type) for column in schema], schema=schema)
        writer.write("rows", emptied, _marks(position, 0, 1, Op.TRUNCATE, now))
        ordinal = 1
        for batch in batches:
            writer.write("rows", batch, _marks(position, ordinal, batch.num_rows, Op.INSERT, now))
            ordinal += batch.num_rows
        return writer.finish(position, "", now).segments["rows"]
    except BaseException:
        writer.abandon()
        raise


def _marks(position: int, first: int, count: int, op: Op, at: datetime) -> pa.RecordBatch:
    ordinals = pa.array(range(first, first + count), pa.int64())
    values = [pa.scalar(position, pa.int64()), pa.scalar(int(op), pa.int8()), pa.scalar(at, MARKS.field(3).type)]
    positions, ops, times = (pa.repeat(value, count) for value in values)
    return pa.RecordBatch.from_arrays([positions, ordinals, ops, times, pa.nulls(count, pa.binary())], schema=MARKS)
