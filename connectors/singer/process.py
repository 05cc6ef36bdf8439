"""A tap as a process: what it is given, what it prints, and how it ends."""

import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from connectors import deadline
from connectors.errors import ConfigurationError
from connectors.singer import keeper
from connectors.singer.config import SingerConfig
from connectors.singer.errors import BadTapError, TapFailedError
from connectors.singer.said import Said

SILENCE_SECONDS = 1800.0
"""After which a tap that prints nothing is ended."""
MOST_LINE_BYTES = 2**25
END_SECONDS = 10.0
_READ_BYTES = 2**18
_PREFIX = "syncline-tap-"
_FRESH_SECONDS = 60
_GIVEN = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Of our own environment."""


class RunningTap:
    """Its output. When its lines are over it has ended well; else there was an error."""

    def __init__(self, config: SingerConfig, process: subprocess.Popen[bytes], said: Said) -> None:
        self._name = config.tap
        self._process = process
        self._said = said

    @property
    def said(self) -> tuple[str, ...]:
        """The last lines of its standard error, without secrets."""
        return self._said.kept

    def lines(self) -> Iterator[bytes]:
        """Without their ends. Raises ``TapFailedError``, ``BadTapError``, ``UnreachableError`` past a deadline."""
        held: list[bytes] = []
        size = 0
        for chunk in self._chunks():
            first, *others = chunk.split(b"\n")
            held.append(first)
            size += len(first)
            for each in others:
                yield b"".join(held)
                held, size = [each], len(each)
            if size > MOST_LINE_BYTES:
                raise BadTapError(f"The tap {self._name} wrote a line of more than {MOST_LINE_BYTES >> 20} MB.")
        self._check_end()
        if size:
            yield b"".join(held)

    def _chunks(self) -> Iterator[bytes]:
        output, messages = self._process.stdout, self._process.stderr
        assert output is not None
        assert messages is not None
        with selectors.DefaultSelector() as selector:
            for each in (output, messages):
                selector.register(each, selectors.EVENT_READ)
            while selector.get_map():
                for key in self._ready(selector):
                    chunk = os.read(key.fd, _READ_BYTES)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is messages:
                        self._said.add(chunk)
                    else:
                        yield chunk
        self._said.end()

    def _ready(self, selector: selectors.BaseSelector) -> list[selectors.SelectorKey]:
        until = time.monotonic() + SILENCE_SECONDS
        while True:
            left = deadline.remaining()
            silence = until - time.monotonic()
            if silence <= 0:
                raise TapFailedError(
                    f"The tap {self._name} printed nothing for {SILENCE_SECONDS / 60:.0f} minutes and was ended."
                )
            if found := selector.select(silence if left is None else min(silence, left)):
                return [key for key, _ in found]

    def _check_end(self) -> None:
        code = self._process.wait()
        if code == 0:
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with the exit status {code}"
        last = self._said.quoted()
        raise TapFailedError(f"The tap {self._name} {how}{f', after it had said: {last}' if last else ''}.")


@contextmanager
def running(
    config: SingerConfig, flags: tuple[str, ...], files: Mapping[str, str], stream: str | None = None
) -> Iterator[RunningTap]:
    """Start the tap with its configuration and these files, each by the option of that name.

    At the end of the block nothing of it is left: no process, no file. Nor is there when this process is killed.
    """
    program = _program(config)
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        command = [program, *flags]
        for name, text in {"config": config.config, **files}.items():
            path = folder / f"{name}.json"
            with open(path, "w", encoding="utf-8", opener=_privately) as file:
                file.write(text)
            command += [f"--{name}", str(path)]
        process = _started(command, folder, lock)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(lock)
    try:
        yield RunningTap(config, process, Said(config, stream))
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _started(command: list[str], folder: Path, lock: int) -> subprocess.Popen[bytes]:
    """The keeper holds the lock for as long as the tap runs."""
    keeping = [sys.executable, "-I", "-S", str(keeper.__file__), str(folder), str(os.getpid())]
    return subprocess.Popen(
        [*keeping, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=_environment(folder),
        pass_fds=(lock,),
        umask=0o077,
    )


def _environment(folder: Path) -> dict[str, str]:
    own = {name: os.environ[name] for name in _GIVEN if name in os.environ}
    return {**own, "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONUTF8": "1"}


def _program(config: SingerConfig) -> str:
    found = shutil.which(config.program)
    if found is None:
        raise ConfigurationError(
            f"The tap {config.tap} is not installed where it is to run: ask the operator of this installation.",
            attr="tap",
        )
    return str(Path(found).absolute())


def _end(process: subprocess.Popen[bytes]) -> None:
    """The keeper ends the tap with all that it started; only where it does not, is it killed itself."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for each in (process.stdout, process.stderr):
        _close(each)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL, 0o600)


def _sweep() -> None:
    """Remove what a machine that went down has left: folders that are in nobody's use."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid != os.getuid() or time.time() - folder.stat().st_mtime < _FRESH_SECONDS:
                continue
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
