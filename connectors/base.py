"""The seam between Syncline and every source type: three methods, and Arrow is what comes out.

A new source type is one package with a ``Connector`` and one line in ``connectors.registry``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import pyarrow as pa

from connectors.surroundings import Surroundings


@dataclass(frozen=True)
class FormField:
    """One input of a connection's form. Only fields that are not ``secret`` ever come back from the API."""

    name: str
    label: str
    type: str = "text"
    """``text``, ``password``, ``number``, ``select``, ``textarea`` or ``boolean``."""
    required: bool = False
    secret: bool = False
    default: str | int | bool | None = None
    placeholder: str = ""
    options: tuple[str, ...] = ()
    decides_host: bool = False
    """A change of this field sends the stored secrets somewhere else: they must be given again."""
    only_with: str | None = None
    """Another field without which this one means nothing: it is forgotten when that one is cleared."""


@dataclass(frozen=True)
class SourceForm:
    """What a set-up wizard shows."""

    name: str
    label: str
    caption: str
    docs_url: str
    fields: tuple[FormField, ...]


@dataclass(frozen=True)
class Column:
    """A column as discovery saw it. ``type`` is the database's own text for it (``numeric(12,2)``)."""

    name: str
    type: str
    nullable: bool
    kind: str = "other"
    """What its values are compared as in row filters: boolean, integer, numeric, float, text, date, timestamp (without
    a zone), timestamptz, uuid, enum, document, binary, array or other."""
    labels: tuple[str, ...] = ()
    """The values of an enum."""


@dataclass(frozen=True)
class IncrementalField:
    """A column that may serve as a cursor. ``field_type``: integer, numeric, datetime, date, timestamp, objectid."""

    field: str
    field_type: str
    label: str
    type: str
    nullable: bool
    is_indexed: bool


@dataclass(frozen=True)
class DiscoveredTable:
    """A table, view or resource that can be copied. ``name`` is unique in the source and stable."""

    name: str
    kind: str
    """``table``, ``view``, ``materialized_view``, ``partitioned_table`` or ``foreign_table``."""
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    incremental_fields: tuple[IncrementalField, ...] = ()
    row_estimate: int | None = None
    description: str | None = None
    label: str | None = None
    webhook: bool = False
    """The source can send events about it (``connectors.receiving``)."""
    webhook_only: bool = False
    """There is no other way to its rows: what came once cannot be read again."""


@dataclass(frozen=True)
class RowFilter:
    """``op``: one of ``= != < <= > >= in is_null is_not_null like``."""

    column: str
    op: str
    value: Any = None


@dataclass(frozen=True)
class CursorRange:
    """Where a cursor read begins. Rows come in ascending order of ``field``, nulls first where they are wanted.

    ``lower`` is inclusive: rows that share the edge come again, and the lake tells the known from the new.
    It is the canonical text of ``connectors.cursor``; ``None`` reads from the beginning.
    """

    field: str
    lower: str | None = None
    include_nulls: bool = False
    max_rows: int | None = None
    """The reader may stop once it has given this many rows *and* the cursor has moved past the last one's value."""


@dataclass(frozen=True)
class Snapshot:
    """A state of the source that several sessions, of any process, can read while somebody holds it."""

    name: str
    """By which a session joins it."""
    horizon: str
    """The connector's own text for the writes that are in the state for certain."""
    fingerprint: str
    """Of where and in what shape the table lies: rows of another fingerprint cannot be compared with these."""


@dataclass(frozen=True)
class Part:
    """Some of a table's rows. Of one snapshot, the parts of a division hold each row once between them.

    The bounds are the connector's own; ``None`` is open.
    """

    lower: str | None
    upper: str | None


@dataclass(frozen=True)
class ReadRequest:
    """One read of one table, under one snapshot of the source."""

    table: str
    read_id: str
    """Unique; marks the database session, so that ``cancel`` finds it."""
    columns: tuple[str, ...] | None = None
    """None reads all. Those that the source no longer has are left out, with a warning."""
    cursor: CursorRange | None = None
    row_filters: tuple[RowFilter, ...] = ()
    batch_bytes: int = 32 * 1024 * 1024
    """What one record batch should hold at the most, in memory."""
    narrow: bool = False
    """Read in small steps whatever it costs in speed: set after a read ran out of memory."""
    text_columns: tuple[str, ...] = ()
    """Numeric columns without a declared precision that the lake already holds as text: they stay text."""
    type_overrides: Mapping[str, str] = field(default_factory=dict)
    """Lake types that the user chose (``connectors.overrides``), by column; of columns that are gone, of no account."""
    part: Part | None = None
    """Read these rows only, in no order, as they are in ``snapshot``; a cursor then has no bounds."""
    snapshot: Snapshot | None = None
    statement_seconds: int | None = None
    """After which the source itself ends a statement of this read; None for no such limit."""
    state: str | None = None
    """What the report of the last read left, whose rows the table holds. None where there is none."""
    ordered: bool = False
    """Give ``connectors.receiving.ORDER`` as the last column."""


GONE = "the source no longer has this column"


