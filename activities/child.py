"""The other end of ``activities.children``: what runs in a child process, and what the two say to each other.

It imports little: the fork server, whose modules every child has, needs neither Temporal nor the database.
"""

import ctypes
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from lake.failpoints import arm

REPORT_SECONDS = 0.1
IDLE_SECONDS = 20.0
"""How long a child waits for another job."""

_MEMORY_POOL = pa.default_memory_pool()
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    failpoint: str | None
    worker: int
    """The process that the failpoint is to kill first."""


@dataclass(frozen=True)
class Progress:
    """``expected_rows`` is an estimate, None where nobody has one. ``told``: what the job wants its parent to know."""

    rows: int = 0
    size_bytes: int = 0
    expected_rows: int | None = None
    told: Any = None


@dataclass(frozen=True)
class Done:
    result: Any


@dataclass(frozen=True)
class Failed:
    error: Exception
    cause: str | None
    """What lies below it, in the words of the driver: causes do not pickle."""


def main(pipe: Connection) -> None:
    """Do the jobs that come through the pipe, until there are none."""
    _die_with_parent()
    while pipe.poll(IDLE_SECONDS):
        try:
            job: Job = pipe.recv()
        except EOFError:
            break
        if not _do(pipe, job):
            break
    pipe.close()
    # Drivers' own clean-up at interpreter exit may hang or crash; the answer is out and the kernel frees the rest.
    os._exit(0)


def _do(pipe: Connection, job: Job) -> bool:
    """Whether it went well."""
    arm(job.failpoint, first=job.worker)
    # A job may have chosen another.
    pa.set_memory_pool(_MEMORY_POOL)
    reported = 0.0

    def report(rows: int, size_bytes: int, expected_rows: int | None = None, told: Any = None) -> None:
        nonlocal reported
        if told is not None or time.monotonic() - reported >= REPORT_SECONDS:
            pipe.send(Progress(rows, size_bytes, expected_rows, told))
            reported = time.monotonic()

    try:
        answer: Done | Failed = Done(job.function(report, *job.arguments))
    except Exception as error:
        # A traceback does not pickle; as a note it still reaches the parent's log.
        error.add_note(traceback.format_exc())
        answer = Failed(error, described(error.__cause__))
    pipe.send(answer)
    return isinstance(answer, Done)


def described(error: BaseException | None) -> str | None:
    """For the worker's log alone: a driver may speak of values."""
    return None if error is None else f"{type(error).__name__}: {error}".strip()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.getppid() == 1:
        os._exit(1)
