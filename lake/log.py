"""The files of a Delta table as its log tells them: the last checkpoint, and the commits after it.

``deltalake`` reads and writes the log for everything else. It does not give out the tombstones nor the statistics as
they were written, and both are needed here: to sweep, to carry a shadow's files over, and to prune without rounding.
"""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.errors import LakeError, StalePositionError
from lake.storage import LakeStore, storage_errors

PARALLEL_READS = 8


@dataclass(frozen=True)
class TableFile:
    """A data file that the table refers to. ``path`` is relative to the table's root."""

    path: str
    size_bytes: int
    statistics: str | None

    @cached_property
    def rows(self) -> int:
        return int(json.loads(self.statistics)["numRecords"]) if self.statistics else 0


@dataclass
class Snapshot:
    """``files`` make up the table at ``version``; ``removed`` maps former ones to when they left it (ms).

    Those that left it before the last checkpoint are only counted, unless they were asked for.
    """

    root: str
    version: int
    files: dict[str, TableFile] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    checkpoint: int = -1
    """Version of the last checkpoint; -1 without one."""
    removed_before: int = 0

    @property
    def tombstones(self) -> int:
        return self.removed_before + len(self.removed)

    def apply(self, action: dict[str, Any]) -> None:
        if add := action.get("add"):
            path = unquote(add["path"])
            self.files[path] = TableFile(path, add["size"], add.get("stats"))
            self.removed.pop(path, None)
        elif remove := action.get("remove"):
            path = unquote(remove["path"])
            self.files.pop(path, None)
            self.removed[path] = remove.get("deletionTimestamp") or 0

    def after(
        self, version: int, added: Sequence[TableFile], removed: Sequence[TableFile], overwrite: bool
    ) -> "Snapshot":
        """What a commit makes of it, now; ``overwrite`` takes all former files away."""
        gone = self.files if overwrite else [file.path for file in removed]
        now = int(time.time() * 1000)
        files = {path: file for path, file in self.files.items() if path not in gone}
        return replace(
            self,
            version=version,
            files={**files, **{file.path: file for file in added}},
            removed={**self.removed, **dict.fromkeys(gone, now)},
        )


def read_snapshot(store: LakeStore, root: str, version: int, *, all_removed: bool = False) -> Snapshot:
    """The table's files as of a version that exists. ``StalePositionError`` where the log has moved far past it."""
    snapshot = Snapshot(root, version)
    if checkpoint := store.read_json(f"{root}/_delta_log/_last_checkpoint"):
        if checkpoint["version"] > version:
            raise StalePositionError("The table moved on while it was looked at.")
        if checkpoint.get("parts"):
            raise LakeError("The table's checkpoint was written by something else and cannot be read.")
        snapshot.checkpoint = checkpoint["version"]
        _read_checkpoint(store, snapshot, all_removed)
    first = snapshot.checkpoint + 1
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        commits = pool.map(lambda number: _commit(store, root, number), range(first, version + 1))
        for content in commits:
            for line in content.splitlines():
                snapshot.apply(json.loads(line))
    return snapshot


def _commit(store: LakeStore, root: str, version: int) -> bytes:
    content = store.read(f"{root}/_delta_log/{version:020d}.json")
    if content is None:
        raise LakeError(f"Commit {version} is missing from the table's log.")
    return content


def _read_checkpoint(store: LakeStore, snapshot: Snapshot, all_removed: bool) -> None:
    wanted = ["add.path", "add.size", "add.stats", "remove.path", "remove.deletionTimestamp"]
    with storage_errors("read a table's checkpoint"):
        path = f"{snapshot.root}/_delta_log/{snapshot.checkpoint:020d}.checkpoint.parquet"
        with pq.ParquetFile(store.filesystem.open_input_file(path)) as checkpoint:
            for batch in checkpoint.iter_batches(batch_size=1024, columns=wanted):
                adds, removes = batch.column("add").is_valid(), batch.column("remove").is_valid()
                if not all_removed:
                    snapshot.removed_before += removes.true_count
                for action in batch.filter(pc.or_(adds, removes) if all_removed else adds).to_pylist():
                    snapshot.apply(action)
