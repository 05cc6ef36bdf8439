"""A Delta table as Syncline's commits left it: where it stands, and how a commit is added to it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, TableFeatures
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import Schema as DeltaSchema
from deltalake.transaction import AddAction, RemoveAction, Transaction, create_table_with_add_actions

from lake.columns import stored_type
from lake.errors import LakeError, StalePositionError
from lake.failpoints import reach
from lake.log import Snapshot, TableFile, read_snapshot
from lake.parquet import WrittenFile
from lake.position import EMPTY, FENCE_APP, GENERATION_APP, METADATA_KEY, SEQUENCE_APP, Position
from lake.storage import LakeStore, storage_errors

HISTORY_LIMIT = 20
"""Commits to look back for the newest position. Every commit of ours carries it, so that one is enough."""

CONFIGURATION = {"delta.deletedFileRetentionDuration": "interval 2 days"}
"""What checkpoints remember of removed files: longer than a sweep needs, or they would grow for a week."""


def generation_root(table_path: str, generation: int) -> str:
    """Root of a generation's shadow table, and the folder of its data files."""
    return f"{table_path}/g{generation}"


@dataclass(frozen=True)
class OpenTable:
    """One version of a table, or the place where there is none yet (``delta`` is None)."""

    store: LakeStore
    root: str
    delta: DeltaTable | None
    position: Position
    commit_info: Mapping[str, Any]
    """What the newest commit says of itself beside its position."""

    @property
    def schema(self) -> pa.Schema | None:
        if self.delta is None:
            return None
        fields = pa.schema(self.delta.schema().to_arrow())
        return pa.schema([column.with_type(stored_type(column)) for column in fields])

    def snapshot(self, *, all_removed: bool = False) -> Snapshot:
        if self.delta is None:
            return Snapshot(self.root, -1)
        return read_snapshot(self.store, self.root, self.delta.version(), all_removed=all_removed)


def open_table(store: LakeStore, root: str, cached: Position | None = None) -> OpenTable:
    """The newest version.

    Sequence, fence and generation come from the log's transactions and are always right. The rest of the position is
    ``cached`` where that is of the same three, which saves a look into the log's history, else what the newest commit
    says; should neither be there, it says ``loaded=False`` and no mode, so that a run rebuilds.
    """
    with storage_errors("read a table's log"):
        try:
            delta = DeltaTable(store.uri(root), storage_options=store.storage_options())
        except TableNotFoundError:
            return OpenTable(store, root, None, EMPTY, {})
        facts = _log_facts(delta)
        if cached is not None and _same_commit(cached, facts):
            return OpenTable(store, root, delta, _with_facts(cached, facts), {})
        info = _newest_commit_info(delta, facts.sequence)
    return OpenTable(store, root, delta, _with_facts(Position.from_dict(info), facts), info)


def _log_facts(delta: DeltaTable) -> Position:
    return Position(
        sequence=delta.transaction_version(SEQUENCE_APP) or 0,
        fence=delta.transaction_version(FENCE_APP) or 0,
        generation=delta.transaction_version(GENERATION_APP) or 0,
        version=delta.version(),
    )


def _same_commit(cached: Position, facts: Position) -> bool:
    """The sequence alone does not tell: where a backup of the table was put back, it comes to the same number again."""
    return (cached.sequence, cached.generation, cached.fence) == (facts.sequence, facts.generation, facts.fence)


def _with_facts(position: Position, facts: Position) -> Position:
    return replace(
        position,
        sequence=facts.sequence,
        fence=facts.fence,
        generation=facts.generation,
        version=facts.version,
    )


def _newest_commit_info(delta: DeltaTable, sequence: int) -> dict[str, Any]:
    for limit in (1, HISTORY_LIMIT):
        for commit in delta.history(limit):
            info = commit.get(METADATA_KEY)
            if isinstance(info, dict) and info.get("sequence") == sequence:
                return info
    return {}


