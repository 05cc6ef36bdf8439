"""Runs a tap, and leaves nothing of it: a program of its own, beside each tap.

The process that reads may be killed at any time, and a tap may start processes that it does not end. When the tap or
the reader has ended, or on SIGTERM, this one kills whatever the tap has started, removes the folder that was made for
it, and ends as the tap did. It needs the standard library only.
"""

import ctypes
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def main(folder: str, reader: int, command: list[str]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    kernel = ctypes.CDLL(None)
    # Orphans of the tap become children of this process.
    kernel.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    status = None
    if os.getppid() == reader:
        status = _attended(_started(kernel, command))
    _end_all()
    shutil.rmtree(folder, ignore_errors=True)
    _end_as(status)


def _started(kernel: ctypes.CDLL, command: list[str]) -> int:
    keeper = os.getpid()
    tap = os.fork()
    if tap:
        return tap
    os.setsid()
    os.closerange(3, 256)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if os.getppid() == keeper:
        try:
            os.execv(command[0], command)  # noqa: S606 - the operator's program, without a shell
        except OSError as error:
            os.write(2, f"the program cannot be started: {error.strerror}\n".encode())
    os._exit(127)


def _attended(tap: int) -> int | None:
    """How the tap ended; None where it is to be ended."""
    while signal.sigwait(SIGNALS) == signal.SIGCHLD:
        with suppress(ChildProcessError):
            while True:
                ended, status = os.waitpid(-1, os.WNOHANG)
                if ended == tap:
                    return status
                if not ended:
                    break
    return None


def _end_all() -> None:
    """Children of a child that is killed are found in the next round."""
    while found := _children():
        for child in found:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _children() -> list[int]:
    """Also those that have ended and nobody has waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = path.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(path.parent.name))
    return found


def _end_as(status: int | None) -> None:
    if status is None:
        os._exit(1)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 255)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
