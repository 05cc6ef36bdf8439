"""Requests no sooner than an account's budget lets them go."""

import threading
import time
from contextlib import suppress

import structlog

from connectors.budget import OWN, Budget
from connectors.errors import BusyError

log = structlog.get_logger()

AT_ONCE_SECONDS = 0.25
"""A reader reserves what it can send in so long: one question to the budget is for several requests."""


class Pace:
    """Of one reader. Thread-safe."""

    def __init__(self, budget: Budget, account: str, per_second: float | None) -> None:
        self._budget = budget
        self._account = account
        self._per_second = per_second
        self._lock = threading.Lock()
        self._reserved: list[float] = []
        """When the next requests may go, by this process's own clock."""
        self._last = 0.0
        """When the last one went: one that is late must not have the next at its heels."""

    def wait(self, patience_seconds: float) -> None:
        """Until the next request may go. ``BusyError`` where that is longer than somebody has patience."""
        if self._per_second is None:
            return
        with self._lock:
            if not self._reserved:
                self._reserve(self._per_second)
            due = max(self._reserved[0], self._last + 1 / self._per_second)
            pause = due - time.monotonic()
            if pause > patience_seconds:
                self._reserved.clear()
                raise BusyError("The API's limit of requests is used up by other tables.", retry_after_seconds=pause)
            del self._reserved[0]
            self._last = max(due, time.monotonic())
        if pause > 0:
            time.sleep(pause)

    def hold(self, seconds: float | None) -> None:
        """The API asks for so long a rest, of all who share the account."""
        with self._lock:
            self._reserved.clear()
        if seconds:
            OWN.hold(self._account, seconds)
            with suppress(Exception):
                self._budget.hold(self._account, seconds)

    def _reserve(self, per_second: float) -> None:
        count = max(1, int(per_second * AT_ONCE_SECONDS))
        try:
            pause = self._budget.reserve(self._account, per_second, count)
        except Exception as error:
            # Where the budget is kept nobody answers: this process at least keeps its own.
            log.warning("the shared budget of requests is away", error=type(error).__name__)
            pause = OWN.reserve(self._account, per_second, count)
        begin = pause + time.monotonic()
        self._reserved = [begin + number / per_second for number in range(count)]
