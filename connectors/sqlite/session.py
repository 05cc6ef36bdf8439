"""A reading transaction: one state of a database, wherever it lies. An object of a bucket is read as a copy."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from connectors.deadline import remaining
from connectors.errors import ConfigurationError, UnreachableError
from connectors.sqlite.config import DatabaseFile, SqliteConfig, real_path
from connectors.sqlite.copies import copied, outlined
from connectors.sqlite.errors import translated
from connectors.sqlite.opening import Opened, opened_content, opened_copy, opened_file

MINIMUM_VERSION = (3, 37, 0)
_STEPS_BETWEEN_LOOKS = 20_000
"""Of SQLite's virtual machine, a few milliseconds."""


class Session:
    """One transaction, which has begun. Raises ``SourceError`` only."""

    def __init__(self, opened: Opened, table: str | None, seconds: float | None) -> None:
        self._opened = opened
        self._connection = opened.connection
        self._table = table
        self._seconds = seconds
        self._until: float | None = None
        self._connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)

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
        self._opened.check_steady()

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
    with _located(config, rows) as place:
        left = remaining()
        if left is not None:
            seconds = min(left, seconds or left)
        try:
            with _opened(config, place) as opened:
                yield Session(opened, table, seconds)
        except sqlite3.Error as error:
            raise translated(error, table) from error


def _located(config: SqliteConfig, rows: bool) -> AbstractContextManager[str | bytearray]:
    """The path of the file to open, or its content."""
    if isinstance(config, DatabaseFile):
        return nullcontext(real_path(config))
    return copied(config) if rows else outlined(config)


def _opened(config: SqliteConfig, place: str | bytearray) -> AbstractContextManager[Opened]:
    if isinstance(place, bytearray):
        return opened_content(place)
    return opened_file(place) if isinstance(config, DatabaseFile) else opened_copy(place)
