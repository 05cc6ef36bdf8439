"""Child processes for what may crash, leak or hang: drivers and rewrites.

A fork server that has the heavy modules loaded starts one in some ten milliseconds. A child says what it does over a
pipe; its parent, an activity's thread, heartbeats for it, watches its memory, and kills it when it must stop. When the
worker itself is killed the fork server ends, and the kernel kills the children with it: nothing goes on writing.
"""

import ctypes
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any, TypeVar

import psutil
import structlog
from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.errors import ChildDiedError, OutOfMemoryError, WorkerShutdownError
from activities.heartbeat import HEARTBEAT_SECONDS, stop_if_asked
from lake.failpoints import arm, armed

Result = TypeVar("Result")
Report = Callable[[int, int, int | None], None]
"""A child calls it with the rows and bytes it has done so far."""

log = structlog.get_logger()

POLL_SECONDS = 0.1
PRELOADED = ["activities.preload"]
"""By the fork server."""

ARROW_MEMORY_POOL = "jemalloc"
"""Arrow's own choice keeps about a third more of what a rewrite has given back, and is no faster."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Progress:
    """``expected_rows`` is an estimate, None where nobody has one."""

    rows: int = 0
    size_bytes: int = 0
    expected_rows: int | None = None


@dataclass(frozen=True)
class _Done:
    result: Any


@dataclass(frozen=True)
class _Failed:
    error: Exception


class Children:
    """Starts children, each with the same memory limit. Thread-safe."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self._memory_limit_bytes = memory_limit_bytes
        # Read by the fork server as it loads Arrow.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", ARROW_MEMORY_POOL)
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
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_main, args=(theirs, (armed(), os.getpid()), job, arguments), daemon=True
        )
        process.start()
        theirs.close()
        try:
            result: Result = self._attend(process, ours, on_progress, on_stop)
            return result
        finally:
            if process.is_alive():
                process.kill()
            process.join()
            process.close()
            ours.close()

    def _attend(
        self,
        process: ForkServerProcess,
        pipe: Connection,
        on_progress: Callable[[Progress], None],
        on_stop: Callable[[], None],
    ) -> Any:
        memory = _Memory(process.pid or 0, self._memory_limit_bytes)
        beaten = 0.0
        done = Progress()
        while True:
            try:
                stop_if_asked()
            except (CancelledError, WorkerShutdownError):
                _tell(on_stop)
                raise
            if time.monotonic() - beaten > HEARTBEAT_SECONDS:
                activity.heartbeat(asdict(done))
                beaten = time.monotonic()
            memory.check()
            if not pipe.poll(POLL_SECONDS):
                continue
            try:
                message = pipe.recv()
            except EOFError:
                process.join(5)
                raise ChildDiedError(_epitaph(process.exitcode)) from None
            match message:
                case Progress():
                    done = message
                    on_progress(done)
                case _Done():
                    return message.result
                case _Failed():
                    raise message.error


class _Memory:
    """A child's memory of its own (not what it shares with the fork server), looked at now and then."""

    def __init__(self, pid: int, limit_bytes: int) -> None:
        self._pid = pid
        self._limit_bytes = limit_bytes

    def check(self) -> None:
        try:
            used = psutil.Process(self._pid).memory_info()
        except psutil.NoSuchProcess:
            # It has ended already; what it had to say is in the pipe.
            return
        if used.rss - used.shared > self._limit_bytes:
            raise OutOfMemoryError(
                f"Reading this table took more than the {self._limit_bytes // 2**20} MB a reader may use; "
                "raise SYNCLINE_WORKER_MEMORY_MB."
            )


def _tell(on_stop: Callable[[], None]) -> None:
    """A source that cannot be told, perhaps because it is away, is no reason to go on: the child dies anyway."""
    try:
        on_stop()
    except Exception as error:
        log.warning("the source could not be told to stop", error=str(error))


def _epitaph(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"The reading process was ended by {signal.Signals(-exit_code).name}; the run tries again."
    return "The reading process ended unexpectedly; the run tries again."


def _main(
    pipe: Connection, failpoint: tuple[str | None, int], job: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    _die_with_parent()
    arm(failpoint[0], first=failpoint[1])
    reported = 0.0

    def report(rows: int, size_bytes: int, expected_rows: int | None = None) -> None:
        nonlocal reported
        if time.monotonic() - reported >= POLL_SECONDS:
            pipe.send(Progress(rows, size_bytes, expected_rows))
            reported = time.monotonic()

    try:
        answer: _Done | _Failed = _Done(job(report, *arguments))
    except Exception as error:
        # A traceback does not pickle; as a note it still reaches the parent's log.
        error.add_note(traceback.format_exc())
        answer = _Failed(error)
    pipe.send(answer)
    pipe.close()
    # Drivers' own clean-up at interpreter exit may hang or crash; the answer is out and the kernel frees the rest.
    os._exit(0)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.getppid() == 1:
        os._exit(1)
