"""Maintenance: what a table owes its readers and writers after many commits, and how the writer pays it back."""

from dataclasses import dataclass, replace

from lake.compaction import Compacted, compact, crowded, layout_of
from lake.errors import FencedError
from lake.facts import CHECKPOINT_COMMITS
from lake.failpoints import reach
from lake.manifest import RunRef
from lake.position import Position
from lake.storage import LakeStore, storage_errors
from lake.table import Commit, OpenTable, as_table_file, commit, open_table


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
    layout = layout_of(table.position, table.schema)
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
