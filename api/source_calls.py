"""Requests that wait for a source: so many at once, so long each, and no thread left behind."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.errors import ApiError, InvalidError, TooSlowError, UnavailableError
from api.metrics import Metrics
from connectors.deadline import patience
from connectors.errors import SourceError

RETRY_AFTER_SECONDS = 5


class SourceCalls:
    """Thread-safe. The limit leaves other requests their threads, and the half of it that a project may take leaves
    other projects their share, however many sources hang.
    """

    def __init__(self, places: int, seconds: float, metrics: Metrics) -> None:
        self.seconds = seconds
        self._places, self._metrics = places, metrics
        self._most_of_project = max(1, places // 2)
        self._lock = threading.Lock()
        self._waiting: Counter[int] = Counter()

    @contextmanager
    def bounded(self, project_id: int) -> Iterator[None]:
        """Around everything that one request asks of a source. 503 where no place is free, 504 when time is up."""
        self._enter(project_id)
        begun, outcome = time.monotonic(), "ok"
        try:
            with patience(self.seconds):
                yield
        except (SourceError, InvalidError) as error:
            late = time.monotonic() - begun >= self.seconds
            outcome = "timeout" if late else "refused"
            if late:
                raise TooSlowError(f"The source did not answer within {self.seconds:g} seconds.") from error
            raise
        except BaseException:
            outcome = "failed"
            raise
        finally:
            self._leave(project_id)
            self._metrics.source_called(outcome, time.monotonic() - begun)

    def _enter(self, project_id: int) -> None:
        with self._lock:
            if self._waiting.total() < self._places and self._waiting[project_id] < self._most_of_project:
                self._waiting[project_id] += 1
                return
        self._metrics.throttled("source_calls")
        raise _full()

    def _leave(self, project_id: int) -> None:
        with self._lock:
            self._waiting[project_id] -= 1
            if not self._waiting[project_id]:
                del self._waiting[project_id]


def _full() -> ApiError:
    error = UnavailableError("Too many requests are waiting for sources: try again in a moment.", code="busy")
    error.headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return error
