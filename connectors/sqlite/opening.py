"""How a database is opened, and how it is known to stay as it is while it is read. Nothing here ever writes to one.

How a file is opened depends on how it is written. Of a database with a rollback journal a reader holds the shared lock.
One with a write-ahead log is read as other readers do while somebody has it open; when nobody has, opening it like
that would leave files beside it, so it is read as a file that does not change, and a change meanwhile ends the read.

This process opens database files through SQLite only: to close one that was opened otherwise would take away the locks
that SQLite holds on it. Private copies are read without locks.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from connectors.deadline import remaining
from connectors.errors import BusyError, SourceError
from connectors.sqlite.errors import RETRY_SECONDS

LOCK_PATIENCE_SECONDS = 5.0
_CLOCK_SECONDS = 0.1
"""A file that was written twice within a tick of the file system's clock has the same time both times."""
_SETTINGS = ("PRAGMA query_only = ON", "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON")
_LOOK = "SELECT 1 FROM sqlite_schema LIMIT 1"
_LIVE, _STILL = "&readonly_shm=1", "&immutable=1"
"""How a database with a write-ahead log is opened: while another program has it open, and while none has."""
_FORMATS, _WITHOUT_LOG = slice(18, 20), b"\1\1"
"""Where a database's header says how it is written and read."""


@dataclass(frozen=True)
class _Stamp:
    """What changes with a file's content, as far as the file system tells."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: str) -> "_Stamp":
        try:
            found = os.stat(path)
        except OSError as error:
            raise _changed() from error
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def is_same_file(self, other: "_Stamp") -> bool:
        return (self.device, self.inode) == (other.device, other.inode)


@dataclass(frozen=True)
class Opened:
    """A connection on which a transaction has begun. ``kept``: what a file must keep to its end, if it must."""

    connection: sqlite3.Connection
    path: str = ""
    kept: _Stamp | None = None

    def check_steady(self) -> None:
        """``BusyError`` where the file was replaced, or changed in a way that locks rule out."""
        if self.kept is not None and self.kept != _Stamp.of(self.path):
            raise _changed()


@contextmanager
def opened_file(path: str) -> Iterator[Opened]:
    """A file that other programs may write to. Raises ``sqlite3.Error`` as well, as the others here."""
    before, parameters = _way_in(path)
    with closing(_connect(path, parameters)) as connection:
        _begin(connection)
        now = _Stamp.of(path)
        if os.path.realpath(path) != path or not now.is_same_file(before):
            raise _changed()
        if parameters == _LIVE:
            # What is moved out of the log into the file during the read is not what the read looks at.
            yield Opened(connection)
        else:
            yield Opened(connection, path, before if parameters == _STILL else now)


@contextmanager
def opened_copy(path: str) -> Iterator[Opened]:
    """A file that nobody writes to."""
    with closing(_connect(path, _STILL)) as connection:
        _begin(connection)
        yield Opened(connection)


@contextmanager
def opened_content(content: bytearray) -> Iterator[Opened]:
    """A database of this content, which it takes over."""
    # In memory there is no write-ahead log: the header must not ask for one.
    content[_FORMATS] = _WITHOUT_LOG
    with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as connection:
        connection.deserialize(content)
        content.clear()
        _begin(connection)
        yield Opened(connection)


def _begin(connection: sqlite3.Connection) -> None:
    for setting in _SETTINGS:
        connection.execute(setting)
    connection.execute("BEGIN")
    connection.execute(_LOOK).fetchall()


def _way_in(path: str) -> tuple[_Stamp, str]:
    """How to open the file, and its stamp before that."""
    if not _has_log(path):
        return _Stamp.of(path), ""
    if _is_open_elsewhere(path):
        return _Stamp.of(path), _LIVE
    return _settled(path), _STILL


def _connect(path: str, parameters: str) -> sqlite3.Connection:
    left = remaining()
    patience = LOCK_PATIENCE_SECONDS if left is None else min(LOCK_PATIENCE_SECONDS, left / 2)
    # The thread that opens a read need not be the one that takes its rows.
    return sqlite3.connect(
        f"file:{quote(path)}?mode=ro{parameters}",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )


def _has_log(path: str) -> bool:
    """Whether the database has a write-ahead log: without locks SQLite refuses to open one, and touches nothing.

    What is wrong with a file shows better once there is a lock on it.
    """
    with closing(_connect(path, "&nolock=1")) as connection:
        try:
            connection.execute(_LOOK).fetchall()
        except sqlite3.Error as error:
            return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN
    return False


def _is_open_elsewhere(path: str) -> bool:
    """Whether the files are there that the programs share which have the database open, or had when they crashed."""
    log = Path(f"{path}-wal")
    if log.exists() and Path(f"{path}-shm").exists():
        return True
    try:
        holds_rows = log.stat().st_size > 0
    except FileNotFoundError:
        return False
    if holds_rows:
        raise BusyError(
            "The newest rows of the database lie in a write-ahead log that nobody has open: open and close the "
            "database once with the program that writes it.",
            retry_after_seconds=RETRY_SECONDS,
        )
    return False


def _settled(path: str) -> _Stamp:
    """The stamp of a file whose next change will show in it."""
    stamp = _Stamp.of(path)
    if time.time() - stamp.modified_ns / 1e9 >= _CLOCK_SECONDS:
        return stamp
    time.sleep(_CLOCK_SECONDS)
    return _Stamp.of(path)


def _changed() -> SourceError:
    return BusyError("The database file was replaced or changed while it was read.", retry_after_seconds=RETRY_SECONDS)
