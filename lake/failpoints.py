"""Places at which a test may have this process killed, as a power cut would, or hang; unarmed they cost little."""

import os
import signal
import time

HANGS = ":hang"
"""After the name of a place: there the process sleeps instead, until somebody ends it."""

_armed: str | None = None
_first: int | None = None


def arm(name: str | None, *, first: int | None = None) -> None:
    """Choose the place; None disarms. ``first`` is a process that dies before this one: a child names its worker."""
    global _armed, _first
    _armed, _first = name, first


def armed() -> str | None:
    """The chosen place, to be passed on to a child process."""
    return _armed


def reach(name: str) -> None:
    if _armed is not None and _armed == name + HANGS:
        while True:
            time.sleep(1)
    if name != _armed:
        return
    if _first is not None:
        os.kill(_first, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
