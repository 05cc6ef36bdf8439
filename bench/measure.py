"""What a process tree costs while something is done: time, CPU, and the greatest memory it had."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

_SAMPLE_SECONDS = 0.05


@dataclass
class Cost:
    """Of a tree of processes. Memory is the sum of the proportional set sizes: shared pages count once."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


@contextmanager
def measure(root: psutil.Process) -> Iterator[Cost]:
    """The cost is whole when the block is over; the root must outlive it."""
    cost = Cost()
    with watch_memory(root, cost):
        cpu_before, started = _tree_cpu(root), time.monotonic()
        yield cost
        cost.wall_seconds = time.monotonic() - started
        cost.cpu_seconds = _tree_cpu(root) - cpu_before


@dataclass
class _Sampler:
    sample: Callable[[], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.wait(_SAMPLE_SECONDS):
            self.sample()


@contextmanager
def watch_memory(root: psutil.Process, cost: Cost) -> Iterator[None]:
    """Keep the greatest memory of the tree in ``cost``."""
    sampler = _Sampler(lambda: _note_memory(root, cost))
    thread = threading.Thread(target=sampler.run)
    thread.start()
    try:
        yield
    finally:
        sampler.stop.set()
        thread.join()


def _note_memory(root: psutil.Process, cost: Cost) -> None:
    total = 0
    for process in _tree(root):
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    cost.peak_memory_bytes = max(cost.peak_memory_bytes, total)


def _tree_cpu(root: psutil.Process) -> float:
    """Of the living and, by their parents' accounts, of those that ended and were waited for."""
    total = 0.0
    for process in _tree(root):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