@dataclass(frozen=True)
class Commit:
    """What changes from one position to the next, all of it or nothing. Paths are relative to the table's root."""

    position: Position
    schema: pa.Schema
    adds: Sequence[TableFile] = ()
    removes: Sequence[TableFile] = ()
    overwrite: bool = False
    """The added files, in the new schema, become the whole table."""
    data_change: bool = True
    """False: the same rows in other files, which readers of changes need not look at."""
    facts: Mapping[str, Any] | None = None
    """Carried beside the position, for who finds the commit already there."""


def commit(table: OpenTable, change: Commit) -> Position:
    """Add one commit right after the version that ``table`` is; ``StalePositionError`` if another was faster."""
    if len({file.path for file in change.adds}) < len(change.adds):
        raise LakeError("A data file was written twice under one name; nothing was committed.")
    table = _prepare(table, change)
    reach("before-commit")
    _write(table, change)
    reach("after-commit")
    version = 0 if table.delta is None else table.delta.version() + 1
    return replace(change.position, version=version)


def _prepare(table: OpenTable, change: Commit) -> OpenTable:
    """Widen the table's schema first where it must be; to readers that changes no row, and repeating is harmless.

    Such a commit carries the old position under the new fence.
    """
    delta = table.delta
    if delta is None:
        return table
    properties = _properties(replace(table.position, fence=change.position.fence), table.commit_info)
    with storage_errors("change a table's columns"):
        if change.overwrite:
            naive = any(pa.types.is_timestamp(kind) and kind.tz is None for kind in change.schema.types)
            if not naive or "timestampNtz" in (delta.protocol().reader_features or []):
                return table
            delta.alter.add_feature(
                TableFeatures.TimestampWithoutTimezone,
                allow_protocol_versions_increase=True,
                commit_properties=properties,
            )
        else:
            stored = set((table.schema or pa.schema([])).names)
            added = [column for column in change.schema if column.name not in stored]
            if not added:
                return table
            delta.alter.add_columns(DeltaSchema.from_arrow(pa.schema(added)).fields, commit_properties=properties)
        altered = DeltaTable(table.store.uri(table.root), storage_options=table.store.storage_options())
    if altered.transaction_version(SEQUENCE_APP) != table.position.sequence:
        raise StalePositionError("Another writer committed to the table first.")
    return replace(table, delta=altered)


def _write(table: OpenTable, change: Commit) -> None:
    now = int(time.time() * 1000)
    adds = [
        AddAction(file.path, file.size_bytes, {}, now, change.data_change, file.statistics or "{}")
        for file in change.adds
    ]
    properties = _properties(change.position, change.facts or {})
    with storage_errors("commit to a table"):
        if table.delta is None:
            _create(table, change, adds, properties)
            return
        # An overwrite removes every file of the version that it replaces, of its own accord.
        removed = [] if change.overwrite else change.removes
        removes = [RemoveAction(file.path, change.data_change, now, file.size_bytes, {}) for file in removed]
        table.delta.create_write_transaction(
            [*adds, *removes],
            mode="overwrite" if change.overwrite else "append",
            schema=DeltaSchema.from_arrow(change.schema) if change.overwrite else table.delta.schema(),
            commit_properties=properties,
        )


def _create(table: OpenTable, change: Commit, adds: list[AddAction], properties: CommitProperties) -> None:
    try:
        create_table_with_add_actions(
            table.store.uri(table.root),
            DeltaSchema.from_arrow(change.schema),
            adds,
            mode="error",
            storage_options=table.store.storage_options(),
            commit_properties=properties,
            configuration=CONFIGURATION,
        )
    except CommitFailedError:
        raise
    except DeltaError as error:
        if DeltaTable.is_deltatable(table.store.uri(table.root), table.store.storage_options()):
            raise StalePositionError("Another writer created the table first.") from error
        raise


def _properties(position: Position, facts: Mapping[str, Any]) -> CommitProperties:
    return CommitProperties(
        custom_metadata={METADATA_KEY: {**facts, **position.as_dict()}},
        max_commit_retries=0,
        app_transactions=[
            Transaction(SEQUENCE_APP, position.sequence),
            Transaction(FENCE_APP, position.fence),
            Transaction(GENERATION_APP, position.generation),
        ],
    )


def as_table_file(file: WrittenFile, root: str) -> TableFile:
    return TableFile(file.path.removeprefix(f"{root}/"), file.size_bytes, file.statistics)
