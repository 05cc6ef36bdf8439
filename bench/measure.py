"""What a process tree costs while something is done: time, CPU, and the greatest memory it had."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

_SAMPLE_SECONDS = 0.05
_SAMPLE_PAUSES = 20
"""At least so many times as long as a look took: looking at many processes takes CPU that they could use."""


@dataclass
class Cost:
    """Of a tree of processes. Memory is the sum of the proportional set sizes: shared pages count once."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    base_memory_bytes: int = 0
    """What the tree had when it began."""
    peak_child_bytes: int = 0
    """The greatest that one process below the root had: of a worker, the one that reads."""
    database_cpu_seconds: float = 0.0
    """Of the source's server, while this went on."""
    bytes_written: int = 0
    """Of objects that are new in the store."""
    source_rows_read: int = 0

    def add(self, later: "Cost") -> None:
        """What came after it."""
        self.wall_seconds += later.wall_seconds
        self.cpu_seconds += later.cpu_seconds
        self.peak_memory_bytes = max(self.peak_memory_bytes, later.peak_memory_bytes)
        self.peak_child_bytes = max(self.peak_child_bytes, later.peak_child_bytes)
        self.database_cpu_seconds += later.database_cpu_seconds
        self.bytes_written += later.bytes_written
        self.source_rows_read += later.source_rows_read


@contextmanager
def measure(root: psutil.Process) -> Iterator[Cost]:
    """The cost is whole when the block is over; the root must outlive it."""
    cost = Cost()
    with watch_memory(root, cost):
        cpu_before, started = tree_cpu_seconds(root), time.monotonic()
        yield cost
        cost.wall_seconds = time.monotonic() - started
        cost.cpu_seconds = tree_cpu_seconds(root) - cpu_before


@dataclass
class _Sampler:
    sample: Callable[[], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        pause = _SAMPLE_SECONDS
        while not self.stop.wait(pause):
            looked = time.monotonic()
            self.sample()
            pause = max(_SAMPLE_SECONDS, _SAMPLE_PAUSES * (time.monotonic() - looked))


@contextmanager
def watch_memory(root: psutil.Process, cost: Cost) -> Iterator[None]:
    """Keep the first and the greatest memory of the tree in ``cost``."""
    cost.base_memory_bytes = cost.peak_memory_bytes = tree_memory_bytes(root)
    sampler = _Sampler(lambda: _note_memory(root, cost))
    thread = threading.Thread(target=sampler.run)
    thread.start()
    try:
        yield
    finally:
        sampler.stop.set()
        thread.join()


def tree_memory_bytes(root: psutil.Process) -> int:
    return sum(_memory_bytes(process) for process in _tree(root))


def tree_cpu_seconds(root: psutil.Process) -> float:
    """Of the living and, by their parents' accounts, of those that ended and were waited for."""
    total = 0.0
    for process in _tree(root):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _note_memory(root: psutil.Process, cost: Cost) -> None:
    first, *children = map(_memory_bytes, _tree(root) or [root])
    cost.peak_memory_bytes = max(cost.peak_memory_bytes, first + sum(children))
    cost.peak_child_bytes = max(cost.peak_child_bytes, *children, 0)


def _memory_bytes(process: psutil.Process) -> int:
    try:
        found: int = process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return found


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
