"""Reading in a child process: a batch, or one part of a large table, from the source into staged files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from activities import repeats
from activities.jobs import batch_key, columns_of, folding_of, publish_plan, run_ref, table_root
from activities.messages import Extracted, ExtractInput, Plan, Run
from activities.planning import KEYED
from connectors import cursor, registry
from connectors.base import (
    GONE,
    CursorRange,
    DiscoveredTable,
    Divisible,
    Division,
    ReadRequest,
    RowFilter,
    TableRead,
    ValueWarning,
    WholeGroups,
)
from connectors.capture import Capturing
from connectors.errors import SchemaChangedError
from lake import query
from lake.changelog import ChangeLog, change_log_root
from lake.failpoints import reach
from lake.history import record
from lake.manifest import Manifest, save
from lake.manifest import WholeGroups as StagedGroups
from lake.position import LogMark, Position
from lake.publish import Published, publish
from lake.snapshots import snapshot_segments
from lake.staging import CursorSpec, stage
from lake.storage import LakeStore
from lake.table import open_table

Report = Callable[[int, int, int | None], None]
"""Rows and bytes so far, and about how many rows there will be."""

TEXT = "string"
EVENTS = "webhook"
"""The mode whose rows know how new they are."""
SHORT_ROWS = 10_000
SHORT_BYTES = 2**24
"""Compressed."""
BATCH_ROWS = 2_000_000
"""A cursor read is cut after so many rows, at the next change of the cursor's value: what a crash may cost."""


@dataclass(frozen=True)
class Reading:
    """``config`` is the connector's own; ``read_id`` marks the session at the source."""

    order: ExtractInput
    plan: Plan
    config: Any
    read_id: str
    part_bytes: int
    """A table that is larger is divided, where its connector can."""


@dataclass(frozen=True)
class Read:
    """``published`` where there was so little that it was committed at once."""

    extracted: Extracted
    published: Published | None = None


def extract(report: Report, store: LakeStore, reading: Reading) -> Read:
    """Read one batch or part from the source and stage it; or say into which parts to divide the table.

    A table's last batch is published too where it is short: a step of its own would cost more than the reading did.
    """
    # Arrow's own allocators keep what they once had: with them a reader takes half as much again.
    allocator = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    order = reading.order
    run, base = order.run, Position.from_dict(reading.plan.base)
    stored = _stored(store, reading, base)
    request = request_of(reading, base, tuple(name for name, kind in stored.items() if kind == TEXT))
    if base.log is not None:
        request = replace(request, columns=_logged(store, run, base.log))
    if unchanged := _unchanged(reading, request):
        return Read(unchanged)
    with _opened(reading, request, base) as read:
        _check_key(run, read.table)
        if isinstance(read, Division):
            return Read(Extracted("", 0, 0, more=False, row_estimate=read.row_estimate, parts=list(read.parts)))
        extracted, manifest = _staged(report, store, reading, base, read)
        gone = [] if run.enabled_columns is not None else [name for name in stored if name not in read.schema.names]
        vanished = [ValueWarning(name, GONE, extracted.rows) for name in gone if extracted.rows]
        extracted = replace(extracted, warnings=[*extracted.warnings, *as_dicts(vanished)])
    if manifest is None:
        return Read(extracted)
    if is_short(order, extracted):
        pa.set_memory_pool(allocator)
        plan = replace(publish_plan(run, reading.plan, order.batch, last=True), note=note_of(extracted))
        return Read(extracted, publish(store, manifest, plan))
    return Read(replace(extracted, manifest=save(store, run.table_path, manifest)))


def found(published: Published) -> Read:
    """As ``extract``, where an earlier attempt has read and published the batch."""
    return Read(Extracted("", **published.note, more=False), published)


def note_of(extracted: Extracted) -> dict[str, Any]:
    """What the run must know of a read whose attempt never came to tell it."""
    return {"rows": extracted.rows, "size_bytes": extracted.size_bytes, "warnings": extracted.warnings}


def is_short(order: ExtractInput, extracted: Extracted) -> bool:
    """Whether the step that read the batch had better publish it as well."""
    whole = order.part is None and not order.narrow and not extracted.more
    return whole and extracted.rows <= SHORT_ROWS and extracted.size_bytes <= SHORT_BYTES


