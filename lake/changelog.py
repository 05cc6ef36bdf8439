"""The change log of one source: what its own log had, kept in the lake, entry by entry.

Below its root lie ``<epoch>/log/<sequence>.json``, the entries; ``<epoch>/segments/<table>/…``, the Parquet files that
they refer to; and ``members/<digest>.json``, the tables that were captured.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from lake.entries import Entry, Segment
from lake.entry_writer import EntryWriter
from lake.errors import LakeError, StalePositionError
from lake.failpoints import reach
from lake.objects import StoredObject
from lake.position import LogMark
from lake.storage import LakeStore

__all__ = ["ChangeLog", "Entry", "EntryWriter", "Segment", "change_log_root"]

STRAY = timedelta(days=1)
"""After so long without another file, who wrote files that no entry has does not write any more."""
ENTRIES_BETWEEN_LOOKS = 500
ATTEMPTS = 3

_ENTRY = re.compile(r"/(\d{12})\.json$")
_SEGMENT = re.compile(r"/(\d{12})-([0-9a-f]{32})-\d+-\d+\.parquet$")


def change_log_root(project_id: int, source_id: str) -> str:
    return f"project_{project_id}/_changes/{source_id.replace('-', '')}"


class ChangeLog:
    """All calls may be made from any process, at any time, and repeated."""

    def __init__(self, store: LakeStore, root: str) -> None:
        self._store = store
        self._root = root

    def head(self, epoch: int, at_least: int = 0) -> int:
        """The newest sequence, 0 where there is none.

        ``at_least`` is known to have been there: what lies behind it is listed, by one request for each thousand.
        """
        folder = self._log(epoch)
        behind = self._store.list(folder, after=f"{folder}/{at_least:012d}.json")
        return max((number for number, _ in _entries(behind)), default=at_least)

    def entry(self, epoch: int, sequence: int) -> Entry | None:
        content = self._store.read(self._path(epoch, sequence))
        return None if content is None else Entry.from_bytes(content)

    def mark(self, epoch: int, at_least: int, table: str) -> LogMark | None:
        """The newest entry, where a read of the table that begins later can be followed from there.

        The table is in it, and what comes behind it has the shape that the entry says: while the log is being caught
        up with, its changes are older than what the catalogue, and a read, show. ``at_least`` as for ``head``.
        """
        newest = self.entry(epoch, self.head(epoch, at_least))
        if newest is None or not newest.is_settled or table not in self.members(newest.members):
            return None
        return LogMark(epoch, newest.sequence, newest.position, newest.members)

    def writer(self, epoch: int, sequence: int) -> EntryWriter:
        """For the segments of the entry that is to be appended under this number."""
        return EntryWriter(self._store, self._segments(epoch), epoch, sequence)

    def append(self, entry: Entry) -> None:
        """Make the entry the newest. ``StalePositionError`` where another writer's has that number already."""
        if entry.sequence > 1:
            self._check_previous(entry)
        path = self._path(entry.epoch, entry.sequence)
        for _ in range(ATTEMPTS):
            if self._store.create(path, entry.as_bytes()):
                return
            found = self.entry(entry.epoch, entry.sequence)
            if found is not None and found.writer == entry.writer:
                return
            if found is not None:
                raise StalePositionError("Another writer was faster in the change log.")
        raise LakeError("The lake could not add an entry to the change log.")

    def _check_previous(self, entry: Entry) -> None:
        """A writer that was away for very long must not write a number that was taken and is pruned."""
        previous = self.entry(entry.epoch, entry.sequence - 1)
        if previous is None or previous.position > entry.position:
            raise StalePositionError("The change log moved on since this entry was begun.")

    def save_members(self, members: Mapping[str, Any]) -> str:
        """Keep JSON of the captured tables; the digest under which ``members`` gives it back."""
        content = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        self._store.create(f"{self._root}/members/{digest}.json", content)
        return digest

    def members(self, digest: str) -> Any:
        found = self._store.read_json(f"{self._root}/members/{digest}.json")
        if found is None:
            raise LakeError("The change log no longer knows which tables it had.")
        return found

    def prune(self, epoch: int, before: datetime, keep_from: int | None = None) -> int:
        """Delete the entries that were made before a time, but for the newest and those from ``keep_from`` on; what
        they refer to; what no entry refers to; and earlier epochs. The number of entries that went.

        They go one by one, the oldest first and before its files: whoever begins at the oldest that is there finds all
        behind it. Files without an entry are looked for at each ``ENTRIES_BETWEEN_LOOKS``-th entry.
        """
        for earlier in range(1, epoch):
            self._store.delete_prefix(self._log(earlier))
            self._store.delete_prefix(f"{self._root}/{earlier}")
        entries = sorted(_entries(self._store.list(self._log(epoch))), key=lambda item: item[0])
        newest = entries[-1][0] if entries else 0
        first_kept = newest if keep_from is None else min(newest, keep_from)
        doomed = [
            sequence
            for sequence, _ in takewhile(lambda item: item[0] < first_kept and item[1].modified < before, entries)
        ]
        for sequence in doomed:
            self._drop(epoch, sequence)
        oldest = entries[len(doomed)][0] if entries else 1
        if not entries or entries[0][0] // ENTRIES_BETWEEN_LOOKS < oldest // ENTRIES_BETWEEN_LOOKS:
            self._store.delete(self._strays(epoch, oldest, newest))
            self._store.abort_uploads(self._segments(epoch), (datetime.now(UTC) - STRAY).timestamp())
        return len(doomed)

    def _drop(self, epoch: int, sequence: int) -> None:
        entry = self.entry(epoch, sequence)
        self._store.delete([self._path(epoch, sequence)])
        reach("entry-dropped")
        if entry is not None:
            self._store.delete(entry.paths)

    def _strays(self, epoch: int, oldest: int, newest: int) -> Iterator[str]:
        """Files before the oldest entry, and those of writers whose entry was never appended.

        Where only one writer has files under an entry's number they are taken for its own: they go with it at last.
        """
        written: dict[int, dict[str, list[StoredObject]]] = defaultdict(lambda: defaultdict(list))
        for stored in self._store.list(self._segments(epoch)):
            if match := _SEGMENT.search(stored.path):
                written[int(match[1])][match[2]].append(stored)
        for sequence, by_writer in written.items():
            if sequence < oldest:
                yield from (stored.path for files in by_writer.values() for stored in files)
            elif sequence > newest or len(by_writer) > 1:
                appended = self.entry(epoch, sequence)
                for writer, files in by_writer.items():
                    if (appended is None or appended.writer != writer) and _is_quiet(files):
                        yield from (stored.path for stored in files)

    def _log(self, epoch: int) -> str:
        return f"{self._root}/{epoch}/log"

    def _path(self, epoch: int, sequence: int) -> str:
        return f"{self._log(epoch)}/{sequence:012d}.json"

    def _segments(self, epoch: int) -> str:
        return f"{self._root}/{epoch}/segments"


def _entries(lying: Iterator[StoredObject]) -> Iterator[tuple[int, StoredObject]]:
    for stored in lying:
        if match := _ENTRY.search(stored.path):
            yield int(match[1]), stored


def _is_quiet(files: list[StoredObject]) -> bool:
    return max(stored.modified for stored in files) < datetime.now(UTC) - STRAY
