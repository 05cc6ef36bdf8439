"""Deleting what nothing refers to: files of runs that died, old manifests, shadows that were swapped in or given up,
and what commits have removed long enough ago.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from lake.errors import LakeError, StalePositionError
from lake.log import Snapshot
from lake.manifest import STAGING
from lake.objects import StoredObject
from lake.position import Position
from lake.storage import LakeStore, storage_errors
from lake.table import generation_root, open_table

ATTEMPTS = 5
ERASING = "_erasing"
"""Folder of the marks by which an erasure learns the time of the store."""
_GENERATION = re.compile(r"g(\d+)/")


def sweep(store: LakeStore, table_path: str, live_runs: set[str], older_than: datetime) -> int:
    """Delete what is older than a time and belongs neither to the table nor to a live run; the number of objects.

    Kept besides: files that a commit removed after that time, which a reader may still use, and the shadow of a
    generation that is not in place yet. Entries of the table's log that have outlived its retention go too. Safe
    beside runs that begin meanwhile, and to repeat.
    """
    # Listed before the logs are read: what is committed in between is then seen as committed.
    lying = list(store.list(table_path))
    doomed: list[str] = []
    if lying:
        keep = _Keep(store, table_path, live_runs, older_than, lying)
        doomed = [stored.path for stored in lying if not keep.is_needed(stored)]
    store.delete(doomed)
    if not live_runs:
        store.abort_uploads(table_path, older_than.timestamp())
    log = f"{table_path}/_delta_log/"
    if any(stored.path.startswith(log) and stored.modified < older_than for stored in lying):
        _clean_log(store, table_path)
    return len(doomed)


def _clean_log(store: LakeStore, table_path: str) -> None:
    """Commits before a checkpoint go once they are as old as the table's ``delta.logRetentionDuration`` says."""
    table = open_table(store, table_path)
    if table.delta is not None:
        with storage_errors("clean a table's log up"):
            table.delta.cleanup_metadata()


def erase(store: LakeStore, table_path: str) -> None:
    """Delete the whole table as it is now. Its log goes first, so that readers see no table rather than a broken one.

    What is written later stays, by the store's own clock: one that was cut off in the middle and goes on long after
    another has done its work finds a new table here.
    """
    mark = f"{table_path}/{ERASING}/{uuid.uuid4().hex}"
    store.write(mark, b"")
    now = max(stored.modified for stored in store.list(f"{table_path}/{ERASING}") if stored.path == mark)
    for folder in (f"{table_path}/_delta_log", table_path):
        store.delete(stored.path for stored in store.list(folder) if stored.modified <= now)
    store.abort_uploads(table_path, now.timestamp())


class _Keep:
    """What a sweep must leave."""

    def __init__(
        self,
        store: LakeStore,
        table_path: str,
        live_runs: set[str],
        older_than: datetime,
        lying: list[StoredObject],
    ) -> None:
        self._table_path = table_path
        self._live_runs = live_runs
        self._older_than = older_than
        position, snapshot = _newest(store, table_path)
        self._generation = position.generation
        self._used = set(_used(snapshot, older_than))
        for generation in self._pending_generations(lying):
            _, shadow = _newest(store, generation_root(table_path, generation))
            self._used.update(_used(shadow, older_than))

    def _pending_generations(self, lying: list[StoredObject]) -> set[int]:
        found = (_GENERATION.match(self._inside(stored)) for stored in lying)
        return {int(match[1]) for match in found if match and int(match[1]) > self._generation}

    def _inside(self, stored: StoredObject) -> str:
        return stored.path.removeprefix(f"{self._table_path}/")

    def is_needed(self, stored: StoredObject) -> bool:
        if stored.modified >= self._older_than or stored.path in self._used:
            return True
        parts = self._inside(stored).split("/")
        if parts[0] == STAGING:
            return len(parts) > 1 and parts[1] in self._live_runs
        if match := _GENERATION.match(f"{parts[0]}/"):
            if len(parts) > 1 and parts[1] == "_delta_log":
                return int(match[1]) > self._generation
            return len(parts) > 1 and parts[1] in self._live_runs
        # The table's own log, and whatever else is not ours.
        return True


def _newest(store: LakeStore, root: str) -> tuple[Position, Snapshot]:
    """Read again where a run wrote a checkpoint in between."""
    for _ in range(ATTEMPTS):
        table = open_table(store, root)
        with suppress(StalePositionError):
            return table.position, table.snapshot(all_removed=True)
    raise LakeError("The table changes too fast to be swept now.")


def _used(snapshot: Snapshot, older_than: datetime) -> Iterator[str]:
    since = older_than.timestamp() * 1000
    recently_removed = (path for path, removed in snapshot.removed.items() if removed >= since)
    for path in (*snapshot.files, *recently_removed):
        yield f"{snapshot.root}/{path}"