def _staged(
    report: Report, store: LakeStore, reading: Reading, base: Position, read: TableRead
) -> tuple[Extracted, Manifest | None]:
    """What was read, and where it was staged; no manifest where it is known to bring nothing new."""
    order = reading.order
    run = order.run
    reach("reading")
    batches, digest = read.batches(), None
    if order.batch == 0 and base.loaded and run.cursor_field is not None:
        seen, batches = repeats.look_ahead(batches)
        if seen is not None and not read.report.more:
            digest = repeats.digest(run, base, read.schema, seen, read.report)
            if digest == reading.plan.repeat:
                rows, warnings = sum(batch.num_rows for batch in seen), as_dicts(read.report.warnings)
                return Extracted("", rows, 0, more=False, warnings=warnings, repeats=True), None
    if base.log is not None and base.sequence > 0:
        return _as_versions(report, store, reading, base.log, read, batches)
    manifest = stage(
        store,
        run.table_path,
        run_ref(run, reading.plan),
        batches,
        read.schema,
        batch=order.batch,
        cursor=_cursor_spec(run, base, read.schema),
        primary_key=() if read.table is None else batch_key(run, reading.plan),
        progress=lambda rows, size_bytes: report(rows, size_bytes, read.row_estimate),
        log_position=base.log.position if base.log else None,
        soft_deletes=run.soft_deletes,
        history=run.is_history,
        read_at=_read_at(store, run, base.log) if run.is_history else None,
        ordered=run.mode == EVENTS,
    )
    reach("staged")
    manifest = replace(manifest, state=read.report.state, whole=_whole(run, manifest, read.report.whole_groups))
    if base.log is not None:
        manifest = replace(manifest, log=replace(base.log, horizon=_log_end(reading)))
    extracted = Extracted(
        manifest="",
        rows=manifest.rows,
        size_bytes=manifest.size_bytes,
        # What was changed meanwhile is in the log.
        more=read.report.more or base.log is not None,
        row_estimate=read.row_estimate,
        warnings=as_dicts(read.report.warnings),
        text_columns=list(read.report.text_columns),
        lasting=read.report.lasting,
        digest=digest,
        said=list(read.report.said),
    )
    return extracted, manifest


def _whole(run: Run, manifest: Manifest, groups: WholeGroups | None) -> StagedGroups | None:
    """The groups that were read as a whole, where the table's rows are known by them."""
    if groups is None or run.mode not in KEYED or groups.column not in run.primary_key:
        return None
    return StagedGroups(manifest.columns.names[groups.column], groups.values)


def _as_versions(
    report: Report,
    store: LakeStore,
    reading: Reading,
    mark: LogMark,
    read: TableRead,
    batches: Iterator[pa.RecordBatch],
) -> tuple[Extracted, Manifest]:
    """What was read as new versions of all rows in a history that has a gap; the old versions end with them."""
    order = reading.order
    run = order.run
    segments = snapshot_segments(store, run.table_path, run.job_id, mark.position, read.schema, batches)
    now = replace(mark, horizon=_log_end(reading))
    manifest = record(store, segments, folding_of(report, run, reading.plan, order.batch, now, read.row_estimate))
    reach("staged")
    extracted = Extracted("", manifest.rows, manifest.size_bytes, more=True, warnings=as_dicts(read.report.warnings))
    return extracted, manifest


def _logged(store: LakeStore, run: Run, mark: LogMark) -> tuple[str, ...]:
    """The columns to read that the log carries as well: of others no change would ever be seen."""
    members = ChangeLog(store, change_log_root(run.project_id, run.source_id)).members(mark.members)
    logged = [name for name, column in members[run.schema_id]["shape"]["columns"].items() if column["logged"]]
    wanted = columns_of(run)
    return tuple(name for name in logged if wanted is None or name in wanted)


def _read_at(store: LakeStore, run: Run, mark: LogMark | None) -> datetime | None:
    """The first versions of a history are valid from the mark on: whatever ends one of them came later."""
    if mark is None:
        return None
    entry = ChangeLog(store, change_log_root(run.project_id, run.source_id)).entry(mark.epoch, mark.sequence)
    return None if entry is None else datetime.fromisoformat(entry.captured_at)


def _log_end(reading: Reading) -> int:
    """A position behind everything that the read may have seen."""
    connector = registry.connector(reading.order.run.source_type)
    assert isinstance(connector, Capturing)
    return connector.log_end(reading.config)


