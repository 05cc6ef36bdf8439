"""Runs as they go on: live bars on a terminal, a line for each finished table elsewhere."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from local.demo.client import DemoClient, DemoError, Json

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 90.0


class Display(Protocol):
    def show(self, table: str, job: Json) -> None: ...


def await_runs(
    client: DemoClient,
    source: Json,
    expected: Mapping[str, int],
    seen: set[str],
    console: Console,
    stop: threading.Event,
) -> dict[str, Json]:
    """The ended job of each expected table, whose job ids are not among ``seen``.

    ``expected``: table to the number of rows that its bar ends at. ``DemoError`` where a run fails or nothing ends.
    """
    ended: dict[str, Json] = {}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with _display(console, expected) as display:
        while len(ended) < len(expected):
            for job in client.jobs(source):
                table = job["schema"]["name"]
                if job["id"] in seen or table not in expected or table in ended:
                    continue
                if job["status"] not in ("Running", "Completed"):
                    raise DemoError(f"The run of {table} ended as {job['status']}: {job['latest_error']}")
                if job["status"] == "Completed":
                    ended[table] = job
                display.show(table, job)
            if stop.wait(0 if len(ended) == len(expected) else _POLL_SECONDS):
                raise DemoError("stopped")
            if time.monotonic() > deadline:
                missing = ", ".join(sorted(set(expected) - set(ended)))
                raise DemoError(f"After {_PATIENCE_SECONDS:.0f} s these runs have not ended: {missing}.")
    return ended


@contextmanager
def _display(console: Console, expected: Mapping[str, int]) -> Iterator[Display]:
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, {name: progress.add_task(name, total=rows) for name, rows in expected.items()})


class _Bars:
    def __init__(self, progress: Progress, tasks: Mapping[str, TaskID]) -> None:
        self._progress = progress
        self._tasks = tasks

    def show(self, table: str, job: Json) -> None:
        total = job["rows_synced"] if job["status"] == "Completed" else None
        self._progress.update(self._tasks[table], completed=job["rows_synced"], total=total)
        if total is not None:
            self._progress.stop_task(self._tasks[table])


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, table: str, job: Json) -> None:
        if job["status"] == "Completed":
            self._console.print(f"  {table:<10} {job['rows_synced']:>9,} rows")
