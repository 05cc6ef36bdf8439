"""A reading transaction: one state of a database, which nothing here ever writes to.

How a file is opened depends on how it is written. Of a database with a rollback journal a reader holds the shared lock.
One with a write-ahead log is read as other readers do while somebody has it open; when nobody has, opening it like
that would leave files beside it, so it is read as a file that does not change, and a change meanwhile ends the read.

An object of a bucket is read as a copy, which does not change.

This process opens database files through SQLite only: to close one that was opened otherwise would take away the locks
that SQLite holds on it. Copies are read without locks.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from connectors.deadline import remaining
from connectors.errors import BusyError, ConfigurationError, SourceError, UnreachableError
from connectors.sqlite.config import DatabaseFile, SqliteConfig, real_path
from connectors.sqlite.copies import copied, outlined
from connectors.sqlite.errors import RETRY_SECONDS, translated

MINIMUM_VERSION = (3, 37, 0)
LOCK_PATIENCE_SECONDS = 5.0
_STEPS_BETWEEN_LOOKS = 20_000
"""Of SQLite's virtual machine, a few milliseconds."""
_CLOCK_SECONDS = 0.1
"""A file that was written twice within a tick of the file system's clock has the same time both times."""
_SETTINGS = ("PRAGMA query_only = ON", "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON")
_LOOK = "SELECT 1 FROM sqlite_schema LIMIT 1"
_LIVE, _STILL = "&readonly_shm=1", "&immutable=1"
"""How a database with a write-ahead log is opened: while another program has it open, and while none has."""


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


class Session:
    """One transaction, which has begun. Raises ``SourceError`` only."""

    def __init__(
        self, connection: sqlite3.Connection, path: str, kept: _Stamp | None, table: str | None, seconds: float | None
    ) -> None:
        self._connection = connection
        self._path = path
        self._kept = kept
        self._table = table
        self._seconds = seconds
        self._until: float | None = None
        connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a small query, texts as Python's."""
        with self._failures():
            self._connection.text_factory = str
            return self._connection.execute(sql, values).fetchall()

    def chunks(self, sql: str, values: Sequence[Any], most_rows: Iterable[int]) -> Iterator[list[tuple[Any, ...]]]:
        """Rows in the order of the query, as many at once as ``most_rows`` says each time.

        A text is a ``bytearray`` in UTF-8, valid or not, and so never taken for a blob.
        """
        with self._failures():
            cursor = self._connection.execute(sql, values)
            for count in most_rows:
                self._connection.text_factory = bytearray
                rows = cursor.fetchmany(count)
                if not rows:
                    return
                yield rows

    def check_steady(self) -> None:
        """``BusyError`` where the file was replaced, or changed in a way that locks rule out: what was read is nothing.

        To be asked when all is read.
        """
        if self._kept is not None and self._kept != _Stamp.of(self._path):
            raise _changed()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        self._until = None if self._seconds is None else time.monotonic() + self._seconds
        try:
            yield
        except sqlite3.Error as error:
            self.check_steady()
            if self._is_late() and remaining() is not None:
                raise UnreachableError("The source did not answer in time.") from error
            raise translated(error, self._table) from error

    def _is_late(self) -> bool:
        return self._until is not None and time.monotonic() > self._until


@contextmanager
def transaction(
    config: SqliteConfig, table: str | None = None, seconds: float | None = None, *, rows: bool = True
) -> Iterator[Session]:
    """A session. ``table``: what is to be read, for the errors; ``seconds``: what a statement of it may take.

    Without ``rows`` it may look at what the database says of its tables only, which costs little however large it is.
    """
    if sqlite3.sqlite_version_info < MINIMUM_VERSION:
        raise ConfigurationError("Syncline needs SQLite 3.37 or later, which this server's Python comes without.")
    with _located(config, rows) as path:
        left = remaining()
        if left is not None:
            seconds = min(left, seconds or left)
        try:
            before, parameters = _way_in(path) if isinstance(config, DatabaseFile) else (_Stamp.of(path), _STILL)
            with closing(_connect(path, parameters)) as connection:
                kept = _begun(connection, path, before, parameters)
                yield Session(connection, path, kept, table, seconds)
        except sqlite3.Error as error:
            raise translated(error, table) from error


def _located(config: SqliteConfig, rows: bool) -> AbstractContextManager[str]:
    """The path of the file to open."""
    if isinstance(config, DatabaseFile):
        return nullcontext(real_path(config))
    return copied(config) if rows else outlined(config)


def _way_in(path: str) -> tuple[_Stamp, str]:
    """How to open the file, and its stamp before that."""
    if not _has_log(path):
        return _Stamp.of(path), ""
    if _is_open_elsewhere(path):
        return _Stamp.of(path), _LIVE
    return _settled(path), _STILL


def _begun(connection: sqlite3.Connection, path: str, before: _Stamp, parameters: str) -> _Stamp | None:
    """Begin the transaction; the stamp that the file must keep to its end, where there is one to keep."""
    for setting in _SETTINGS:
        connection.execute(setting)
    connection.execute("BEGIN")
    connection.execute(_LOOK).fetchall()
    now = _Stamp.of(path)
    if os.path.realpath(path) != path or not now.is_same_file(before):
        raise _changed()
    if parameters == _LIVE:
        # What is moved out of the log into the file during the read is not what the read looks at.
        return None
    return before if parameters == _STILL else now


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
