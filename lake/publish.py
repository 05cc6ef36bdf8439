"""Publishing: one staged batch becomes one commit, or proves to be there already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lake.append import add, append
from lake.change import Change, Publishing
from lake.duck import Budget
from lake.errors import FencedError, LakeError, StalePositionError
from lake.evolution import Evolution, differences, evolve
from lake.facts import TableFacts, facts_of
from lake.log import Snapshot, TableFile
from lake.manifest import Manifest, RunRef, load
from lake.parquet import unique_stem
from lake.position import LogMark, Position
from lake.storage import LakeStore
from lake.table import Commit, OpenTable, as_table_file, commit, generation_root, open_table
from lake.upsert import check_key_types, upsert

COUNTS = ("rows_added", "rows_changed", "rows_deleted", "bytes_written")
NOTE = "note"
KEYED = ("incremental", "cdc", "webhook")
"""Modes in which rows are kept by key."""


@dataclass(frozen=True)
class PublishPlan:
    """What a batch was planned as. Key and cursor by their source names; ``base`` is what it builds on."""

    table_path: str
    mode: str
    """``full_refresh``, ``incremental``, ``append``, ``cdc`` or ``webhook``: incremental by the source's log, or by its
    events.
    """
    base: Position
    run: RunRef
    batch: int = 0
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None
    keys_unique: bool = False
    """The source vouches for it that no two of the batch's rows share a key."""
    last_batch: bool = True
    """The source has no more rows: the first load is over with this one."""
    rebuild: bool = False
    """Into the generation's shadow table, which ``swap_in`` puts in place."""
    note: Mapping[str, Any] = field(default_factory=dict)
    """JSON that the commit carries along, for a later attempt that finds it."""
    keep_alive: bool = False
    """Commit also where nothing but the place in the source's log is new, though no other batch awaits that."""

    @property
    def replaces_all(self) -> bool:
        """The batch is the whole table. Of a rebuild in batches it is not."""
        return self.mode == "full_refresh" and not self.rebuild

    @property
    def root(self) -> str:
        return generation_root(self.table_path, self.run.generation) if self.rebuild else self.table_path


@dataclass(frozen=True)
class Published:
    """``already_done``: an earlier attempt committed it. ``nothing_new``: there was nothing to commit."""

    position: Position
    facts: TableFacts
    """Of the table as it is now."""
    rows_added: int = 0
    rows_changed: int = 0
    rows_deleted: int = 0
    bytes_written: int = 0
    columns_changed: tuple[str, ...] = ()
    """What came, went or got another type with this commit, for people."""
    already_done: bool = False
    nothing_new: bool = False
    note: Mapping[str, Any] = field(default_factory=dict)
    """What the attempt that committed has left for the others."""


def publish(store: LakeStore, manifest: Manifest | str, plan: PublishPlan, budget: Budget | None = None) -> Published:
    """Commit a staged batch, given by its manifest or by the path of one.

    May be repeated, also at the same time: it takes effect once.

    Raises ``FencedError`` when a newer run owns the table, ``StalePositionError`` when the table is no longer at the
    plan's base, ``DuplicateKeyError``, ``IncompatibleSchemaError``.
    """
    table = open_table(store, plan.root)
    if done := _done(table, plan):
        return done
    _guard(table, plan)
    _check_base(table, plan)
    manifest = load(store, manifest) if isinstance(manifest, str) else manifest
    evolution = _evolution(table, manifest, plan)
    if (manifest.deleted or manifest.truncated) and plan.mode not in KEYED:
        raise LakeError("Only rows that are kept by key can be deleted.")
    snapshot = table.snapshot()
    change = _change(store, table, snapshot, manifest, evolution, plan, budget or Budget())
    position = _advance(table, manifest, plan)
    if not _is_news(table, change, evolution, position, plan):
        return Published(table.position, facts_of(table.position, table.schema, snapshot), nothing_new=True)
    adds = [as_table_file(file, plan.root) for file in change.added]
    committing = Commit(position, evolution.schema, adds, change.removed, change.overwrite)
    return _commit(table, snapshot, plan, committing, change)


