"""Requests no sooner than an account's budget lets them go."""

import threading
import time
from collections import deque
from contextlib import suppress

import structlog

from connectors.budget import OWN, Budget
from connectors.errors import BusyError
from connectors.rest.ahead import NOW, Turn

log = structlog.get_logger()

AT_ONCE_SECONDS = 0.25
"""A reader reserves what it can send in so long: one question to the budget is for several requests."""
_LATE_SECONDS = 0.04
"""How late a request may go: a machine may be busy, and so much is no twentieth of a second's requests."""


class Pace:
    """Of one reader. Thread-safe."""

    def __init__(self, budget: Budget, account: str, per_second: float | None) -> None:
        self._budget = budget
        self._account = account
        self._per_second = per_second
        self._lock = threading.Lock()
        self._reserved: deque[float] = deque()
        """When the next requests may go, by this process's own clock."""
        self._share = 1.0
        """How many are reserved at once."""
        self._growth = 1.25
        """Of the share where nothing was missed."""
        self._missed = 0
        self._last = 0.0
        """When the last one went: one that is late must not have the next at its heels."""
        self._rests_until = 0.0

    def wait(self, patience_seconds: float, turn: Turn = NOW) -> None:
        """Until the next request may go. ``BusyError`` where that is longer than somebody has patience."""
        while True:
            due = self._due(patience_seconds)
            turn.sleep(due - time.monotonic())
            if self._rests_until <= max(due, time.monotonic()):
                return

    def hold(self, seconds: float | None) -> None:
        """The API asks for so long a rest, of all who share the account."""
        with self._lock:
            self._reserved.clear()
            self._rests_until = max(self._rests_until, time.monotonic() + (seconds or 0.0))
        if seconds:
            OWN.hold(self._account, seconds)
            with suppress(Exception):
                self._budget.hold(self._account, seconds)

    def _due(self, patience_seconds: float) -> float:
        with self._lock:
            due = self._rests_until if self._per_second is None else self._next(self._per_second)
            pause = due - time.monotonic()
            if pause > patience_seconds:
                self._reserved.clear()
                raise BusyError("The API's limit of requests is used up by other tables.", retry_after_seconds=pause)
            if self._reserved:
                del self._reserved[0]
            self._last = max(due, time.monotonic())
            return due

    def _next(self, per_second: float) -> float:
        """What was missed is lost: it would go together with what others have reserved."""
        gap = 1 / per_second
        while True:
            if not self._reserved:
                self._reserve(per_second)
            due = max(self._reserved[0], self._last + gap / 2)
            if max(due, time.monotonic()) - self._reserved[0] <= max(gap, _LATE_SECONDS):
                return max(due, self._rests_until)
            self._missed += 1
            del self._reserved[0]

    def _reserve(self, per_second: float) -> None:
        """As many as were used of the last ones; more where none was missed, carefully once one was."""
        if self._missed:
            self._share, self._growth = max(1.0, int(self._share) - self._missed), 1.0
        else:
            self._share = min(self._share * self._growth + 0.1, max(1.0, per_second * AT_ONCE_SECONDS))
        count = int(self._share)
        self._missed = 0
        try:
            pause = self._budget.reserve(self._account, per_second, count)
        except Exception as error:
            # Where the budget is kept nobody answers: this process at least keeps its own.
            log.warning("the shared budget of requests is away", error=type(error).__name__)
            pause = OWN.reserve(self._account, per_second, count)
        begin = pause + time.monotonic()
        self._reserved.extend(begin + number / per_second for number in range(count))
