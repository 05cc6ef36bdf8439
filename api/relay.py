"""The relay between the outbox and Temporal: at once after each change, and by itself for what was left."""

import threading
import time
from collections.abc import Collection, Sequence

import structlog

from api.temporal import TemporalBridge, TemporalUnavailableError
from lake.failpoints import reach
from metadata.captures import Captures
from metadata.outbox import Errand, Outbox

log = structlog.get_logger(__name__)

PAGE = 50
"""Schemas whose wishes are fulfilled under one claim, well within its lease."""

LOOK_EVERY_SECONDS = 1.0
AFTER_FAILURE_SECONDS = 3.0
"""How long after Temporal did not answer no caller is made to wait for it."""


class OutboxRelay:
    """One per API process; any number of processes share an outbox."""

    def __init__(self, outbox: Outbox, captures: Captures, temporal: TemporalBridge) -> None:
        self._outbox = outbox
        self._captures = captures
        self._temporal = temporal
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go_round, name="outbox", daemon=True)
        self._away_until = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return once nothing is on its way to Temporal. Not to be called from the event loop's thread."""
        self._stopping.set()
        self._thread.join()

    def deliver(self, schema_ids: Sequence[str]) -> bool:
        """Fulfil what these schemas wish, after the commit of the change. False where some of it is left for later:
        Temporal is away, or somebody else is at it.
        """
        reach("outbox-written")
        for start in range(0, len(schema_ids), PAGE):
            if time.monotonic() < self._away_until or not self._deliver_page(schema_ids[start : start + PAGE]):
                return False
        return True

    def capture_changed(self, project_id: int, source_id: str) -> bool:
        """Tell Temporal what is wanted of a source's capture now, after the commit of the change. False where that is
        left to the reconciler: Temporal is away.
        """
        intent = self._captures.intent(project_id, source_id)
        if intent is None:
            return True
        if time.monotonic() < self._away_until:
            return False
        try:
            self._temporal.ensure_capture(intent)
        except TemporalUnavailableError as error:
            self._away_until = time.monotonic() + AFTER_FAILURE_SECONDS
            log.warning("a capture is left to the reconciler", source_id=source_id, reason=repr(error.__cause__))
            return False
        return True

    def _go_round(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_SECONDS):
            try:
                while (due := self._outbox.due(PAGE)) and not self._stopping.is_set():
                    self._deliver_page(due)
            except Exception as error:
                # The database is away, or worse: whatever it is, the next round tries again.
                log.warning("the outbox cannot be read", reason=repr(error))

    def _deliver_page(self, schema_ids: Collection[str]) -> bool:
        errands = self._outbox.claim(schema_ids)
        if not errands:
            return not schema_ids
        reach("outbox-claimed")
        done, failures = self._fulfil(errands)
        reach("outbox-fulfilled")
        self._outbox.fulfilled(done)
        if failures:
            self._away_until = time.monotonic() + AFTER_FAILURE_SECONDS
            self._outbox.failed(failures)
            log.warning("left in the outbox", schemas=len(failures), reason=next(iter(failures.values())))
        return not failures and len(errands) == len(set(schema_ids))

    def _fulfil(self, errands: Collection[Errand]) -> tuple[list[str], dict[str, str]]:
        try:
            ended = self._temporal.fulfil(errands)
        except TemporalUnavailableError as error:
            return [], {errand.schema_id: str(error) for errand in errands}
        done = [wish_id for one in ended for wish_id in one.wish_ids]
        return done, {one.schema_id: one.failure for one in ended if one.failure}
