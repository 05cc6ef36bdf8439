"""Events of some milliseconds go into an inbox as one file, and are safe when that is there.

While all threads are busy a file goes on gathering: the more comes, the larger the files, and the fewer.
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from api.ingress.figures import IngressFigures
from api.ingress.room import Place
from api.ingress.runs import Runs
from lake.inbox import Inbox, InboxEvent, inbox_root
from lake.storage import LakeStore

log = structlog.get_logger(__name__)

MOST_EVENTS = 2_000
MOST_BYTES = 8 * 2**20
"""Of one file, about."""
PUTS_AT_ONCE = 6


class Waiting:
    """A request whose event is on its way into one inbox or several. Its place is free again when that is over."""

    __slots__ = ("_failed", "_inboxes", "_place", "safe")

    def __init__(self, inboxes: int, place: Place) -> None:
        self.safe: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._inboxes = inboxes
        self._place = place
        self._failed = False

    def ended(self, *, ok: bool) -> None:
        """One of the inboxes has it, or may not have it."""
        self._inboxes -= 1
        self._failed = self._failed or not ok
        if self._inboxes == 0:
            self._place.give_back()
            if not self.safe.done():
                self.safe.set_result(not self._failed)


@dataclass
class _File:
    schema_id: str
    events: list[InboxEvent] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    size: int = 0
    queued: bool = False

    @property
    def is_full(self) -> bool:
        return len(self.events) >= MOST_EVENTS or self.size >= MOST_BYTES


class Gatherer:
    """Of the event loop's thread; the puts have threads of their own."""

    def __init__(self, store: LakeStore, runs: Runs, figures: IngressFigures, gather_seconds: float) -> None:
        self._store, self._runs, self._figures = store, runs, figures
        self._gather_seconds = gather_seconds
        self._open: dict[str, _File] = {}
        self._queue: deque[_File] = deque()
        self._threads = ThreadPoolExecutor(PUTS_AT_ONCE, thread_name_prefix="webhook-put")
        self._busy = 0

    def add(self, schema_id: str, event: InboxEvent, waiting: Waiting) -> None:
        file = self._open.get(schema_id)
        if file is None:
            file = self._open[schema_id] = _File(schema_id)
            asyncio.get_running_loop().call_later(self._gather_seconds, self._enqueue, file)
        file.events.append(event)
        file.waiting.append(waiting)
        file.size += len(event.body)
        if file.is_full:
            del self._open[schema_id]
            self._enqueue(file)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _enqueue(self, file: _File) -> None:
        if not file.queued:
            file.queued = True
            self._queue.append(file)
            self._start()

    def _start(self) -> None:
        while self._queue and self._busy < PUTS_AT_ONCE:
            file = self._queue.popleft()
            if self._open.get(file.schema_id) is file:
                del self._open[file.schema_id]
            self._busy += 1
            put = asyncio.get_running_loop().run_in_executor(self._threads, self._put, file)
            put.add_done_callback(lambda done, file=file: self._ended(file, done))  # type: ignore[misc]

    def _put(self, file: _File) -> None:
        """In a thread."""
        Inbox(self._store, inbox_root(file.schema_id)).put(file.events)

    def _ended(self, file: _File, put: asyncio.Future[None]) -> None:
        self._busy -= 1
        self._start()
        error = None if put.cancelled() else put.exception()
        ok = error is None and not put.cancelled()
        self._figures.put(ok=ok)
        if ok:
            self._figures.events.inc(len(file.events))
            self._figures.bytes.inc(file.size)
            self._runs.note(file.schema_id)
        else:
            log.warning("events are not safe", schema_id=file.schema_id, events=len(file.events), reason=repr(error))
        for waiting in file.waiting:
            waiting.ended(ok=ok)
