"""A table's inbox: what its provider sent, from when that was acknowledged until its rows are in the table.

An object of the store holds the events of some milliseconds, and is there whole or not at all. It goes after the commit
that has its rows.
"""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

import pyarrow as pa

from lake.errors import LakeError
from lake.objects import StoredObject
from lake.storage import LakeStore

INBOXES = "_inboxes"
_SUFFIX = ".arrow"

_EVENTS = pa.schema(
    [
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("body", pa.large_binary(), nullable=False),
        pa.field("received_at", pa.float64(), nullable=False),
        pa.field("event_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class InboxEvent:
    """``body``: as it was sent; ``received_at``: seconds since the epoch."""

    event_type: str
    body: bytes
    received_at: float
    event_id: str | None = None
    """The sender's own."""


def inbox_root(schema_id: str) -> str:
    return f"{INBOXES}/{schema_id}"


class Inbox:
    """Safe to share between threads and processes: nobody writes what another one has written."""

    def __init__(self, store: LakeStore, root: str) -> None:
        self._store = store
        self._root = root

    def put(self, events: Sequence[InboxEvent]) -> None:
        """They are safe when this returns. ``LakeError`` where they may not be."""
        columns = [
            pa.array([event.event_type for event in events], pa.string()),
            pa.array([event.body for event in events], pa.large_binary()),
            pa.array([event.received_at for event in events], pa.float64()),
            pa.array([event.event_id for event in events], pa.string()),
        ]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, _EVENTS, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_EVENTS))
        name = f"{time.time_ns() // 1000:017d}-{uuid.uuid4().hex[:12]}{_SUFFIX}"
        self._store.write(f"{self._root}/{name}", sink.getvalue().to_pybytes())

    def files(self, most: int) -> list[StoredObject]:
        """The oldest ones, about in the order in which they came."""
        return list(islice(whole_files(self._store, self._root), most))

    def read(self, path: str) -> list[InboxEvent]:
        """``LakeError`` where it is not there any more."""
        content = self._store.read(path)
        if content is None:
            raise LakeError("A file of the inbox is gone: another run has taken it.")
        with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
            columns = reader.read_all().to_pydict()
        return [InboxEvent(*values) for values in zip(*columns.values(), strict=True)]

    def delete(self, names: Iterable[str]) -> None:
        """By their names in the inbox. Missing ones are no error."""
        self._store.delete([f"{self._root}/{name}" for name in names])


def whole_files(store: LakeStore, folder: str, after: str | None = None) -> Iterator[StoredObject]:
    """Those of inboxes below a folder, by name; without what a folder of this machine has beside them as it writes."""
    return (each for each in store.list(folder, after) if each.path.endswith(_SUFFIX))


def name_of(path: str) -> str:
    """What a file is called in its inbox."""
    return PurePosixPath(path).name
