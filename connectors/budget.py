"""How many requests a second an account may be asked for, by all who ask together."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol


class Budget(Protocol):
    """Hashable, and survives a pickle. ``account``: the same text for all who share a limit."""

    def reserve(self, account: str, per_second: float, count: int) -> float:
        """Reserve the next ``count`` requests of an account; the seconds until the first of them may be sent."""

    def hold(self, account: str, seconds: float) -> None:
        """Nobody asks the account for so long."""


@dataclass(frozen=True)
class OwnBudget:
    """For this process alone. Thread-safe."""

    def reserve(self, account: str, per_second: float, count: int) -> float:
        with _LOCK:
            now = time.monotonic()
            begin = max(now, _NEXT[account])
            _NEXT[account] = begin + count / per_second
        return begin - now

    def hold(self, account: str, seconds: float) -> None:
        with _LOCK:
            _NEXT[account] = max(_NEXT[account], time.monotonic() + seconds)


OWN = OwnBudget()
_LOCK = threading.Lock()
_NEXT: dict[str, float] = defaultdict(float)
