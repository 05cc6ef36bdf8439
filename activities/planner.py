"""Planning within a run: what ``activities.planning`` decides, with what it needs of the database and the lake."""

import time
from dataclasses import dataclass, replace

import structlog

from activities import jobs
from activities.cdc.following import Follower
from activities.children import Children
from activities.heartbeat import attended
from activities.messages import Plan, Run
from activities.planning import KEYED, Action, Decision, Intent, decide
from activities.run_log import RunLog
from connectors import registry
from connectors.base import Batched
from connectors.errors import SchemaChangedError
from lake import query
from lake.columns import SYNC_DELETED
from lake.errors import FencedError
from lake.facts import TableFacts
from lake.manifest import RunRef
from lake.position import EMPTY, Position
from lake.publish import Published, fence, own_commit
from lake.staging import VERSION_KEY
from lake.storage import LakeStore
from lake.table import OpenTable, generation_root, open_table
from metadata.intents import RunIntent
from metadata.runs import Runs, SavedTable
from metadata.webhooks import ENDPOINT_SECONDS

log = structlog.get_logger()


@dataclass(frozen=True)
class Planned:
    """``published``: an earlier attempt of the step has committed its batch already; nothing is left to be read."""

    plan: Plan
    published: Published | None = None


class Planner:
    """Within an activity: it heartbeats, and may start children. Thread-safe."""

    def __init__(self, runs: Runs, store: LakeStore, children: Children, run_log: RunLog, follower: Follower) -> None:
        self._follower = follower
        self._runs = runs
        self._store = store
        self._children = children
        self._run_log = run_log

    def plan(self, run: Run, batch: int) -> Planned:
        """Compare the settings with what the table's log says, and decide what the run does, from this batch on.

        May be repeated: what the batch has left in the table meanwhile is known again.
        """
        if run.mode in KEYED and not run.primary_key:
            # Before anything is decided: the table's rows are as good as ever.
            raise SchemaChangedError(f"{run.schema_name} has no primary key any more: choose primary key columns.")
        intent = self._runs.intent(run.project_id, run.schema_id)
        if run.is_history and (planned := self._plan_history(run, batch)):
            return planned
        # An earlier plan of this very run may have raised the generation: what holds now counts.
        generation = intent.generation if intent else run.generation
        opened, shadow = self._look(run, generation, intent)
        table = opened.position
        if table.fence > run.fence or table.generation > generation:
            self._runs.catch_up(run.schema_id, table.fence, table.generation)
            raise FencedError("A newer run owns the table.")
        if done := _earlier(run, batch, generation, opened, shadow):
            return done
        wanted = _intent(run, generation, intent.available_columns if intent else frozenset())
        decision = self._decide(run, wanted, opened, shadow)
        narrowed = decision.action is Action.NARROW
        if narrowed:
            self._run_log.planned(run, decision.action, decision.reason)
            opened = replace(opened, position=self._narrow(run, wanted, table))
            decision = self._decide(run, wanted, opened, shadow)
        if decision.action is Action.TAKE_OVER:
            decision = self._take_over(run, wanted, decision)
        if decision.new_generation:
            generation = self._runs.raise_generation(run.job_id, generation)
        log.info("planned", schema_id=run.schema_id, action=decision.action, reason=decision.reason)
        self._run_log.planned(run, decision.action, decision.reason)
        if run.mode == "webhook" and run.reads and not decision.base.loaded:
            attended(lambda: self._prepare(run, table, decision))
        base = decision.base
        if run.mode == "cdc" and base.sequence == 0:
            base = replace(base, log=self._follower.join(run))
        plan = Plan(
            generation=generation,
            rebuild=decision.action is Action.REBUILD,
            base=base.as_dict(),
            reason=decision.reason,
            stored=query.column_types(opened) if decision.action is Action.CONTINUE and not narrowed else None,
            repeat=intent.repeat if intent else None,
        )
        return Planned(plan)

    def _prepare(self, run: Run, table: Position, decision: Decision) -> None:
        """Before a table whose events come beside is read: what came until now nobody but this run may take out of the
        inbox, and what comes from now on is put there.
        """
        if decision.action is Action.REBUILD and table.sequence:
            fence(self._store, run.table_path, RunRef(run.job_id, run.fence, table.generation))
        if decision.base.sequence == 0:
            time.sleep(ENDPOINT_SECONDS)

    def _plan_history(self, run: Run, batch: int) -> Planned | None:
        """Of a history that has begun, what was recorded stays, whatever becomes of the table. None before that."""
        opened = attended(lambda: open_table(self._store, run.table_path))
        table = opened.position
        if table.sequence == 0:
            return None
        if table.fence > run.fence:
            self._runs.catch_up(run.schema_id, table.fence, table.generation)
            raise FencedError("A newer run owns the table.")
        if done := _earlier(run, batch, table.generation, opened, None):
            return done
        reason = self._follower.broken(run, table) or self._follower.left_out(run, table)
        if table.primary_key != jobs.key_of(run):
            kept = ", ".join(table.primary_key[: -len(VERSION_KEY)])
            raise SchemaChangedError(
                f"The history of {run.schema_name} goes by the key {kept}, and the table by "
                f"{', '.join(run.primary_key)} now: delete the data to begin a new history."
            )
        action = f"{Action.CONTINUE}, with all rows as new versions" if reason else str(Action.CONTINUE)
        self._run_log.planned(run, action, reason or "")
        base = replace(table, log=self._follower.join(run)) if reason else table
        return Planned(Plan(table.generation, rebuild=False, base=base.as_dict(), reason=reason or ""))

    def _decide(self, run: Run, wanted: Intent, opened: OpenTable, shadow: OpenTable | None) -> Decision:
        def broken(position: Position) -> str | None:
            at = opened if position is opened.position else shadow
            return _other_deletes(run, at) or self._follower.broken(run, position)

        return decide(wanted, opened.position, shadow.position if shadow else EMPTY, broken)

    def _look(self, run: Run, generation: int, intent: RunIntent | None) -> tuple[OpenTable, OpenTable | None]:
        """The table, and the shadow that is to replace it."""
        cached = Position.from_dict(intent.position) if intent and intent.position else None

        def look() -> tuple[OpenTable, OpenTable | None]:
            opened = open_table(self._store, run.table_path, cached)
            moved = opened.position.sequence > 0 and opened.position.generation != generation
            unseen = (run.mode == "cdc" or comes_in_batches(run)) and opened.position.sequence == 0
            root = generation_root(run.table_path, generation)
            return opened, open_table(self._store, root) if moved or unseen else None

        return attended(look)

    def _narrow(self, run: Run, wanted: Intent, table: Position) -> Position:
        """Take the disabled columns out of the table, and say so."""
        position, facts = self._children.run(jobs.narrow, self._store, run, wanted.columns, table)
        record(self._runs, run, position, facts)
        return position

    def _take_over(self, run: Run, wanted: Intent, decision: Decision) -> Decision:
        """The cursor from the table's own rows; a rebuild where they cannot give one or do not fit the key."""
        cursor, duplicate = self._children.run(
            jobs.inspect, self._store, run.table_path, run.cursor_field, jobs.key_of(run)
        )
        if cursor is None or duplicate is not None:
            reason = "the table has no value in the new cursor" if cursor is None else "stored rows share a primary key"
            base = decide(wanted, EMPTY).base
            return Decision(Action.REBUILD, base, new_generation=True, reason=reason)
        return replace(decision, base=replace(decision.base, cursor=cursor))


