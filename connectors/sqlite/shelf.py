"""Private copies in the temporary folder of this machine, shared by the processes of this account.

A copy is made by the one process that holds its place alone, as a file without a name where the system has such files,
and is read-only from then on: that marks it as whole. Locks end with the process that holds them, so what is there
without a lock is in nobody's use, and what is not whole then was left by a process that was killed. Everybody who
comes or goes removes such, and of the whole ones those that nobody came for in an hour, or that take more than their
share of the disk.
"""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from connectors.deadline import remaining
from connectors.errors import SourceError

KEPT_SECONDS = 3600.0
KEPT_SHARE = 4
"""Copies are kept for later while all of them take one part in so many of the room that there is."""
RESERVE_BYTES = 2**28
"""What copies leave free."""
_LOOK_SECONDS = 0.05
_BLOCK_BYTES = 512

Writer = Callable[[int], None]
"""Writes the content to an open, empty file."""


@contextmanager
def shelved(name: str, size: int, write: Writer) -> Iterator[str]:
    """The path of the whole copy of this name, for as long as the context lasts; it is made where there is none.

    Whoever comes while another process makes it waits. ``SourceError`` where there is no room for it.
    """
    with disk_failures(size):
        path = _folder() / name
        descriptor = _held(path, size, write)
    try:
        yield str(path)
    finally:
        with suppress(OSError):
            os.utime(descriptor, ns=(time.time_ns(), os.fstat(descriptor).st_mtime_ns))
        os.close(descriptor)
        with suppress(OSError):
            tidy()


@contextmanager
def scratch(size: int) -> Iterator[tuple[str, int]]:
    """The path and the descriptor of an empty, sparse file of that size, which goes with the context."""
    with disk_failures(size):
        tidy()
        path = _folder() / f"scratch-{uuid4().hex}"
        descriptor = _alone(path)
    try:
        with disk_failures(size):
            os.ftruncate(descriptor, size)
        yield str(path), descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def tidy(needed_bytes: int = 0) -> None:
    """Remove what nobody uses and what is not to be kept; and more, where so much room is needed."""
    folder = _folder()
    entries = sorted(_entries(folder), key=lambda entry: entry[1].st_atime_ns)
    kept = sum(found.st_blocks * _BLOCK_BYTES for _, found in entries)
    for path, found in entries:
        free = shutil.disk_usage(folder).free
        unused_seconds = time.time() - found.st_atime_ns / 1e9
        crowded = kept > (free + kept) // KEPT_SHARE or free < needed_bytes + RESERVE_BYTES
        if (crowded or unused_seconds > KEPT_SECONDS or not _is_whole(found)) and _removed(path):
            kept -= found.st_blocks * _BLOCK_BYTES


def _held(path: Path, size: int, write: Writer) -> int:
    """The descriptor of the whole copy, by which nobody can remove it."""
    while True:
        descriptor = _opened(path)
        try:
            if not _is_whole(os.fstat(descriptor)) and _owned(descriptor, path, fcntl.LOCK_EX):
                descriptor = _made(descriptor, path, size, write)
            if _is_whole(os.fstat(descriptor)) and _owned(descriptor, path, fcntl.LOCK_SH):
                return descriptor
            left = remaining()
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(_LOOK_SECONDS if left is None else min(_LOOK_SECONDS, left))


def _made(placeholder: int, path: Path, size: int, write: Writer) -> int:
    """The descriptor of the whole copy, which takes the place of the one that is held for it."""
    if _is_whole(os.fstat(placeholder)):
        return placeholder
    try:
        tidy(size)
        if shutil.disk_usage(path.parent).free < size + RESERVE_BYTES:
            raise _no_room(size)
        unnamed = _unnamed(path.parent)
        if unnamed is None:
            _fill(placeholder, size, write)
            return placeholder
        try:
            _fill(unnamed, size, write)
            fcntl.flock(unnamed, fcntl.LOCK_SH)
            _put(unnamed, path)
        except BaseException:
            os.close(unnamed)
            raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    os.close(placeholder)
    return unnamed


def _fill(descriptor: int, size: int, write: Writer) -> None:
    os.ftruncate(descriptor, 0)
    if size:
        # Whoever else comes now sees what is left.
        os.posix_fallocate(descriptor, 0, size)
    write(descriptor)
    os.fsync(descriptor)
    os.fchmod(descriptor, stat.S_IRUSR)


def _unnamed(folder: Path) -> int | None:
    """A new file without a name, which goes with the process unless it gets one; None where there are no such files."""
    if not hasattr(os, "O_TMPFILE") or not Path("/proc/self/fd").exists():
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            return None
        raise


def _put(unnamed: int, path: Path) -> None:
    """Give it the name of another file, which loses it."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        between = uuid4().hex
        os.link(f"/proc/self/fd/{unnamed}", between, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
        os.rename(between, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def _alone(path: Path) -> int:
    """The descriptor of a new file, by which nobody can remove it."""
    while True:
        descriptor = _opened(path)
        if _owned(descriptor, path, fcntl.LOCK_EX):
            return descriptor
        os.close(descriptor)


@contextmanager
def disk_failures(size: int) -> Iterator[None]:
    """Around what writes a copy of that size."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _no_room(size) from error
        raise SourceError("The server's temporary folder cannot be used: its operator has to look at it.") from error


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            yield path, path.lstat()


def _removed(path: Path) -> bool:
    """Whether it is gone; what somebody uses stays."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        owned = _owned(descriptor, path, fcntl.LOCK_EX)
        if owned:
            path.unlink()
        return owned
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """For reading, and for writing unless it is whole; it is made where there is none."""
    while True:
        with suppress(PermissionError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _owned(descriptor: int, path: Path, lock: int) -> bool:
    """Whether the lock was to be had at once, on a file that nobody has removed meanwhile."""
    try:
        fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _is_whole(found: os.stat_result) -> bool:
    return not found.st_mode & stat.S_IWUSR


def _folder() -> Path:
    """Of this account alone: in a temporary folder anybody may have put something in its way."""
    folder = Path(tempfile.gettempdir()).resolve() / f"syncline-sqlite-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SourceError(
            f"In the server's temporary folder {folder.name} belongs to others: its operator has to remove it."
        )
    return folder


def _no_room(size: int) -> SourceError:
    return SourceError(
        f"The server's temporary folder has no room for the database's {size / 1e9:,.1f} GB: its operator can give it "
        "more."
    )