def swap_in(store: LakeStore, plan: PublishPlan) -> Published:
    """Put a rebuilt generation in the table's place, by one commit that refers to the shadow's files.

    May be repeated. ``plan.base`` is of no account: what the table holds is replaced whatever it is.
    """
    main = open_table(store, plan.table_path)
    if main.position.generation == plan.run.generation and main.position.sequence:
        return Published(main.position, facts_of(main.position, main.schema, main.snapshot()), already_done=True)
    _guard(main, plan)
    root = generation_root(plan.table_path, plan.run.generation)
    shadow = open_table(store, root)
    if shadow.position.fence > plan.run.fence:
        raise FencedError("A newer run owns the table.")
    if not shadow.position.loaded or shadow.schema is None:
        raise LakeError("The rebuilt table is not complete yet.")
    files = shadow.snapshot().files.values()
    prefix = root.removeprefix(f"{plan.table_path}/")
    adds = [TableFile(f"{prefix}/{file.path}", file.size_bytes, file.statistics) for file in files]
    position = replace(
        shadow.position,
        sequence=main.position.sequence + 1,
        fence=plan.run.fence,
        run_id=plan.run.run_id,
        batch=plan.batch,
    )
    # Rows and bytes were counted as the shadow's batches were published.
    replacing = replace(plan, base=main.position)
    return _commit(main, main.snapshot(), replacing, Commit(position, shadow.schema, adds, overwrite=True), Change())


def fence(store: LakeStore, table_path: str, run: RunRef) -> None:
    """Shut earlier runs out of the table, which stays as it is. ``FencedError`` where a newer one has done so."""
    table = open_table(store, table_path)
    if table.schema is None or table.position.fence == run.fence:
        return
    if table.position.fence > run.fence:
        raise FencedError("A newer run owns the table.")
    position = replace(table.position, sequence=table.position.sequence + 1, fence=run.fence)
    commit(table, Commit(position, table.schema, facts=table.commit_info))


def own_commit(table: OpenTable, run: RunRef, batch: int) -> Published | None:
    """What an earlier attempt of this very batch has committed, if that is the table's newest commit."""
    position = table.position
    if (position.run_id, position.batch, position.generation) != (run.run_id, batch, run.generation):
        return None
    if not table.commit_info:
        # The position was known without a look at the commit.
        return own_commit(open_table(table.store, table.root), run, batch)
    info = table.commit_info
    counts: dict[str, Any] = {name: int(info.get(name, 0)) for name in COUNTS}
    facts = facts_of(position, table.schema, table.snapshot())
    return Published(position, facts, **counts, already_done=True, note=info.get(NOTE) or {})


def _commit(table: OpenTable, snapshot: Snapshot, plan: PublishPlan, change: Commit, counted: Change) -> Published:
    counts: dict[str, Any] = {name: getattr(counted, name) for name in COUNTS}
    # Committing may widen the table that is open here.
    columns_changed = differences(table.schema, change.schema)
    try:
        position = commit(table, replace(change, facts={**counts, NOTE: plan.note}))
        after = snapshot.after(position.version, change.adds, change.removes, change.overwrite)
        facts = facts_of(position, change.schema, after)
    except StalePositionError:
        # A put whose answer was lost is sent again by the client and then meets itself.
        found = _done(open_table(table.store, table.root), plan)
        if found is None:
            raise
        position, facts = found.position, found.facts
    return Published(position, facts, **counts, columns_changed=columns_changed)


def _done(table: OpenTable, plan: PublishPlan) -> Published | None:
    done = own_commit(table, plan.run, plan.batch)
    return done if done and done.position.sequence == plan.base.sequence + 1 else None


def _guard(table: OpenTable, plan: PublishPlan) -> None:
    position = table.position
    if position.fence > plan.run.fence or position.generation > plan.run.generation:
        raise FencedError("A newer run owns the table.")


def _check_base(table: OpenTable, plan: PublishPlan) -> None:
    position = table.position
    other_rows = not plan.replaces_all and position.generation != plan.run.generation
    if position.sequence != plan.base.sequence or (position.sequence and other_rows):
        raise StalePositionError("The table moved on since this batch was planned.")