def _earlier(run: Run, batch: int, generation: int, opened: OpenTable, shadow: OpenTable | None) -> Planned | None:
    """What an earlier attempt has committed of the batch, to the table or to the rebuild."""
    table = shadow or opened
    done = own_commit(table, RunRef(run.job_id, run.fence, generation), batch)
    if done is None:
        return None
    return Planned(Plan(generation, rebuild=shadow is not None, base=done.position.as_dict()), done)


def _other_deletes(run: Run, table: OpenTable | None) -> str | None:
    """Whether the table was made to keep what the source deletes, and is not now, or the other way round."""
    if table is None or table.schema is None or run.is_history:
        return None
    keeps = SYNC_DELETED in table.schema.names
    return None if keeps == run.soft_deletes else f"deleted rows are {'kept' if run.soft_deletes else 'not kept'} now"


def record(runs: Runs, run: Run, position: Position, facts: TableFacts, repeat: str | None = None) -> None:
    """Copy the state of a run's table into the database. Where a schema has two, its position is the main one's."""
    kind = "history" if run.is_history else "main"
    table = SavedTable(run.table_name, run.table_path, facts.row_count, facts.size_bytes, facts.columns, kind)
    known = None if run.is_history and run.table_mode == "both" else position.as_dict()
    runs.committed(run.project_id, run.schema_id, known, table, repeat)


def comes_in_batches(run: Run) -> bool:
    """Whether the whole table is read in batches, which are shown once all of them are there."""
    return run.mode == "full_refresh" and isinstance(registry.connector(run.source_type), Batched)


def _intent(run: Run, generation: int, known_columns: frozenset[str]) -> Intent:
    return Intent(
        mode=run.mode,
        generation=generation,
        primary_key=jobs.key_of(run),
        cursor_field=run.cursor_field,
        columns=jobs.columns_of(run),
        row_filter=jobs.filter_text(run),
        type_overrides=tuple(sorted(run.type_overrides.items())),
        known_columns=known_columns,
        reads=run.reads,
        batches_of=run.job_id if comes_in_batches(run) else None,
    )
