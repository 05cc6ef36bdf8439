"""Pages that are asked for ahead of their turn, by threads of the read that takes them, and taken in their order."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Generic, Protocol, TypeVar

AHEAD_BYTES = 2**23
"""Of answers that nobody has taken yet. What does not fit is asked for when it is awaited."""
_INTERRUPT_SECONDS = 0.05

Key = TypeVar("Key")


class StoppedError(Exception):
    """Nobody takes the pages any more."""


class Turn:
    """What whoever makes a request has to mind. This one is of a request whose answer is awaited already."""

    def sleep(self, seconds: float) -> None:
        """``StoppedError`` as soon as nobody wants the answer any more."""
        if seconds > 0:
            time.sleep(seconds)

    def has_come(self) -> bool:
        """Whether the answer is awaited."""
        return True

    def await_it(self) -> None:
        """Until the answer is awaited; others may go meanwhile."""


NOW = Turn()


class Sized(Protocol):
    @property
    def size_bytes(self) -> int: ...


Page = TypeVar("Page", bound=Sized)
Work = Callable[[Turn], Iterator[Page]]


class Lane(Turn, Iterator[Page]):
    """The pages of one list. The next one is asked for when the last was taken."""

    def __init__(self, crew: "Crew[Page]", work: Work[Page]) -> None:
        self._crew = crew
        self._work = work
        self.awaited = False
        self.ready: deque[Page | Exception | None] = deque()
        """One at the most; None is the end."""

    def __next__(self) -> Page:
        found = self._crew.taken(self)
        if found is None:
            raise StopIteration
        if isinstance(found, Exception):
            raise found
        return found

    def sleep(self, seconds: float) -> None:
        self._crew.rest(seconds)

    def has_come(self) -> bool:
        return self.awaited

    def await_it(self) -> None:
        self._crew.give_way(self)

    def run(self) -> None:
        """In a thread of the crew."""
        pages, found = self._work(self), None
        while self._crew.admitted(self):
            try:
                found = next(pages, None)
            except StoppedError:
                self._crew.gave_up()
                return
            except Exception as error:
                self._crew.give(self, error)
                return
            self._crew.give(self, found)
            if found is None:
                return


class Crew(Generic[Page]):
    """Threads that ask for pages, so many at once. None outlives the block.

    ``is_enough``: whether nothing is to be asked for ahead while that page, which was just taken, is looked at.
    ``interrupt``: ends what they wait for outside.
    """

    def __init__(self, most: int, is_enough: Callable[[Page], bool], interrupt: Callable[[], None]) -> None:
        self.most = most
        self.failed = False
        self._is_enough = is_enough
        self._interrupt = interrupt
        # One more than there are requests: of parents, who wait for their children to be read.
        self._threads = ThreadPoolExecutor(most + 1, thread_name_prefix="pages")
        self._changed = threading.Condition()
        self._stopped = False
        self._has_enough = False
        self._going = 0
        self._held_bytes = 0
        self._largest_bytes = 0

    def __enter__(self) -> "Crew[Page]":
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            while self._going:
                self._interrupt()
                self._changed.wait(_INTERRUPT_SECONDS)
        self._threads.shutdown()

    def start(self, work: Work[Page]) -> Iterator[Page]:
        lane = Lane(self, work)
        self._threads.submit(copy_context().run, lane.run)
        return lane

    def admitted(self, lane: Lane[Page]) -> bool:
        """Wait until the lane's next page may be asked for; False where nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or (not lane.ready and self._has_room(lane)))
            self._going += not self._stopped
            return not self._stopped

    def give(self, lane: Lane[Page], found: Page | Exception | None) -> None:
        with self._changed:
            self._going -= 1
            lane.ready.append(found)
            if isinstance(found, Exception):
                self.failed = True
            elif found is not None:
                self._held_bytes += found.size_bytes
                self._largest_bytes = max(self._largest_bytes, found.size_bytes)
            self._changed.notify_all()

    def gave_up(self) -> None:
        with self._changed:
            self._going -= 1
            self._changed.notify_all()

    def taken(self, lane: Lane[Page]) -> Page | Exception | None:
        with self._changed:
            lane.awaited = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: lane.ready)
            lane.awaited = False
            found = lane.ready.popleft()
            if found is not None and not isinstance(found, Exception):
                self._held_bytes -= found.size_bytes
                self._has_enough = self._is_enough(found)
            self._changed.notify_all()
            return found

    def rest(self, seconds: float) -> None:
        with self._changed:
            if self._changed.wait_for(lambda: self._stopped, max(seconds, 0.0)):
                raise StoppedError

    def give_way(self, lane: Lane[Page]) -> None:
        with self._changed:
            self._going -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped or (lane.awaited and self._going < self.most))
            self._going += 1
            if self._stopped:
                raise StoppedError

    def _has_room(self, lane: Lane[Page]) -> bool:
        if self._going >= self.most:
            return False
        expected_bytes = self._held_bytes + (self._going + 1) * self._largest_bytes
        return lane.awaited or (not self._has_enough and expected_bytes <= AHEAD_BYTES)


class InTurn:
    """Nobody asks ahead: each page is asked for when it is taken."""

    most = 1
    failed = False

    def start(self, work: Work[Page]) -> Iterator[Page]:
        return work(NOW)


def in_order(
    crew: Crew[Page] | InTurn, lists: Iterable[tuple[Key, Work[Page]]]
) -> Iterator[tuple[Key, Iterator[Page]]]:
    """The pages of several lists, list by list; as many are begun as there may be requests at once.

    What goes wrong in between is raised when all before it was taken, and then nothing more is begun.
    """
    waiting: deque[tuple[Key, Iterator[Page]]] = deque()
    coming, failure, ended = iter(lists), None, False
    while True:
        while not ended and len(waiting) < crew.most and not (waiting and crew.failed):
            try:
                key, work = next(coming)
            except StopIteration:
                ended = True
            except Exception as error:
                failure, ended = error, True
            else:
                waiting.append((key, crew.start(work)))
        if not waiting:
            break
        yield waiting.popleft()
    if failure is not None:
        raise failure