def _evolution(table: OpenTable, manifest: Manifest, plan: PublishPlan) -> Evolution:
    incoming = manifest.columns.schema
    if table.schema is None or plan.replaces_all:
        return Evolution(incoming)
    return evolve(table.schema, incoming)


def _change(
    store: LakeStore,
    table: OpenTable,
    snapshot: Snapshot,
    manifest: Manifest,
    evolution: Evolution,
    plan: PublishPlan,
    budget: Budget,
) -> Change:
    if plan.replaces_all:
        files = (*manifest.fresh, *manifest.overlap)
        return Change(files, rows_added=manifest.rows, overwrite=table.delta is not None)
    if manifest.is_empty and not evolution.widened:
        return Change()
    publishing = Publishing(
        store=store,
        manifest=manifest,
        snapshot=Snapshot(snapshot.root, snapshot.version) if manifest.truncated else snapshot,
        evolution=evolution,
        stem=unique_stem(plan.table_path, plan.run.generation, plan.run.run_id, f"b{plan.batch}"),
        primary_key=manifest.columns.stored(plan.primary_key),
        cursor=manifest.columns.names[plan.cursor_field] if plan.cursor_field else None,
    )
    if plan.mode in KEYED and plan.keys_unique and not publishing.target:
        check_key_types(publishing)
        change = append(publishing, budget)
    elif plan.mode == "full_refresh":
        change = upsert(publishing, budget) if plan.primary_key else add(publishing)
    else:
        change = _MODES[plan.mode](publishing, budget)
    return _truncated(change, snapshot) if manifest.truncated else change


_MODES: dict[str, Callable[[Publishing, Budget], Change]] = {**dict.fromkeys(KEYED, upsert), "append": append}


def _truncated(change: Change, snapshot: Snapshot) -> Change:
    """The change of an empty table, in the place of all that is there."""
    gone = sum(file.rows for file in snapshot.files.values())
    return replace(change, rows_deleted=gone, overwrite=bool(snapshot.files))


def _advance(table: OpenTable, manifest: Manifest, plan: PublishPlan) -> Position:
    log = manifest.log.follows(table.position.log) if manifest.log else table.position.log
    return Position(
        sequence=table.position.sequence + 1,
        fence=plan.run.fence,
        generation=plan.run.generation,
        run_id=plan.run.run_id,
        batch=plan.batch,
        mode=plan.mode,
        primary_key=plan.primary_key,
        cursor_field=plan.cursor_field,
        cursor=manifest.cursor if manifest.cursor is not None else manifest.edge,
        columns=plan.base.columns,
        row_filter=plan.base.row_filter,
        type_overrides=plan.base.type_overrides,
        loaded=plan.mode == "full_refresh" or plan.base.loaded or (plan.last_batch and _is_complete(plan.mode, log)),
        log=log if plan.mode == "cdc" else None,
        state=manifest.state,
    )


def _is_complete(mode: str, log: LogMark | None) -> bool:
    """A table that is kept by its source's log is the source's once it has passed what was read beside the log."""
    return mode != "cdc" or (log is not None and 0 < log.horizon <= log.position)


def _is_news(table: OpenTable, change: Change, evolution: Evolution, position: Position, plan: PublishPlan) -> bool:
    """Does the commit change anything that a reader or the next run could tell?"""
    if change.added or change.removed or change.overwrite or table.schema != evolution.schema:
        return True
    old = table.position
    # Another batch goes on from where this one ends, so its place in the log has to be told.
    is_awaited = plan.keep_alive or not plan.last_batch or not position.loaded
    if old.log and position.log and old.log.epoch == position.log.epoch and not is_awaited:
        position = replace(position, log=replace(old.log, horizon=position.log.horizon))
    said_by = {
        "sequence": old.sequence,
        "fence": old.fence,
        "run_id": old.run_id,
        "batch": old.batch,
        "version": old.version,
    }
    return {**position.as_dict(), **said_by} != old.as_dict()
