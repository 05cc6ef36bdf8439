"""Running queries, each in a child process of its own that can be killed.

A child takes most of a second to start and a moment to answer, so after the first query one waits in advance for the
next. The answer is gathered here until it is whole: nobody ever gets the beginning of one that fails.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import psutil
import structlog

from connectors.errors import SourceError
from connectors.registry import connector
from lake.storage import LakeStore
from query.errors import (
    BY_CODE,
    QueriesBusyError,
    QueryAbandonedError,
    QueryError,
    QueryMemoryError,
    QueryTimeoutError,
    ResultTooLargeError,
)
from query.messages import Format, Kind, LiveTable, NamedTable, Order, QueryLimits, Summary

POLL_SECONDS = 0.1
IN_MEMORY_BYTES = 2**20
_CODE_FOLDER = str(Path(__file__).resolve().parent.parent)
_PASSED_ON = ("AWS_", "SSL_CERT_")
"""What the lake's clients may need where it has no keys of its own. SQL cannot read an environment."""

Resolve = Callable[[list[str]], list[NamedTable]]
"""From the names in a query, in lower case, to the project's tables; ``QueryError`` where there is no such table."""

log = structlog.get_logger(__name__)


@dataclass
class Answer:
    """A whole answer. ``body`` stands at its beginning and must be closed."""

    body: IO[bytes]
    summary: Summary


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    connection: Connection

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()


@dataclass
class QueryRunner:
    """At most ``most_at_once`` queries run; others get ``QueriesBusyError``. Thread-safe."""

    store: LakeStore
    limits: QueryLimits
    most_at_once: int
    most_rows: int
    _slots: threading.BoundedSemaphore = field(init=False)
    _spare: _Child | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._slots = threading.BoundedSemaphore(self.most_at_once)

    def run(
        self, sql: str, rows: int, format: Format, resolve: Resolve, is_wanted: Callable[[], bool] = lambda: True
    ) -> Answer:
        """The whole answer, or ``QueryError``. ``QueryAbandonedError`` once ``is_wanted`` says no."""
        order = Order(sql, min(rows, self.most_rows), format, self.limits, self.store)
        with self._slot(), self._child() as child:
            return _Attendance(child, order, resolve, is_wanted).answer()

    def close(self) -> None:
        """End the child that waits."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.end()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(blocking=False):
            raise QueriesBusyError
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def _child(self) -> Iterator[_Child]:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None and spare.process.poll() is not None:
            spare.end()
            spare = None
        child = spare or _start()
        try:
            yield child
        finally:
            child.end()
            self._keep_one_ready()

    def _keep_one_ready(self) -> None:
        with self._lock:
            if self._spare is None:
                self._spare = _start()


class _Attendance:
    """One query: talks with its child, watches its limits."""

    def __init__(self, child: _Child, order: Order, resolve: Resolve, is_wanted: Callable[[], bool]) -> None:
        self._child = child
        self._order = order
        self._resolve = resolve
        self._is_wanted = is_wanted
        self._deadline = time.monotonic() + order.limits.seconds
        self._live: list[LiveTable] = []

    def answer(self) -> Answer:
        body = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
        try:
            self._send(self._order)
            summary = self._attend(body)
        except BaseException as error:
            body.close()
            self._child.process.kill()
            if not isinstance(error, QueryError) or isinstance(error, QueryTimeoutError | QueryMemoryError):
                self._stop_sources()
            raise
        body.seek(0)
        return Answer(body, summary)

    def _attend(self, body: IO[bytes]) -> Summary:
        size = 0
        while True:
            kind, content = self._next()
            if kind == Kind.TABLES:
                tables = self._resolve(json.loads(content))
                self._live = [table for table in tables if isinstance(table, LiveTable)]
                self._send(tables)
            elif kind == Kind.DATA:
                size += len(content)
                if size > self._order.limits.result_bytes:
                    raise ResultTooLargeError("The answer is too large.")
                body.write(content)
            elif kind == Kind.END:
                return Summary(**json.loads(content))
            else:
                failure = json.loads(content)
                if failure["cause"]:
                    log.info("query failed", code=failure["code"], cause=failure["cause"])
                raise BY_CODE.get(failure["code"], QueryError)(failure["message"])

    def _send(self, message: Any) -> None:
        try:
            self._child.connection.send_bytes(pickle.dumps(message))
        except OSError as error:
            raise self._died() from error

    def _next(self) -> tuple[str, bytes]:
        while not self._child.connection.poll(min(POLL_SECONDS, max(0, self._deadline - time.monotonic()))):
            self._check_limits()
        self._check_limits()
        try:
            message = self._child.connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._died() from error
        return chr(message[0]), message[1:]

    def _check_limits(self) -> None:
        if time.monotonic() > self._deadline:
            raise QueryTimeoutError(f"The query took longer than {self._order.limits.seconds:g} seconds.")
        if self._memory_used() > self._order.limits.memory_mb * 2**20:
            raise QueryMemoryError(f"The query needs more than {self._order.limits.memory_mb} MB of memory.")
        if not self._is_wanted():
            raise QueryAbandonedError

    def _memory_used(self) -> int:
        try:
            used = psutil.Process(self._child.process.pid).memory_info()
        except psutil.NoSuchProcess:
            return 0
        return int(used.rss - used.shared)

    def _died(self) -> QueryError:
        code = self._child.process.wait()
        log.warning("a query's process died", exit_code=code)
        return QueryMemoryError("The query needed more than it may use, and its process ended.")

    def _stop_sources(self) -> None:
        """The child is dead; what it was asking of a source may go on there until somebody says stop."""
        reads = {(table.source_type, table.read_id): table for table in self._live}
        for table in reads.values():
            threading.Thread(target=_stop_source, args=(table,), daemon=True).start()


def _stop_source(table: LiveTable) -> None:
    try:
        connector(table.source_type).cancel(table.config, table.read_id)
    except SourceError as error:
        log.warning("a source could not be told to stop a query", error=error.message)


def _start() -> _Child:
    ours, theirs = Pipe()
    environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    environment |= {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": _CODE_FOLDER,
        "HOME": "/nonexistent",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "query.child", str(theirs.fileno())],
        env=environment,
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    theirs.close()
    return _Child(process, ours)
