"""Heartbeats for a step that blocks in the activity's own thread, without a child process to attend."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.errors import WorkerShutdownError

Result = TypeVar("Result")

HEARTBEAT_SECONDS = 1.0
POLL_SECONDS = 0.1


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


def attended(look: Callable[[], Result]) -> Result:
    """What ``look`` finds, which changes nothing: when a stop is asked for, it is left to come to its end unheard.

    Heartbeats meanwhile. ``CancelledError`` or ``WorkerShutdownError`` where one is due.
    """
    found: Future[Result] = Future()

    def run() -> None:
        try:
            found.set_result(look())
        except Exception as error:
            found.set_exception(error)

    threading.Thread(target=run, name="look", daemon=True).start()
    with beating():
        while not wait([found], POLL_SECONDS).done:
            stop_if_asked()
    return found.result()


def stop_if_asked() -> None:
    """Between two items of a long list: ``CancelledError`` or ``WorkerShutdownError`` where one is due."""
    if activity.is_cancelled():
        raise CancelledError("cancelled")
    if activity.is_worker_shutdown():
        raise WorkerShutdownError
