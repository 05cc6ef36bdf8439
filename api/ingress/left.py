"""Inboxes with events that no run has taken for a while: who put them there may have died before it asked for one."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from api.ingress.runs import Runs
from lake.errors import LakeError
from lake.inbox import INBOXES, whole_files
from lake.objects import StoredObject
from lake.storage import LakeStore

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 30.0
OLD_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 900.0
"""Where runs do not take an inbox's oldest file, they are asked for ever more seldom."""


@dataclass(frozen=True)
class _Asked:
    oldest: str
    """The path of the oldest file."""
    next_at: float
    wait: float


class LeftInboxes:
    """One per API process; that several ask for the same runs does no harm."""

    def __init__(self, store: LakeStore, runs: Runs) -> None:
        self._store, self._runs = store, runs
        self._asked: dict[str, _Asked] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go_round, name="webhook-left", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Without waiting for a store that does not answer."""
        self._stopping.set()

    def look(self) -> None:
        """Ask for runs of those that have old files. One listing for each inbox that is not empty, and one more."""
        now, before = time.monotonic(), self._asked
        self._asked = {}
        for oldest in _oldest_files(self._store):
            if time.time() - oldest.modified.timestamp() < OLD_SECONDS:
                continue
            schema_id = oldest.path.split("/")[-2]
            asked = before.get(schema_id)
            if asked is None or asked.oldest != oldest.path:
                asked = _Asked(oldest.path, now, LOOK_EVERY_SECONDS)
            if asked.next_at <= now:
                self._runs.note(schema_id)
                asked = _Asked(oldest.path, now + asked.wait, min(2 * asked.wait, LONGEST_WAIT_SECONDS))
            self._asked[schema_id] = asked

    def _go_round(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except LakeError as error:
                log.warning("the inboxes cannot be listed", reason=repr(error))
            self._stopping.wait(LOOK_EVERY_SECONDS)


def _oldest_files(store: LakeStore) -> Iterator[StoredObject]:
    """Of each inbox the first one by name, which says when it came."""
    after = None
    while (first := next(whole_files(store, INBOXES, after), None)) is not None:
        yield first
        after = f"{first.path.rpartition('/')[0]}0"  # behind everything that is below it
