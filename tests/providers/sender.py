"""Events on their way from a provider: signed anew for each attempt, late, doubled, out of order, and tried again.

Both Stripe and whoever redelivers GitHub's events try again what was not acknowledged, with longer and longer pauses;
here these are short.
"""

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2

FIRST_PAUSE, MOST_PAUSE = 0.1, 2.0
TIMEOUT_SECONDS = 20.0
AT_ONCE = 16


@dataclass(frozen=True)
class Event:
    """``headers``: those of a delivery at that time, signature and all."""

    id: str
    type: str
    body: bytes
    headers: Callable[[float], Mapping[str, str]] = field(repr=False)
    about: Any = None
    """Whatever the test wants to remember it by."""


@dataclass(frozen=True)
class Answered:
    event: Event
    status: int | None
    """None where there was no answer."""
    at: float
    seconds: float


@dataclass
class Sender:
    """In threads of its own, from ``start`` to ``stop``. What was acknowledged is in ``acknowledged``, by id.

    ``doubles``: the share of events that are sent once more after that; ``spread_seconds``: how late an event may begin
    its way, so that others overtake it; ``give_up``: attempts after which it is forgotten.
    """

    url: str
    per_second: float = 200.0
    doubles: float = 0.0
    spread_seconds: float = 0.0
    give_up: int | None = None
    seed: int = 1
    acknowledged: dict[str, Event] = field(default_factory=dict)
    given_up: dict[str, Event] = field(default_factory=dict)
    answers: list[Answered] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Event, int]] = []
        self._numbers = itertools.count()
        self._under_way = 0
        self._stopping = False
        self._client = httpx2.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._crew = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sender")
        self._thread = threading.Thread(target=self._go, name="sender", daemon=True)

    def start(self) -> "Sender":
        self._thread.start()
        return self

    def __enter__(self) -> "Sender":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def send(self, event: Event) -> None:
        """Some time soon."""
        with self._changed:
            self._put(event, 1, self._random.uniform(0, self.spread_seconds))

    def wait(self, seconds: float) -> bool:
        """Whether nothing is on its way any more."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._under_way, seconds)

    def stop(self) -> None:
        """What is not acknowledged by now never will be."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._crew.shutdown()
        self._client.close()

    def _put(self, event: Event, attempt: int, pause: float) -> None:
        heapq.heappush(self._waiting, (time.monotonic() + pause, next(self._numbers), event, attempt))
        self._changed.notify_all()

    def _go(self) -> None:
        next_at = time.monotonic()
        while (due := self._next()) is not None:
            next_at = max(next_at + 1 / self.per_second, time.monotonic() - 0.05)
            time.sleep(max(0.0, next_at - time.monotonic()))
            self._crew.submit(self._deliver, *due)

    def _next(self) -> tuple[Event, int] | None:
        with self._changed:
            while not self._stopping:
                pause = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if pause is not None and pause <= 0 and self._under_way < 2 * AT_ONCE:
                    _, _, event, attempt = heapq.heappop(self._waiting)
                    self._under_way += 1
                    return event, attempt
                self._changed.wait(pause if pause is not None and pause > 0 else None)
            return None

    def _deliver(self, event: Event, attempt: int) -> None:
        began, at = time.monotonic(), time.time()
        try:
            answer = self._client.post(self.url, content=event.body, headers=dict(event.headers(at)))
            status: int | None = answer.status_code
        except httpx2.HTTPError:
            status = None
        with self._changed:
            self.answers.append(Answered(event, status, at, time.monotonic() - began))
            self._under_way -= 1
            if status is not None and 200 <= status < 300:
                if event.id not in self.acknowledged and self._random.random() < self.doubles:
                    self._put(event, 1, self._random.uniform(0, max(self.spread_seconds, 0.1)))
                self.acknowledged[event.id] = event
            elif self.give_up is not None and attempt >= self.give_up:
                self.given_up[event.id] = event
            else:
                self._put(event, attempt + 1, min(MOST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)))
            self._changed.notify_all()
