"""How long somebody is ready to wait for a source. Connectors hold every step of theirs against it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from connectors.errors import UnreachableError

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """What this thread asks of sources in the block ends within that time, all together."""
    before = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(before)


def remaining() -> float | None:
    """Seconds that are left; None where nobody set a bound. ``UnreachableError`` when there are none left."""
    deadline = _deadline.get()
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise UnreachableError("The source did not answer in time.")
    return left
