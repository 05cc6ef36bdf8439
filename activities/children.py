"""Child processes for what may crash, leak or hang: drivers and rewrites.

A fork server that has the heavy modules loaded starts one in some ten milliseconds. A child says what it does over a
pipe; its parent, an activity's thread, heartbeats for it, watches its memory, and kills it when it must stop. When the
worker itself is killed the fork server ends, and the kernel kills the children with it: nothing goes on writing.

A child does one job at a time. After one that went well and left its memory small it waits a while for another, which
finds its clients set up already; after any other it ends.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any, TypeVar

import psutil
import structlog
from temporalio.exceptions import CancelledError

from activities.child import IDLE_SECONDS, Done, Failed, Job, Progress, main
from activities.errors import ChildDiedError, OutOfMemoryError, WorkerShutdownError
from activities.heartbeat import Heart, beating, stop_if_asked
from lake.failpoints import armed

Result = TypeVar("Result")
log = structlog.get_logger()

POLL_SECONDS = 0.1
TELLING_SECONDS = 1.0
"""How long a source may take to stop a read before the reading process is killed all the same."""
PRELOADED = ["activities.preload"]
"""By the fork server."""

MOST_JOBS = 50
"""Of one child: whatever a library may leak ends with it."""
KEPT_BYTES = 32 * 2**20
"""A child that holds more than this after a job gives it back by ending."""
ALLOCATORS = {
    # Arrow's own choice keeps about a third more of what a rewrite has given back, and is no faster.
    "ARROW_DEFAULT_MEMORY_POOL": "jemalloc",
    # A reader's threads hand batches on: arenas of their own would each keep what they once had.
    "MALLOC_ARENA_MAX": "2",
    # Large buffers go back to the system when they are freed: by itself glibc keeps them once some have been freed.
    "MALLOC_MMAP_THRESHOLD_": "1048576",
}
"""The environment of each child."""


class CauseInChildError(Exception):
    """What an error of a child was raised from, in words."""


class _Child:
    """A process, the pipe to it, and its memory."""

    def __init__(self, context: ForkServerContext, memory_limit_bytes: int) -> None:
        self.pipe, theirs = context.Pipe()
        self.process: ForkServerProcess = context.Process(target=main, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.memory = _Memory(self.process.pid or 0, memory_limit_bytes)
        self.jobs = 0
        self.idle_since = 0.0

    def is_worth_keeping(self) -> bool:
        return self.jobs < MOST_JOBS and self.memory.taken() < KEPT_BYTES

    def is_waiting(self) -> bool:
        """With a margin: it must not end just as it is given a job."""
        return self.process.is_alive() and time.monotonic() - self.idle_since < IDLE_SECONDS / 2

    def end(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()


class Children:
    """Starts children, each with the same memory limit. Thread-safe."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self.memory_limit_bytes = memory_limit_bytes
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        # Read by the fork server as it starts and loads Arrow.
        for name, value in ALLOCATORS.items():
            os.environ.setdefault(name, value)
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def warm_up(self) -> None:
        """Start the fork server and have it load its modules, so that the first run need not wait for that."""
        process = self._context.Process(target=os.getpid, daemon=True)
        process.start()
        process.join()

    def run(
        self,
        job: Callable[..., Result],
        *arguments: Any,
        on_progress: Callable[[Progress], None] = lambda done: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> Result:
        """Run ``job(report, *arguments)`` in a child, within an activity; give back its result or raise its error.

        Heartbeats meanwhile. On a cancel or the worker's shutdown ``on_stop`` is called, the child is killed, and the
        activity ends with ``CancelledError`` or ``WorkerShutdownError``. ``OutOfMemoryError`` past the memory limit,
        ``ChildDiedError`` when it ends without a word.
        """
        child = self._taken()
        try:
            with beating(asdict(Progress())) as heart:
                child.jobs += 1
                _send(child, Job(job, arguments, armed(), os.getpid()))
                result: Result = self._attend(child, heart, on_progress, on_stop)
        except BaseException:
            child.end()
            raise
        self._give_back(child)
        return result

    def close(self) -> None:
        """End those that wait for a job."""
        with self._lock:
            waiting, self._idle = self._idle, []
        for child in waiting:
            child.end()

    def _taken(self) -> _Child:
        """One that waits already, else a new one. Those that have waited for long go."""
        with self._lock:
            waiting, self._idle = self._idle, []
        fresh = [child for child in waiting if child.is_waiting()]
        with self._lock:
            self._idle += fresh[:-1]
        for child in waiting:
            if child not in fresh:
                child.end()
        return fresh[-1] if fresh else _Child(self._context, self.memory_limit_bytes)

    def _give_back(self, child: _Child) -> None:
        if not child.is_worth_keeping():
            child.end()
            return
        child.idle_since = time.monotonic()
        with self._lock:
            self._idle.append(child)

    def _attend(
        self, child: _Child, heart: Heart, on_progress: Callable[[Progress], None], on_stop: Callable[[], None]
    ) -> Any:
        while True:
            try:
                stop_if_asked()
            except (CancelledError, WorkerShutdownError):
                _tell(on_stop)
                raise
            child.memory.check()
            if not child.pipe.poll(POLL_SECONDS):
                continue
            try:
                message = child.pipe.recv()
            except (EOFError, ConnectionError):
                child.process.join(5)
                raise ChildDiedError(_epitaph(child.process.exitcode)) from None
            match message:
                case Progress():
                    heart.details = asdict(message)
                    on_progress(message)
                case Done():
                    return message.result
                case Failed():
                    raise message.error from (CauseInChildError(message.cause) if message.cause else None)


class _Memory:
    """What a child takes beyond what it began with, which it shares with the fork server; looked at now and then."""

    def __init__(self, pid: int, limit_bytes: int) -> None:
        self._pid = pid
        self._limit_bytes = limit_bytes
        self._base = self._used()

    def check(self) -> None:
        if self.taken() > self._limit_bytes:
            raise OutOfMemoryError(
                f"Reading this table took more than the {self._limit_bytes // 2**20} MB a reader may use; "
                "raise SYNCLINE_WORKER_MEMORY_MB."
            )

    def taken(self) -> int:
        return self._used() - self._base

    def _used(self) -> int:
        try:
            used = psutil.Process(self._pid).memory_info()
        except psutil.NoSuchProcess:
            # It has ended already; what it had to say is in the pipe.
            return 0
        return int(used.rss - used.shared)


def _send(child: _Child, job: Job) -> None:
    try:
        child.pipe.send(job)
    except ConnectionError:
        raise ChildDiedError(_epitaph(child.process.exitcode)) from None


def _tell(on_stop: Callable[[], None]) -> None:
    """A source that cannot be told, perhaps because it is away, is no reason to go on: the child dies anyway.

    Nor is one that does not answer: it is left to hear of it when it does.
    """

    def tell() -> None:
        try:
            on_stop()
        except Exception as error:
            log.warning("the source could not be told to stop", error=str(error))

    telling = threading.Thread(target=tell, name="stopping", daemon=True)
    telling.start()
    telling.join(TELLING_SECONDS)


def _epitaph(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"The reading process was ended by {signal.Signals(-exit_code).name}; the run tries again."
    return "The reading process ended unexpectedly; the run tries again."
