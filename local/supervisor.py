"""Keeps a set of child processes running: names the one that dies, starts it again, stops all of them in order."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from local.process import ChildProcess, Command, describe_exit

_TICK_SECONDS = 0.1
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 15.0
_STEADY_SECONDS = 60.0
"""Whoever ran this long is trusted again: its next restart comes without delay."""


@dataclass
class _Watched:
    child: ChildProcess
    stage: int
    started_at: float
    ready: bool = False
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Belongs to the thread that made it, which must be the main thread. ``stop`` ends every wait."""

    def __init__(self, say: Callable[[str], None], stop: Event, in_haste: Event) -> None:
        self._say = say
        self._stop = stop
        self._in_haste = in_haste
        self._watched: list[_Watched] = []

    def start(self, command: Command, *, stage: int) -> None:
        """Start it, without waiting. A later stage is stopped first; one stage is stopped all at once."""
        child = ChildProcess(command)
        child.start()
        self._watched.append(_Watched(child, stage, time.monotonic()))

    def wait_ready(self) -> None:
        """Until all that were started are ready, or until the stop. ``StartError`` where one of them fails."""
        for watched in self._watched:
            if not watched.ready:
                watched.child.wait_ready(self._stop.is_set)
                watched.ready = True

    def watch(self) -> None:
        """Until the stop: say who died, start it again on a growing delay, say when it is back."""
        while not self._stop.wait(_TICK_SECONDS):
            for watched in self._watched:
                self._look_after(watched)

    def stop_all(self) -> None:
        """Leave no process."""
        for stage in sorted({watched.stage for watched in self._watched}, reverse=True):
            children = [watched.child for watched in self._watched if watched.stage == stage]
            for child in children:
                child.ask_to_stop()
            for child in children:
                child.stop(self._in_haste.is_set)

    def _look_after(self, watched: _Watched) -> None:
        child, now = watched.child, time.monotonic()
        if watched.restart_at is not None:
            if now >= watched.restart_at:
                self._restart(watched)
        elif not child.is_running():
            self._plan_restart(watched, f"ended {describe_exit(child.exit_code)}")
        elif not watched.ready and child.command.is_ready():
            watched.ready = True
            self._say(f"{child.command.name} is ready again")
        elif not watched.ready and now > watched.started_at + child.command.ready_seconds:
            self._plan_restart(watched, f"was not ready after {child.command.ready_seconds:.0f} s")

    def _plan_restart(self, watched: _Watched, reason: str) -> None:
        """What is left of its group goes now, so that the next one finds its ports free."""
        watched.child.kill()
        now = time.monotonic()
        steady = watched.ready and now - watched.started_at > _STEADY_SECONDS
        watched.failures = 0 if steady else watched.failures + 1
        delay = min(_FIRST_DELAY_SECONDS * 2 ** max(watched.failures - 1, 0), _LONGEST_DELAY_SECONDS)
        watched.restart_at = now + delay
        command = watched.child.command
        self._say(f"{command.name} {reason}; starting it again in {delay:.1f} s (log: {command.log_path})")

    def _restart(self, watched: _Watched) -> None:
        watched.restart_at = None
        watched.ready = False
        watched.child.start()
        watched.started_at = time.monotonic()
