"""What a change says beside its row: the seam of sources that keep a log of their changes, as the lake knows it."""

from enum import IntEnum

import pyarrow as pa


class Op(IntEnum):
    """What a change does. An update of a key is two: ``DELETE`` of the old one and, right behind it, ``MOVE``."""

    INSERT = 0
    UPDATE = 1
    DELETE = 2
    TRUNCATE = 3
    MOVE = 4


POSITION = "_sync_position"
"""Of the change's transaction in the source's log."""
ORDINAL = "_sync_ordinal"
"""Its place in the transaction."""
OP = "_sync_op"
COMMIT_AT = "_sync_commit_at"
UNCHANGED = "_sync_unchanged"
"""Which columns are as they were, and were not sent: bit ``i % 8`` of byte ``i // 8`` stands for the source's column
``i``. Null where all were sent."""

MARKS = pa.schema(
    [
        pa.field(POSITION, pa.int64()),
        pa.field(ORDINAL, pa.int64()),
        pa.field(OP, pa.int8()),
        pa.field(COMMIT_AT, pa.timestamp("us", "UTC")),
        pa.field(UNCHANGED, pa.binary()),
    ]
)
"""As they are stored behind a row's columns."""