@dataclass(frozen=True)
class ValueWarning:
    """Values that became null, counted: the lake's type cannot hold them, or their column is gone."""

    column: str
    reason: str
    count: int


@dataclass(frozen=True)
class WholeGroups:
    """Values of a column of the primary key: the read gives all rows that the source has with one of them.

    Of a table that is kept by this key, other rows with such a value are gone.
    """

    column: str
    values: tuple[str, ...]


@dataclass
class ReadReport:
    """What a finished read has to say beside its rows."""

    warnings: list[ValueWarning] = field(default_factory=list)
    more: bool = False
    """``max_rows`` cut the read short: rows remain beyond the last cursor value."""
    text_columns: tuple[str, ...] = ()
    """Numeric columns without a declared precision that came as text: so must those of the table's other parts."""
    lasting: bool = True
    """No crash of the source can take back what was read: a later snapshot may be held against it."""
    whole_groups: WholeGroups | None = None
    state: str | None = None
    """The connector's own text of what it has read, up to some kilobytes: committed with the rows, by which the next
    read of the cursor knows what it need not read again.
    """
    said: tuple[str, ...] = ()
    """By a program that read for us: some lines for those who own the table, without secrets."""


class TableRead(Protocol):
    """An open read. Iterate once; ``report`` is whole when the iteration is over."""

    @property
    def table(self) -> DiscoveredTable | None:
        """The table as it is read; None where there is nothing to be read that would show it."""

    @property
    def schema(self) -> pa.Schema:
        """Source column names, in the source's order, in the types of the type contract (``docs/types.md``)."""

    @property
    def row_estimate(self) -> int | None: ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Each row once, in cursor order where a cursor was asked for. Raises ``SourceError`` only."""

    @property
    def report(self) -> ReadReport: ...


class Connector(Protocol):
    """A source type. Stateless and safe to share between threads and processes; raises ``SourceError`` only.

    ``config`` is what ``parse_config`` returned: a frozen dataclass of the connector's own, picklable.
    """

    source_type: str
    form: SourceForm
    sync_types: tuple[str, ...]
    """How its tables can be copied: of ``full_refresh``, ``incremental``, ``append``, ``webhook`` and ``cdc`` those
    that it does, and no others. What the API says of a source's abilities comes from here.
    """

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> Any:
        """Check the shape of the user's fields, without touching the network. ``ConfigurationError`` names a field.

        What is made of the configuration stays within the surroundings: it asks ``connectors.outbound`` for each host.
        """

    def validate(self, config: Any) -> None:
        """Log in and look around. Every way in which a login can fail raises its own sentence."""

    def discover(self, config: Any, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        """Everything that can be copied, by name; or just the named ones that exist. Never scans data."""

    def read(self, config: Any, request: ReadRequest) -> AbstractContextManager[TableRead]:
        """Open a read. Runs in a child process of its own: it may block, and it may be killed."""

    def cancel(self, config: Any, read_id: str) -> None:
        """Stop that read at the source, from another process, within a second. Unknown reads are no error."""


@runtime_checkable
class Direct(Connector, Protocol):
    """A connector whose sources may be direct: never copied, and read by each query as it comes."""

    engine: str
    """What answers queries at the source, as the API calls it."""


@runtime_checkable
class Batched(Connector, Protocol):
    """A connector that may end any read early, with ``report.more``, and go on from ``report.state`` with the next one,
    so that a crash costs no more than a batch: a full read comes in batches, too, which are shown as a whole.
    """

    batched: Literal[True]


@runtime_checkable
class Previewing(Connector, Protocol):
    """A connector that can show rows of a table that is not a source's yet, by one question to the source."""

    def preview(self, config: Any, table: str) -> pa.Table:
        """Some rows, in the types that they alone would have."""


@dataclass(frozen=True)
class Division:
    """A table that is better read in parts than as a whole."""

    parts: tuple[Part, ...]
    table: DiscoveredTable
    row_estimate: int | None = None


@runtime_checkable
class Divisible(Connector, Protocol):
    """A connector that can read large tables in parts, each on a session of its own, all of one state."""

    def read_or_divide(
        self, config: Any, request: ReadRequest, part_bytes: int
    ) -> AbstractContextManager[TableRead | Division]:
        """As ``read``; a table of more than ``part_bytes`` may be divided instead. Planned without looking at a row."""

    def hold(self, config: Any, table: str, read_id: str) -> AbstractContextManager["HeldSnapshot"]:
        """Take a snapshot, of which parts of that table are read. ``NotDivisibleError`` where the source gives none."""

    def is_unchanged(self, config: Any, request: ReadRequest, since: Snapshot, rows: int) -> bool:
        """Whether the requested part holds in ``request.snapshot`` the very rows that it held in ``since``, when there
        were so many of them. In doubt False.
        """


class HeldSnapshot(Protocol):
    """A snapshot for as long as its context lasts, or the source keeps it."""

    @property
    def snapshot(self) -> Snapshot: ...

    def is_held(self, wait_seconds: float) -> bool:
        """Whether sessions can still join it, after waiting that long for its end."""
