"""SQLite's errors as ``SourceError``s: what the user must do, in one sentence, without the library's words."""

import sqlite3

from connectors.errors import BusyError, ConfigurationError, SourceError, UnreachableError

RETRY_SECONDS = 2


def translated(error: sqlite3.Error, table: str | None = None) -> SourceError:
    """``table``: what was being read. The error's code decides; there is none for what Python itself found wrong."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code in _BY_EXTENDED_CODE:
        return _waiting(_BY_EXTENDED_CODE[code])
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return _waiting("Another program holds the database locked: try again when it is done.")
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return no_database()
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY:
            return _waiting("The database cannot be opened now: another program is just opening or closing it.")
        case sqlite3.SQLITE_IOERR:
            return UnreachableError("The disk with the database does not answer as it should.", attr="path")
        case sqlite3.SQLITE_FULL:
            return SourceError("The disk of the server has no room left to sort the rows of this table.")
        case sqlite3.SQLITE_INTERRUPT:
            return BusyError("The database took longer than the read may take.")
    what = f"the rows of {table}" if table else "the database"
    return SourceError(
        f"SQLite could not compute {what}: there may be a table, function or collation missing that it needs."
    )


def no_database() -> ConfigurationError:
    return ConfigurationError(
        "The file is no SQLite database, or a damaged or an encrypted one: check it by PRAGMA integrity_check.",
        attr="path",
    )


def _waiting(message: str) -> BusyError:
    return BusyError(message, retry_after_seconds=RETRY_SECONDS)


_UNFINISHED = "A program that crashed left the database in the middle of a write: open it once with that program."
_BY_EXTENDED_CODE = {
    sqlite3.SQLITE_READONLY_ROLLBACK: _UNFINISHED,
    sqlite3.SQLITE_READONLY_RECOVERY: _UNFINISHED,
    sqlite3.SQLITE_READONLY_CANTINIT: _UNFINISHED,
}
