"""Heartbeats for a step that blocks in the activity's own thread, without a child process to attend."""

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.errors import WorkerShutdownError

HEARTBEAT_SECONDS = 1.0


class Heart:
    """``details`` go with the next beat: what Temporal's UI shows of the step."""

    def __init__(self, details: Any = None) -> None:
        self.details = details


@contextmanager
def beating(details: Any = None) -> Iterator[Heart]:
    """Heartbeat until the block ends, however long one call in it takes: each has a timeout of its own."""
    ended = threading.Event()
    heart = Heart(details)

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            activity.heartbeat(heart.details)

    # The activity that a thread belongs to is a context variable.
    beater = threading.Thread(target=contextvars.copy_context().run, args=(beat,), name="heartbeat", daemon=True)
    beater.start()
    try:
        yield heart
    finally:
        ended.set()
        beater.join()


def stop_if_asked() -> None:
    """Between two items of a long list: ``CancelledError`` or ``WorkerShutdownError`` where one is due."""
    if activity.is_cancelled():
        raise CancelledError("cancelled")
    if activity.is_worker_shutdown():
        raise WorkerShutdownError
