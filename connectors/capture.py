"""The seam for sources that keep a log of their changes: what such a connector does beside ``connectors.base``.

A position is a place in the source's log as a whole number that only grows: 0 is before everything. A transaction lies
where its commit does: behind each boundary before it or at it, and before each boundary that is given after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from connectors.base import Connector, ValueWarning
from connectors.errors import SourceError


class Op(IntEnum):
    """What a change does. An update of a key is two: ``DELETE`` of the old one and, right behind it, ``MOVE``."""

    INSERT = 0
    UPDATE = 1
    DELETE = 2
    TRUNCATE = 3
    """All rows of the table go."""
    MOVE = 4
    """The row comes under another key; what is unchanged in it is as it was under the key of the change before."""


MARKS = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("ordinal", pa.int64(), nullable=False),
        pa.field("op", pa.int8(), nullable=False),
        pa.field("commit_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("unchanged", pa.binary()),
    ]
)
"""What is known of each change: the position of its transaction, its place in it (from 0, across tables), ``Op``, the
time of the commit, and which columns are unchanged and were not sent: bit ``i % 8`` of byte ``i // 8`` (lowest first)
stands for column ``i`` of the rows. Null where all were sent."""


@dataclass(frozen=True)
class CaptureSetup:
    """What the source keeps for us. ``managed``: we make, change and drop it; else its owner does."""

    slot: str
    publication: str
    managed: bool = True


@dataclass(frozen=True)
class CaptureProblem:
    """Something that stands in the way, and what to do about it."""

    code: str
    message: str
    fix: str


@dataclass(frozen=True)
class FollowedTable:
    """A table whose changes are wanted. ``table_id`` is the caller's; ``key`` tells its rows apart."""

    table_id: str
    name: str
    """As discovery calls it."""
    key: tuple[str, ...]


@dataclass(frozen=True)
class ShapedColumn:
    """``number`` is another for a column that was dropped and made again. ``filled``: rows that were there before it
    may have a value in it (so may they where the table's ``storage`` is another). ``logged``: the log carries it.
    ``revision`` is another after each change of its definition.
    """

    number: int
    type: str
    """Of a generated column with its expression, by which its values follow from the others."""
    filled: bool
    logged: bool
    revision: str = ""


@dataclass(frozen=True)
class TableShape:
    """What changes of a table without a trace in the log. Another shape may call for reading the table anew."""

    identity: str
    """Of the table itself: another one where it was dropped and made again under the same name."""
    columns: Mapping[str, ShapedColumn]
    parts: Mapping[str, str]
    """Of a partitioned table: its leaves and the storage of each, by their identities."""
    attached: Sequence[str] = ()
    """Those that were tables of their own before, and may have brought rows along of which the log tells nothing."""
    storage: str = ""
    """Of any other table: another one where its rows were truncated, which the log shows, or rewritten, which it does
    not (with other values only where a column has another ``revision``, too)."""
    publication: str = ""
    """Of its place in what is published: another one where changes of it may be missing from the log."""


@dataclass(frozen=True)
class TableChanges:
    """Some changes of one table, in the order of the log. ``rows`` has the table's columns, by their source names and
    in the types of the type contract; of a ``DELETE`` the key at least, of a ``TRUNCATE`` nothing. ``marks`` has as
    many rows, of the schema ``MARKS``.
    """

    table_id: str
    rows: pa.RecordBatch
    marks: pa.RecordBatch
    warnings: tuple[ValueWarning, ...] = ()


@dataclass(frozen=True)
class Boundary:
    """All that was committed up to this position has been given, and nothing of what came later."""

    position: int
    awaited: bool = False
    """Somebody asked for the end of the log (``log_end``), which lies before it, and may wait for it."""


@dataclass(frozen=True)
class CaptureRequest:
    """``after``: whole transactions up to there are known, and are left out."""

    setup: CaptureSetup
    tables: Sequence[FollowedTable]
    after: int
    capture_id: str
    """Unique; marks the session, so that ``cancel`` finds it."""


class ChangeStream(Protocol):
    """An open stream. Raises ``SourceError`` only; ``LogLostError`` where the log does not reach back to ``after``."""

    @property
    def target(self) -> int:
        """Where the log ended as the stream was opened, before the shapes were looked at: what was committed by then
        lies up to here.
        """

    @property
    def shapes(self) -> Mapping[str, TableShape]:
        """Of the followed tables that exist and are published, by table id, as the stream was opened."""

    def changes(self) -> Iterator[TableChanges | Boundary]:
        """Without an end: where nothing happens, a boundary each second. Bounded in memory, whatever the size of a
        transaction. Changes of tables that are not followed are left out.
        """

    def confirm(self, position: int) -> None:
        """The source need no longer keep what lies up to this position. Sent at once."""


@dataclass(frozen=True)
class CaptureStatus:
    """What the source says of slot and publication now."""

    slot_exists: bool
    publication_exists: bool
    slot_active: bool = False
    wal_status: str | None = None
    """``reserved``, ``extended``, ``unreserved`` or ``lost``."""
    lag_bytes: int | None = None
    """Log beyond what was confirmed."""
    retained_bytes: int | None = None
    """Log that is kept because of the slot."""
    limit_bytes: int | None = None
    """At which the source itself gives the slot up; None where it never does."""
    confirmed: int | None = None
    log_end: int | None = None
    published_tables: tuple[str, ...] = ()
    """By the names of discovery, in the order of the alphabet."""
    cluster: str | None = None
    """Of which server and which of its histories the log is: another one after a failover or a restored backup."""
    observed_at: datetime | None = None


@runtime_checkable
class Capturing(Connector, Protocol):
    """A connector that can follow its source's log. Each call may be repeated: twice is the same as once."""

    def capture_problems(
        self, config: Any, setup: CaptureSetup, tables: Sequence[FollowedTable], existing: bool = False
    ) -> list[CaptureProblem]:
        """What stands in the way of capturing these tables. ``existing``: slot and publication are there already."""

    def set_up_capture(self, config: Any, setup: CaptureSetup, tables: Sequence[str]) -> int:
        """Make publication and slot, managed ones; check self-managed ones. The position from which all is in the log.

        Leaves nothing behind where it fails; a table that cannot be published is no failure. A slot of that name that
        is there already is used where it is ours to use, else ``ConfigurationError``.
        """

    def publish_tables(self, config: Any, setup: CaptureSetup, tables: Sequence[str]) -> Mapping[str, SourceError]:
        """Have just these tables in a managed publication; nothing happens to a self-managed one.

        What keeps tables that exist out of it, by their names: they keep no other one out, and the log must go on.
        ``LogLostError`` where the publication is gone.
        """

    def writers(self, config: Any, table: str) -> frozenset[str]:
        """The transactions that have written to the table, or may have, and have not ended. Once all of them have,
        what is read shows everything that the log held when they were asked for.
        """

    def log_end(self, config: Any) -> int:
        """A position behind everything that was committed before the call, which the log is sure to pass."""

    def tear_down_capture(self, config: Any, setup: CaptureSetup) -> None:
        """Drop managed slot and publication, and end a session that still reads the slot. Missing ones are no error."""

    def capture_status(self, config: Any, setup: CaptureSetup) -> CaptureStatus: ...

    def follow(self, config: Any, request: CaptureRequest) -> AbstractContextManager[ChangeStream]:
        """Open the stream. Runs in a child process of its own: it may block, and it may be killed.

        One session reads a slot at a time: ``BusyError`` where another does.
        """
