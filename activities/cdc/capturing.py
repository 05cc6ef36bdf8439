"""Capturing in a child process: the source's log into the change log, entry by entry."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from activities.cdc.messages import Captured
from connectors import registry
from connectors.base import ValueWarning
from connectors.capture import Boundary, CaptureRequest, Capturing, ChangeStream, FollowedTable, TableChanges
from connectors.errors import LogLostError
from lake.changelog import ChangeLog, Entry, EntryWriter
from lake.failpoints import reach
from lake.storage import LakeStore

Report = Callable[..., None]

ENTRY_BYTES = 128 * 1024 * 1024
"""Of changes in Arrow's memory: an entry is made at the next boundary. Of one transaction it may be more."""
ENTRY_SECONDS = 2.0
"""How long a change waits for its entry where more and more of them come."""
IDLE_SECONDS = 5.0
"""How often an entry says that nothing has happened, while the log of the source moves on."""
ROUND_SECONDS = 10.0
"""A continuous round ends after so long, so that tables come and go and their shapes are looked at."""


@dataclass(frozen=True)
class Round:
    """``config`` is the connector's own; ``start`` is where the epoch began, ``sequence`` an entry that is known."""

    source_type: str
    config: Any
    request: CaptureRequest
    root: str
    epoch: int
    start: int
    sequence: int
    continuous: bool


def capture(report: Report, store: LakeStore, order: Round) -> Captured:
    """Copy what was committed before the round began, or for ``ROUND_SECONDS`` where it is continuous.

    Each entry is told to the parent as it is made: its sequence, its position and the tables with news.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    connector = registry.connector(order.source_type)
    if not isinstance(connector, Capturing):
        raise LogLostError(f"Sources of the type {order.source_type} have no log of their changes.")
    log = ChangeLog(store, order.root)
    newest = log.entry(order.epoch, log.head(order.epoch, order.sequence))
    request = CaptureRequest(
        order.request.setup,
        order.request.tables,
        newest.position if newest else order.start,
        order.request.capture_id,
    )
    with connector.follow(order.config, request) as stream:
        now = log.save_members(members(order.request.tables, stream))
        if newest is None or newest.members != now:
            # What made the shapes what they are was committed by now, and lies before this.
            return _Round(report, log, order, stream, newest, now, connector.log_end(order.config)).run()
        return _Round(report, log, order, stream, newest, now, newest.shapes_to).run()


class _Round:
    def __init__(
        self,
        report: Report,
        log: ChangeLog,
        order: Round,
        stream: ChangeStream,
        newest: Entry | None,
        members: str,
        shapes_to: int,
    ) -> None:
        self._report = report
        self._log = log
        self._order = order
        self._stream = stream
        self._newest = newest
        self._members = members
        self._shapes = stream.target, shapes_to
        self._writer: EntryWriter | None = None
        self._pending_rows = self._pending_bytes = 0
        self._written = time.monotonic()
        self._entries = self._changes = 0

    def run(self) -> Captured:
        begun = time.monotonic()
        try:
            for item in self._stream.changes():
                if isinstance(item, TableChanges):
                    self._take(item)
                elif self._is_over(item, begun):
                    self._settle(item.position)
                    break
                elif self._is_due():
                    self._settle(item.position)
        except BaseException:
            if self._writer is not None:
                self._writer.abandon()
            raise
        newest = self._newest
        return Captured(
            sequence=newest.sequence if newest else 0,
            position=newest.position if newest else self._order.start,
            entries=self._entries,
            changes=self._changes,
            continuous=self._order.continuous,
        )

    def _take(self, changes: TableChanges) -> None:
        if self._writer is None:
            sequence = (self._newest.sequence if self._newest else 0) + 1
            self._writer = self._log.writer(self._order.epoch, sequence)
        self._writer.write(
            changes.table_id, changes.rows, changes.marks, [_as_dict(warning) for warning in changes.warnings]
        )
        self._pending_rows += changes.rows.num_rows
        self._pending_bytes += changes.rows.nbytes
        self._report(self._changes + self._pending_rows, self._pending_bytes)

    def _is_over(self, boundary: Boundary, begun: float) -> bool:
        if boundary.position < max(self._shapes):
            return False
        # Who waits for the end of the log waits for a look at the shapes, too.
        return not self._order.continuous or boundary.awaited or time.monotonic() - begun >= ROUND_SECONDS

    def _is_due(self) -> bool:
        if self._pending_bytes >= ENTRY_BYTES:
            return True
        wait = ENTRY_SECONDS if self._pending_rows else IDLE_SECONDS
        return time.monotonic() - self._written >= wait

    def _settle(self, position: int) -> None:
        """Make an entry of what was taken, and let the source forget it. Nothing is made where nothing is new."""
        newest = self._newest
        moved = position > (newest.position if newest else self._order.start)
        if not moved and newest is not None and newest.members == self._members:
            return
        sequence = (newest.sequence if newest else 0) + 1
        writer = self._writer or self._log.writer(self._order.epoch, sequence)
        entry = writer.finish(position, self._members, datetime.now(UTC), self._shapes)
        reach("before-entry")
        self._log.append(entry)
        reach("after-entry")
        self._stream.confirm(position)
        self._changes += self._pending_rows
        self._entries += 1
        self._newest, self._writer = entry, None
        self._pending_rows = self._pending_bytes = 0
        self._written = time.monotonic()
        told = {"sequence": sequence, "position": position, "tables": sorted(entry.segments)}
        self._report(self._changes, 0, None, told)


def members(tables: Sequence[FollowedTable], stream: ChangeStream) -> Mapping[str, Any]:
    """The followed tables that the source has, as the change log keeps them."""
    return {
        table.table_id: {"name": table.name, "key": list(table.key), "shape": asdict(stream.shapes[table.table_id])}
        for table in tables
        if table.table_id in stream.shapes
    }


def _as_dict(warning: ValueWarning) -> dict[str, Any]:
    return asdict(warning)
