"""What runs in a child process beside reading: committing and what follows it. Plain functions of picklable values."""

import json
from collections.abc import Callable, Sequence

from activities.messages import MaintainInput, Plan, PublishInput, Run, SwapInput
from activities.planning import KEYED
from connectors import cursor
from lake import maintenance, query
from lake import narrow as narrowing
from lake import publish as publishing
from lake.columns import StoredColumns
from lake.facts import TableFacts, facts
from lake.fold import Folding
from lake.history import history_key
from lake.maintenance import Maintained
from lake.manifest import Greatest, RunRef, joined
from lake.position import LogMark, Position
from lake.publish import Published, PublishPlan
from lake.storage import LakeStore
from lake.table import generation_root

Report = Callable[[int, int, int | None], None]
"""Rows and bytes so far, and about how many rows there will be."""


def publish(report: Report, store: LakeStore, order: PublishInput) -> Published:
    """Commit one staged batch."""
    plan = publish_plan(order.run, order.plan, order.batch, last=order.last, parts=len(order.manifests))
    if len(order.manifests) == 1:
        return publishing.publish(store, order.manifests[0], plan)
    return publishing.publish(store, joined(store, order.manifests, _greatest(order.run)), plan)


def swap_in(report: Report, store: LakeStore, order: SwapInput) -> Published:
    """Make a rebuilt generation the table."""
    return publishing.swap_in(store, publish_plan(order.run, order.plan, order.batch, last=True))


def maintain(report: Report, store: LakeStore, order: MaintainInput) -> tuple[Maintained, TableFacts]:
    """Merge small files and shorten the log, where the table owes it."""
    run = order.run
    maintained = maintenance.maintain(store, run.table_path, RunRef(run.job_id, run.fence, order.generation))
    return maintained, facts(store, run.table_path)


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
) -> tuple[Position, TableFacts]:
    """Take out of the table what is not among the columns."""
    writer = RunRef(run.job_id, run.fence, base.generation)
    position = narrowing.narrow(store, run.table_path, writer, columns, base)
    return position, facts(store, run.table_path)


def key_of(run: Run) -> tuple[str, ...]:
    """The key that the mode goes by; only an upsert has one. Of a history it is that of a version."""
    if run.is_history:
        return history_key(run.primary_key)
    return tuple(run.primary_key) if run.mode in KEYED else ()


def batch_key(run: Run, plan: Plan) -> tuple[str, ...]:
    """The key by which a batch goes into the table: of a full refresh in batches the source's own, as an object that
    changes meanwhile comes in several.
    """
    in_batches = run.mode == "full_refresh" and plan.rebuild and run.key_detected
    return tuple(run.primary_key) if in_batches else key_of(run)


def table_root(run: Run, plan: Plan) -> str:
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


def _greatest(run: Run) -> Greatest:
    """By the values of the cursor, not by their texts."""

    def greatest(columns: StoredColumns, texts: Sequence[str]) -> str:
        column = columns.schema.field(columns.names[run.cursor_field or ""])
        field_type = cursor.field_type_of(column.type) or ""
        return max(texts, key=lambda text: cursor.decode(text, field_type))

    return greatest


def folding_of(report: Report, run: Run, plan: Plan, batch: int, mark: LogMark, rows: int | None) -> Folding:
    """``mark``: where the table is with the batch."""
    before = Position.from_dict(plan.base).log
    return Folding(
        table_path=run.table_path,
        root=table_root(run, plan),
        run=run_ref(run, plan),
        batch=batch,
        primary_key=tuple(run.primary_key),
        columns=columns_of(run),
        soft_deletes=run.soft_deletes,
        # Changes that came before the last row was read may be in what was read.
        overlap=before is not None and before.position < mark.horizon,
        log=mark,
        progress=lambda done, size_bytes: report(done, size_bytes, rows),
    )


def run_ref(run: Run, plan: Plan) -> RunRef:
    return RunRef(run.job_id, run.fence, plan.generation)


def publish_plan(run: Run, plan: Plan, batch: int, *, last: bool, parts: int = 1) -> PublishPlan:
    return PublishPlan(
        table_path=run.table_path,
        mode=run.mode,
        base=Position.from_dict(plan.base),
        run=run_ref(run, plan),
        batch=batch,
        primary_key=batch_key(run, plan),
        cursor_field=run.cursor_field,
        # The parts are of one state, in which the source keeps its own key unique.
        keys_unique=parts > 1 and run.key_detected,
        last_batch=last,
        rebuild=plan.rebuild,
    )
