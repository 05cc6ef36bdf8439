"""One server as a child process: started with a log file, probed until ready, stopped with all it started.

A child lives in a session of its own, so Ctrl-C reaches only the parent, which stops its children in order.
Where the kernel offers it, a child dies with its parent, whatever killed that. The kernel ties this to the
*thread* that started the child: start children from the main thread.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.errors import StartError

_PR_SET_PDEATHSIG = 1
_PROBE_INTERVAL_SECONDS = 0.05
_LOG_TAIL_LINES = 8
_LONG_LOG_BYTES = 50 * 2**20
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The user that a server runs as, where it is not ours."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """What to run, and how to tell that it is ready. ``env`` is the whole environment."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path
    is_ready: Callable[[], bool]
    """Quick, without side effects, false rather than raising."""
    folder: Path = Path("/")
    """Where it runs: what relative paths in its settings start from."""
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """What the child gets when its parent dies."""
    ready_seconds: float = 30
    stop_seconds: float = 20
    """How long a stop may take before the whole group is killed."""


@dataclass
class ChildProcess:
    """A command's process. Not safe to share between threads."""

    command: Command
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _asked: bool = field(default=False, init=False)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs and before it was started; negative: the signal that ended it."""
        return self._process.poll() if self._process else None

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        command = self.command
        command.log_path.parent.mkdir(parents=True, exist_ok=True)
        account = command.account
        _keep_short(command.log_path)
        self._asked = False
        with command.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command.argv,
                env=dict(command.env),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_die_with_parent(command.death_signal),
            )

    def wait_ready(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Return when it is ready, or when the caller has ``given_up``.

        Raises ``StartError`` where it ends first, or where its time is over; it is killed then.
        """
        deadline = time.monotonic() + self.command.ready_seconds
        while not (given_up() or self.command.is_ready()):
            if not self.is_running():
                raise StartError(self.describe_end())
            if time.monotonic() > deadline:
                self.kill()
                raise StartError(
                    f"{self.command.name} was not ready after {self.command.ready_seconds:.0f} s. "
                    f"Its log is {self.command.log_path}."
                )
            time.sleep(_PROBE_INTERVAL_SECONDS)

    def describe_end(self) -> str:
        """One sentence on how it ended, with the end of its log."""
        name, log_path = self.command.name, self.command.log_path
        return f"{name} ended {describe_exit(self.exit_code)}. Its log is {log_path}:\n{_tail(log_path)}"

    def ask_to_stop(self) -> None:
        """Send the stop signal, once, without waiting; does nothing where it has ended."""
        if self._process and self.is_running() and not self._asked:
            self._asked = True
            self._process.send_signal(self.command.stop_signal)

    def stop(self, in_haste: Callable[[], bool] = lambda: False) -> None:
        """Ask it to stop, wait until it has or its time is over, and leave nothing of its group.

        ``in_haste`` is asked again and again: where it turns true, nobody waits any more.
        """
        self.ask_to_stop()
        deadline = time.monotonic() + self.command.stop_seconds
        while self.is_running() and time.monotonic() < deadline and not in_haste():
            time.sleep(_PROBE_INTERVAL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """``kill -9`` of the process and its group; returns when the process is gone."""
        if self._process is None:
            return
        # macOS answers EPERM, not ESRCH, where only a zombie is left of the group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def describe_exit(code: int | None) -> str:
    """``with exit status 1`` or ``by SIGKILL``."""
    if code is not None and code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit status {code}"


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What the child does between fork and exec; after the change of user, which would undo it."""
    libc = _libc
    if libc is None:
        return None
    parent = os.getpid()

    def set_death_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


def _keep_short(log_path: Path) -> None:
    """Put a long log aside, replacing the one that was put aside before."""
    if log_path.exists() and log_path.stat().st_size > _LONG_LOG_BYTES:
        log_path.replace(log_path.with_name(f"{log_path.name}.1"))


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:])
