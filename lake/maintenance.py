"""Maintenance: what a table owes its readers and writers after many commits, and how the writer pays it back."""

from dataclasses import dataclass, replace

from lake.compaction import Compacted, compact, crowded, layout_of
from lake.errors import FencedError
from lake.failpoints import reach
from lake.log import Snapshot
from lake.manifest import RunRef
from lake.position import Position
from lake.storage import LakeStore, storage_errors
from lake.table import Commit, OpenTable, as_table_file, commit, open_table

CHECKPOINT_COMMITS = 20
"""Commits since the last checkpoint after which there is to be another: what opening a table reads one by one."""


@dataclass(frozen=True)
class Debt:
    """What slows a table down. Old files are the sweep's business, and named to be seen."""

    small_files: int = 0
    small_bytes: int = 0
    crowded_files: int = 0
    """Those of the small ones that a compaction would merge now."""
    commits: int = 0
    """Since the last checkpoint."""
    removed_files: int = 0
    """Files that left the table and that its log still names."""

    @property
    def is_due(self) -> bool:
        return self.crowded_files > 0 or self.commits >= CHECKPOINT_COMMITS


def debt(table: OpenTable, snapshot: Snapshot) -> Debt:
    """Counted from the log that was read already: nothing is asked of the store."""
    layout = layout_of(table)
    files = list(snapshot.files.values())
    small = [file for file in files if layout is not None and layout.is_small(file)]
    return Debt(
        small_files=len(small),
        small_bytes=sum(file.size_bytes for file in small),
        crowded_files=len(crowded(files, layout)) if layout is not None else 0,
        commits=snapshot.version - snapshot.checkpoint,
        removed_files=snapshot.tombstones,
    )


@dataclass(frozen=True)
class Maintained:
    """``position`` is where the table stands afterwards."""

    position: Position
    files_before: int = 0
    files_after: int = 0
    bytes_written: int = 0
    checkpoint: bool = False


def maintain(store: LakeStore, path: str, run: RunRef) -> Maintained:
    """Merge small files in one commit, and write a checkpoint, each where it is due. No row changes.

    For the run that owns the table, after its own commits: ``FencedError`` when a newer one does,
    ``StalePositionError`` when another commit came in between. May be repeated, killed anywhere, or left out.
    """
    table = open_table(store, path)
    if table.position.fence > run.fence or table.position.generation > run.generation:
        raise FencedError("A newer run owns the table.")
    snapshot = table.snapshot()
    done = Maintained(table.position)
    layout = layout_of(table)
    if layout is not None and (files := crowded(list(snapshot.files.values()), layout)):
        reach("compacting")
        done = _compacted(table, run, compact(table, run, files, layout))
        reach("compacted")
    if snapshot.version - snapshot.checkpoint >= CHECKPOINT_COMMITS:
        _write_checkpoint(store, path)
        done = replace(done, checkpoint=True)
    return done


def _compacted(table: OpenTable, run: RunRef, compacted: Compacted) -> Maintained:
    """One commit that carries the old position on: whoever reads it goes on as if nothing had been."""
    old = table.position
    if not compacted.removed or table.schema is None:
        return Maintained(old)
    position = replace(old, sequence=old.sequence + 1, fence=run.fence, run_id=run.run_id, batch=-1)
    adds = [as_table_file(file, table.root) for file in compacted.written]
    position = commit(table, Commit(position, table.schema, adds, compacted.removed, data_change=False))
    return Maintained(position, len(compacted.removed), len(adds), compacted.bytes_written)


def _write_checkpoint(store: LakeStore, path: str) -> None:
    delta = open_table(store, path).delta
    if delta is not None:
        with storage_errors("write a table's checkpoint"):
            delta.create_checkpoint()
