"""What runs in a child process: reading, staging, committing. Plain functions of picklable values."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from activities.messages import Extracted, ExtractInput, MaintainInput, Plan, PublishInput, Run, SwapInput
from connectors import cursor, registry
from connectors.base import CursorRange, ReadRequest, RowFilter
from connectors.errors import SchemaChangedError
from lake import maintenance, query
from lake import narrow as narrowing
from lake import publish as publishing
from lake.failpoints import reach
from lake.maintenance import Maintained
from lake.manifest import RunRef
from lake.position import Position
from lake.publish import Published, PublishPlan
from lake.staging import CursorSpec, stage
from lake.storage import LakeStore
from lake.table import generation_root

Report = Callable[[int, int, int | None], None]
"""Rows and bytes so far, and about how many rows there will be."""

BATCH_ROWS = 2_000_000
"""A cursor read is cut after so many rows, at the next change of the cursor's value: what a crash may cost."""


@dataclass(frozen=True)
class Reading:
    """``config`` is the connector's own; ``read_id`` marks the session at the source."""

    order: ExtractInput
    config: Any
    read_id: str


def extract(report: Report, store: LakeStore, reading: Reading) -> Extracted:
    """Read one batch from the source and stage it."""
    order = reading.order
    run, base = order.run, Position.from_dict(order.plan.base)
    if order.batch == 0:
        _check_key(reading)
    stored_as_text = query.text_columns(store, _root(run, order.plan)) if base.sequence else ()
    request = _request(reading, base, stored_as_text)
    with registry.connector(run.source_type).read(reading.config, request) as read:
        reach("reading")
        staged = stage(
            store,
            run.table_path,
            _run_ref(run, order.plan),
            read.batches(),
            read.schema,
            batch=order.batch,
            cursor=_cursor_spec(run, base, read.schema),
            primary_key=key_of(run),
            warnings=lambda: [asdict(warning) for warning in read.report.warnings],
            progress=lambda rows, size_bytes: report(rows, size_bytes, read.row_estimate),
        )
        reach("staged")
        return Extracted(
            manifest=staged.manifest,
            rows=staged.rows,
            size_bytes=staged.size_bytes,
            more=read.report.more,
            row_estimate=read.row_estimate,
            warnings=[asdict(warning) for warning in read.report.warnings],
        )


def publish(report: Report, store: LakeStore, order: PublishInput) -> tuple[Published, query.TableFacts]:
    """Commit one staged batch."""
    plan = _publish_plan(order.run, order.plan, order.batch, last=order.last)
    published = publishing.publish(store, order.manifest, plan)
    return published, query.facts(store, _root(order.run, order.plan))


def swap_in(report: Report, store: LakeStore, order: SwapInput) -> tuple[Published, query.TableFacts]:
    """Make a rebuilt generation the table."""
    published = publishing.swap_in(store, _publish_plan(order.run, order.plan, order.batch, last=True))
    return published, query.facts(store, order.run.table_path)


def maintain(report: Report, store: LakeStore, order: MaintainInput) -> tuple[Maintained, query.TableFacts]:
    """Merge small files and shorten the log, where the table owes it."""
    run = order.run
    maintained = maintenance.maintain(store, run.table_path, RunRef(run.job_id, run.fence, order.generation))
    return maintained, query.facts(store, run.table_path)


def inspect(
    report: Report, store: LakeStore, table_path: str, cursor_field: str, primary_key: tuple[str, ...]
) -> tuple[str | None, str | None]:
    """The table's greatest value of a column, as cursor text; and an example of a key that two rows share."""
    greatest = query.max_value(store, table_path, cursor_field)
    duplicate = query.duplicate_key(store, table_path, primary_key) if primary_key else None
    usable = greatest is not None and cursor.field_type_of(greatest.type) is not None
    return (cursor.encode(greatest) if usable else None), duplicate


def narrow(
    report: Report, store: LakeStore, run: Run, columns: tuple[str, ...], base: Position
) -> tuple[Position, query.TableFacts]:
    """Take out of the table what is not among the columns."""
    writer = RunRef(run.job_id, run.fence, base.generation)
    position = narrowing.narrow(store, run.table_path, writer, columns, base)
    return position, query.facts(store, run.table_path)