def as_dicts(warnings: Sequence[ValueWarning]) -> list[dict[str, Any]]:
    return [asdict(warning) for warning in warnings]


def _opened(
    reading: Reading, request: ReadRequest, base: Position
) -> AbstractContextManager[TableRead] | AbstractContextManager[TableRead | Division]:
    """A table may be divided where all of it is to be read, and not in the order of its cursor."""
    order = reading.order
    connector = registry.connector(order.run.source_type)
    all_of_it = order.batch == 0 and (order.run.mode == "full_refresh" or base.sequence == 0)
    undecided = order.part is None and not order.whole and not order.narrow
    if all_of_it and undecided and isinstance(connector, Divisible):
        return connector.read_or_divide(reading.config, request, reading.part_bytes)
    return connector.read(reading.config, request)


def _unchanged(reading: Reading, request: ReadRequest) -> Extracted | None:
    """What an earlier snapshot gave of this part, where this one would give the same."""
    part = reading.order.part
    if part is None or part.earlier is None:
        return None
    earlier = part.earlier.extracted
    connector = registry.connector(reading.order.run.source_type)
    if not isinstance(connector, Divisible) or not earlier.lasting:
        return None
    if set(earlier.text_columns) != set(part.text_columns):
        return None
    since = part.earlier.held.snapshot
    return earlier if connector.is_unchanged(reading.config, request, since, earlier.rows) else None


def _stored(store: LakeStore, reading: Reading, base: Position) -> dict[str, str]:
    """The columns that the rows of a cursor read go to, with their types; those of a first batch are planned with."""
    run, plan = reading.order.run, reading.plan
    if base.sequence == 0 or run.cursor_field is None:
        return {}
    if reading.order.batch == 0 and plan.stored is not None:
        return plan.stored
    return query.column_types(open_table(store, table_root(run, plan)))


def _check_key(run: Run, table: DiscoveredTable | None) -> None:
    """A key that the source goes by no longer would have rows take each other's place: none is read by it."""
    if run.mode not in KEYED or table is None:
        return
    if gone := [name for name in run.primary_key if all(column.name != name for column in table.columns)]:
        raise SchemaChangedError(f"{run.schema_name} no longer has the key column {', '.join(gone)}.")
    if run.key_detected and table.primary_key != tuple(run.primary_key):
        now = ", ".join(table.primary_key) or "none"
        raise SchemaChangedError(
            f"The primary key of {run.schema_name} was {', '.join(run.primary_key)} and is {now} now: refresh the "
            "source's schemas, or choose primary key columns."
        )


def request_of(reading: Reading, base: Position, stored_as_text: tuple[str, ...]) -> ReadRequest:
    run, part = reading.order.run, reading.order.part
    return ReadRequest(
        table=run.schema_name,
        read_id=reading.read_id,
        columns=columns_of(run),
        cursor=_cursor_range(reading.order, base),
        row_filters=tuple(RowFilter(**clause) for clause in run.row_filter),
        type_overrides=run.type_overrides,
        narrow=reading.order.narrow,
        text_columns=tuple(part.text_columns) if part else stored_as_text,
        part=part.part if part else None,
        state=base.state,
        snapshot=part.held.snapshot if part else None,
        ordered=run.mode == EVENTS,
    )


def _cursor_range(order: ExtractInput, base: Position) -> CursorRange | None:
    run = order.run
    if run.cursor_field is None or run.cursor_type is None:
        return None
    lower = base.cursor
    looks_back = lower is not None and base.loaded and order.batch == 0 and run.lookback_seconds > 0
    if lower is not None and looks_back and run.cursor_type in cursor.TIME_TYPES:
        lower = cursor.minus_lookback(lower, run.cursor_type, run.lookback_seconds)
    # Cut short, a look-back would never come to the rows between its end and the cursor: the next batch begins there.
    most = None if looks_back else BATCH_ROWS
    return CursorRange(field=run.cursor_field, lower=lower, include_nulls=base.sequence == 0, max_rows=most)


def _cursor_spec(run: Run, base: Position, schema: pa.Schema) -> CursorSpec | None:
    """The edge is of the column's own type: users may call it by the name of a wider one."""
    if run.cursor_field is None:
        return None
    field_type = cursor.field_type_of(schema.field(run.cursor_field).type)
    edge = None if base.cursor is None or field_type is None else cursor.decode(base.cursor, field_type)
    return CursorSpec(run.cursor_field, cursor.encode, edge)
