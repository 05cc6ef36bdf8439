"""Attempts that stop wherever they look at the lake or change it, until the test lets them go on, or has them die."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from activities.webhooks import applying
from lake import publish, table
from lake.errors import LakeError
from lake.inbox import Inbox

PATIENCE_SECONDS = 30

_here = threading.local()


class _DiedError(Exception):
    pass


class Attempt:
    """Of some work, in a thread of its own, which stands still between two calls of ``go_on``."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._moves, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._dies = False
        self.is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def go_on(self) -> None:
        """To the next place where it stops."""
        self._moves.release()
        assert self._stands.acquire(timeout=PATIENCE_SECONDS)

    def die(self) -> None:
        self._dies = True
        self.go_on()

    def finish(self) -> None:
        while not self.is_over:
            self.go_on()

    def stop(self) -> None:
        """Where it is, until the test goes on with it."""
        self._stands.release()
        self._moves.acquire()
        if self._dies:
            raise _DiedError

    def _run(self) -> None:
        _here.attempt = self
        self._moves.acquire()
        try:
            if not self._dies:
                self._work()
        except (LakeError, _DiedError):
            # Another one was faster, or this one is no more.
            pass
        finally:
            self.is_over = True
            self._stands.release()


@contextmanager
def freezing() -> Iterator[None]:
    """Within, attempts stop; whatever else runs does not."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (applying, "reach"),
            (table, "reach"),
            (applying, "open_table"),
            (publish, "open_table"),
            (Inbox, "files"),
            (Inbox, "delete"),
        ):
            patch.setattr(owner, name, _stopping(getattr(owner, name)))
        yield


def _stopping(call: Callable[..., Any]) -> Callable[..., Any]:
    def stopped(*given: Any, **named: Any) -> Any:
        attempt: Attempt | None = getattr(_here, "attempt", None)
        if attempt is not None:
            attempt.stop()
        return call(*given, **named)

    return stopped
