"""Whoever has new events is copied within seconds: runs are asked for when events are safe, and not too often."""

import threading
import time
from collections.abc import Collection

import structlog

from api.temporal import TemporalBridge
from metadata.webhooks import Webhooks

log = structlog.get_logger(__name__)

QUIET_SECONDS = 1.0
"""How long after the first event a run is asked for: those that come with it are in the same one."""
AFTER_FAILURE_SECONDS = 5.0


class Runs:
    """One per API process. For each schema a run is asked for at most once in ``apply_seconds``; where one is active,
    Temporal keeps one more in store. What is asked for by several processes at once is one run, or two.

    What a process that dies did not ask for is found by ``LeftInboxes``.
    """

    def __init__(self, webhooks: Webhooks, temporal: TemporalBridge, apply_seconds: float) -> None:
        self._webhooks, self._temporal = webhooks, temporal
        self._apply_seconds = apply_seconds
        self._news = threading.Condition()
        self._due: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        """When a run was asked for last, as long as that matters."""
        self._stopping = False
        self._thread = threading.Thread(target=self._go_round, name="webhook-runs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Not to be called from the event loop's thread."""
        with self._news:
            self._stopping = True
            self._news.notify()
        self._thread.join()

    def note(self, schema_id: str) -> None:
        """It has events that no run has seen. Quick; from any thread."""
        with self._news:
            if schema_id in self._due:
                return
            now = time.monotonic()
            quiet = min(QUIET_SECONDS, self._apply_seconds)
            last = self._asked.get(schema_id)
            self._due[schema_id] = max(now + quiet, last + self._apply_seconds if last is not None else 0)
            self._news.notify()

    def _go_round(self) -> None:
        while (due := self._next()) is not None:
            try:
                self._ask(due)
            except Exception as error:
                # The metadata or Temporal is away, or worse: whatever it is, it is tried again.
                log.warning("runs are asked for later", schemas=len(due), reason=type(error).__name__)
                self._again(due)

    def _next(self) -> list[str] | None:
        """Wait for those that are due; None at the end."""
        with self._news:
            while not self._stopping:
                now = time.monotonic()
                due = [schema_id for schema_id, at in self._due.items() if at <= now]
                if due:
                    for schema_id in due:
                        del self._due[schema_id]
                    self._asked = {id: at for id, at in self._asked.items() if now - at < self._apply_seconds}
                    self._asked.update(dict.fromkeys(due, now))
                    return due
                self._news.wait(min(self._due.values()) - now if self._due else None)
        return None

    def _ask(self, schema_ids: Collection[str]) -> None:
        """What was disabled or deleted meanwhile gets none."""
        wanted = self._webhooks.receiving(schema_ids)
        if wanted:
            self._temporal.start_runs(wanted)

    def _again(self, schema_ids: Collection[str]) -> None:
        with self._news:
            at = time.monotonic() + AFTER_FAILURE_SECONDS
            for schema_id in schema_ids:
                self._due.setdefault(schema_id, at)