def _check_key(reading: Reading) -> None:
    """A key that the source goes by no longer would have rows take each other's place: none is read by it."""
    run = reading.order.run
    if run.mode != "incremental":
        return
    found = registry.connector(run.source_type).discover(reading.config, [run.schema_name])
    if not found:
        raise SchemaChangedError(f"{run.schema_name} is gone from the source, or the user may no longer read it.")
    if gone := [name for name in run.primary_key if all(column.name != name for column in found[0].columns)]:
        raise SchemaChangedError(f"{run.schema_name} no longer has the key column {', '.join(gone)}.")
    if run.key_detected and found[0].primary_key != tuple(run.primary_key):
        now = ", ".join(found[0].primary_key) or "none"
        raise SchemaChangedError(
            f"The primary key of {run.schema_name} was {', '.join(run.primary_key)} and is {now} now: refresh the "
            "source's schemas, or choose primary key columns."
        )


def key_of(run: Run) -> tuple[str, ...]:
    """The key that the mode goes by; only an upsert has one."""
    return tuple(run.primary_key) if run.mode == "incremental" else ()


def _root(run: Run, plan: Plan) -> str:
    """Of the Delta table that this plan's batches go to."""
    return generation_root(run.table_path, plan.generation) if plan.rebuild else run.table_path


def columns_of(run: Run) -> tuple[str, ...] | None:
    """What is read: the enabled columns, and key and cursor whatever was enabled. None for all there are."""
    if run.enabled_columns is None:
        return None
    needed = [*run.primary_key, *([run.cursor_field] if run.cursor_field else [])]
    return tuple(sorted({*needed, *run.enabled_columns}))


def filter_text(run: Run) -> str:
    """Canonical text of which rows are read; empty where all are. The order of the conditions is of no account."""
    clauses = sorted({json.dumps(clause, sort_keys=True, separators=(",", ":")) for clause in run.row_filter})
    return "[" + ",".join(clauses) + "]" if clauses else ""


def _request(reading: Reading, base: Position, stored_as_text: tuple[str, ...]) -> ReadRequest:
    run = reading.order.run
    return ReadRequest(
        table=run.schema_name,
        read_id=reading.read_id,
        columns=columns_of(run),
        cursor=_cursor_range(reading.order, base),
        row_filters=tuple(RowFilter(**clause) for clause in run.row_filter),
        type_overrides=run.type_overrides,
        narrow=reading.order.narrow,
        text_columns=stored_as_text if run.cursor_field else (),
    )


def _cursor_range(order: ExtractInput, base: Position) -> CursorRange | None:
    run = order.run
    if run.cursor_field is None or run.cursor_type is None:
        return None
    lower = base.cursor
    looks_back = lower is not None and base.loaded and order.batch == 0 and run.lookback_seconds > 0
    if lower is not None and looks_back and run.cursor_type in cursor.TIME_TYPES:
        lower = cursor.minus_lookback(lower, run.cursor_type, run.lookback_seconds)
    return CursorRange(field=run.cursor_field, lower=lower, include_nulls=base.sequence == 0, max_rows=BATCH_ROWS)


def _cursor_spec(run: Run, base: Position, schema: pa.Schema) -> CursorSpec | None:
    """The edge is of the column's own type: users may call it by the name of a wider one."""
    if run.cursor_field is None:
        return None
    field_type = cursor.field_type_of(schema.field(run.cursor_field).type)
    edge = None if base.cursor is None or field_type is None else cursor.decode(base.cursor, field_type)
    return CursorSpec(run.cursor_field, cursor.encode, edge)


def _run_ref(run: Run, plan: Plan) -> RunRef:
    return RunRef(run.job_id, run.fence, plan.generation)


def _publish_plan(run: Run, plan: Plan, batch: int, *, last: bool) -> PublishPlan:
    return PublishPlan(
        table_path=run.table_path,
        mode=run.mode,
        base=Position.from_dict(plan.base),
        run=_run_ref(run, plan),
        batch=batch,
        primary_key=key_of(run),
        cursor_field=run.cursor_field,
        last_batch=last,
        rebuild=plan.rebuild,
    )
