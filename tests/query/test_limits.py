"""Limits of time, memory, bytes and number, each run into by a real query, and that nothing is left of it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from query.errors import (
    QueriesBusyError,
    QueryAbandonedError,
    QueryError,
    QueryMemoryError,
    QueryTimeoutError,
    ResultTooLargeError,
)
from query.messages import Format, QueryLimits
from query.runner import Answer
from tests.kit.platform import eventually
from tests.query import hostile
from tests.query.conftest import Project, project_with

LIMITS = QueryLimits(seconds=4, memory_mb=512, result_bytes=2**20)
ENDLESS = hostile.ENDLESS[1]


_elsewhere: set[int] = set()
"""Processes of the queries of other tests' installations."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    _elsewhere.update(children())
    with project_with(tmp_path_factory.mktemp("small"), LIMITS) as project:
        yield project


def children() -> set[int]:
    """The processes of queries, those that wait for one too."""
    found = {process.pid for process in psutil.Process().children() if "query.child" in command(process)}
    return found - _elsewhere


def command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("sql", hostile.ENDLESS)
def test_time(small: Project, sql: str) -> None:
    before = time.monotonic()
    with pytest.raises((QueryTimeoutError, QueryMemoryError)) as caught:
        small.ask(sql)
    assert time.monotonic() - before < LIMITS.seconds + 3
    assert caught.value.code in ("query_timeout", "query_memory")
    eventually(lambda: len(children()) == 1, "none but the one that waits for the next query")


def test_the_endless_query_ends_by_time(small: Project) -> None:
    with pytest.raises(QueryTimeoutError, match="longer than 4 seconds"):
        small.ask(ENDLESS)


@pytest.mark.parametrize("sql", hostile.BOMBS)
def test_memory(small: Project, sql: str) -> None:
    """Refused by the engine, by the system, or killed; the next query is answered."""
    peak = 0
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.02):
            for pid in children():
                try:
                    used = psutil.Process(pid).memory_info()
                except psutil.NoSuchProcess:
                    continue
                peak = max(peak, used.rss - used.shared)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with pytest.raises(QueryError) as caught:
            small.ask(sql)
    finally:
        stop.set()
        watcher.join()
    assert caught.value.code in ("query_memory", "query_timeout", "invalid_query")
    assert peak < 2 * LIMITS.memory_mb * 2**20
    assert small.ask("select 1")[1].row_count == 1


def test_bytes_of_the_answer(small: Project) -> None:
    for format in (Format.JSON, Format.CSV, Format.ARROW):
        with pytest.raises(ResultTooLargeError):
            small.ask("select repeat('x', 1000) || range from range(2000)", 10_000, format)
        assert len(small.ask("select repeat('x', 1000) from range(900)", 10_000, format)[0]) < 2**20


def test_queries_at_once(small: Project) -> None:
    stop = threading.Event()
    abandoned: list[str] = []

    def run() -> None:
        try:
            small.runner.run(ENDLESS, 1, Format.JSON, small.resolve, lambda: not stop.is_set())
        except QueryAbandonedError:
            abandoned.append("yes")

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(children()) >= 2, "both queries")
    with pytest.raises(QueriesBusyError):
        small.ask("select 1")
    stop.set()
    for thread in threads:
        thread.join()
    assert abandoned == ["yes", "yes"]
    assert small.ask("select 1")[1].row_count == 1


def test_nobody_waits_any_more(small: Project) -> None:
    """The process is gone within a moment, long before its time is up."""
    began = time.monotonic()
    with pytest.raises(QueryAbandonedError):
        small.runner.run(ENDLESS, 1, Format.JSON, small.resolve, lambda: time.monotonic() < began + 0.5)
    assert time.monotonic() - began < 2
    # The one that waits for the next query may still be about to become one of them.
    eventually(lambda: len(children()) == 1, "just the process that waits")


def test_a_child_that_is_killed_is_an_error_and_not_an_answer(small: Project) -> None:
    answers: list[Answer | QueryError] = []

    def run() -> None:
        try:
            answers.append(small.runner.run(ENDLESS, 1, Format.JSON, small.resolve))
        except QueryError as error:
            answers.append(error)

    waiting = children()
    thread = threading.Thread(target=run)
    thread.start()
    victims = eventually(lambda: {pid for pid in children() if cpu_seconds(pid) > 0.7}, "the query at work", 4)
    assert victims & (waiting or victims)
    for pid in victims:
        psutil.Process(pid).kill()
    thread.join()
    assert isinstance(answers[0], QueryError)
    assert small.ask("select 1")[1].row_count == 1


def test_a_spare_that_died_is_replaced(small: Project) -> None:
    small.ask("select 1")
    for pid in children():
        psutil.Process(pid).kill()
    eventually(lambda: not children(), "the end of it")
    assert small.ask("select 2")[1].row_count == 1


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    # A child that another test's project has just started may still be about to become one of ``children``.
    before = {process.pid for process in psutil.Process().children()}
    with project_with(tmp_path, LIMITS) as project:
        project.ask("select 1")
        eventually(lambda: children() - before, "a process that waits for a query")
    assert children() <= before


def cpu_seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return float(times.user + times.system)
