"""Jobs that behave as drivers do, good and bad. A module of its own: each child imports it."""

import os
import signal
import time
from collections.abc import Callable

from connectors.errors import BusyError

Report = Callable[[int, int], None]
MEBIBYTE = 2**20


def add(report: Report, left: int, right: int) -> int:
    return left + right


def kill_itself(report: Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def abort(report: Report) -> None:
    os.abort()


def exit_without_a_word(report: Report) -> None:
    os._exit(3)


def grow(report: Report, mebibytes: int) -> None:
    """Takes memory bit by bit, and keeps it."""
    taken = [bytes(MEBIBYTE)[:0]]
    for _ in range(mebibytes):
        taken.append(b"x" * MEBIBYTE)
        time.sleep(0.001)
    sleep(report)


def be_refused(report: Report) -> None:
    raise BusyError("The source asks to wait.", retry_after_seconds=7) from OSError("the driver's own words")


def fail_with_what_does_not_travel(report: Report) -> None:
    raise RuntimeError(lambda: "no process can send this to another")


def count(report: Report, to: int) -> str:
    """Reports its own progress, slowly enough for each report to be sent."""
    for number in range(1, to + 1):
        report(number, number * 10)
        time.sleep(0.15)
    return "counted"


def sleep(report: Report) -> None:
    """Reports its process id as rows, and then does not end."""
    report(os.getpid(), 0)
    while True:
        time.sleep(60)


def whoami(report: Report) -> int:
    return os.getpid()


_LEAKED: list[bytearray] = []


def leak(report: Report, mebibytes: int) -> int:
    """Leaves memory behind."""
    _LEAKED.append(bytearray(b"x") * (mebibytes * 2**20))
    return os.getpid()
