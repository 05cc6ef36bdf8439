"""The manifest of a staged batch: a small JSON object that lists its files, so that a commit can refer to them."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lake.columns import StoredColumns
from lake.errors import LakeError, StalePositionError
from lake.parquet import WrittenFile
from lake.position import LogMark
from lake.storage import LakeStore

STAGING = "_staging"

Greatest = Callable[[StoredColumns, Sequence[str]], str]
"""The greatest of several texts of the cursor."""


@dataclass(frozen=True)
class RunRef:
    """The run that writes. Its ``fence`` grows from run to run; it writes to one ``generation``."""

    run_id: str
    fence: int
    generation: int


@dataclass(frozen=True)
class WholeGroups:
    """Values of a key column, by its stored name, of which all rows are staged: stored ones with another key go."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What one attempt of one batch has staged. Cursor and edge are the connector's canonical text."""

    run_id: str
    batch: int
    columns: StoredColumns
    fresh: tuple[WrittenFile, ...] = ()
    overlap: tuple[WrittenFile, ...] = ()
    """Rows at or below the edge, or without a cursor: the table may hold them already."""
    deleted: tuple[WrittenFile, ...] = ()
    """Not rows but keys, of the stored rows that are to go."""
    truncated: bool = False
    """All stored rows go, before the staged ones come."""
    whole: WholeGroups | None = None
    edge: str | None = None
    cursor: str | None = None
    """Greatest cursor among the fresh rows."""
    log: LogMark | None = None
    """How far the table follows its source's log with this batch."""
    state: str | None = None
    """The connector's own text of what it has read, with this batch."""

    @property
    def is_empty(self) -> bool:
        """Nothing is to change in the table's rows."""
        return not (self.fresh or self.overlap or self.deleted or self.truncated or self.whole)

    @property
    def rows(self) -> int:
        return sum(file.rows for file in (*self.fresh, *self.overlap))

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in (*self.fresh, *self.overlap))


def save(store: LakeStore, table_path: str, manifest: Manifest) -> str:
    """The path where it is kept from now on.

    A new one for each attempt: what a late attempt stages must not take the place of what is to be published.
    """
    path = f"{table_path}/{STAGING}/{manifest.run_id}/{manifest.batch}-{uuid.uuid4().hex[:12]}.json"
    store.write_json(path, {**asdict(manifest), "columns": manifest.columns.as_json()})
    return path


def joined(store: LakeStore, paths: Sequence[str], greatest: Greatest) -> Manifest:
    """One manifest of what several list of one batch, none of which knows an edge.

    ``StalePositionError`` where their columns differ: then the table changed while it was staged.
    """
    first, *others = [load(store, path) for path in paths]
    parts = [first, *others]
    if any(part.columns != first.columns for part in others):
        raise StalePositionError("The table's columns changed while it was read.")
    cursors = [part.cursor for part in parts if part.cursor is not None]
    return Manifest(
        run_id=first.run_id,
        batch=first.batch,
        columns=first.columns,
        fresh=tuple(file for part in parts for file in part.fresh),
        cursor=greatest(first.columns, cursors) if cursors else None,
        log=_joined_log([part.log for part in parts]),
    )


def _joined_log(marks: Sequence[LogMark | None]) -> LogMark | None:
    """The first load ends where the last of the parts says; it is not known while one of them does not."""
    known = [mark for mark in marks if mark is not None]
    if not known:
        return None
    if len(known) < len(marks) or any(replace(mark, horizon=known[0].horizon) != known[0] for mark in known):
        raise StalePositionError("The parts of the table were read from other places of the log.")
    return replace(known[0], horizon=max(mark.horizon for mark in known) if all(m.horizon for m in known) else 0)


def load(store: LakeStore, path: str) -> Manifest:
    values = store.read_json(path)
    if values is None:
        raise LakeError("A staged batch is no longer in the lake; it must be read again.")
    return Manifest(
        **{
            **values,
            "columns": StoredColumns.from_json(values["columns"]),
            "fresh": tuple(WrittenFile(**file) for file in values["fresh"]),
            "overlap": tuple(WrittenFile(**file) for file in values["overlap"]),
            "deleted": tuple(WrittenFile(**file) for file in values["deleted"]),
            "log": LogMark(**values["log"]) if values.get("log") else None,
            "whole": _whole(values["whole"]) if values.get("whole") else None,
        }
    )


def _whole(values: dict[str, Any]) -> WholeGroups:
    return WholeGroups(values["column"], tuple(values["values"]))
