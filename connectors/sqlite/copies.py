"""What stands on this machine for a database in a bucket: all of it, or what tells its tables."""

import hashlib
import math
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from connectors.deadline import remaining
from connectors.errors import SourceError
from connectors.s3 import ObjectStream
from connectors.sqlite.config import DatabaseObject
from connectors.sqlite.errors import translated
from connectors.sqlite.opening import opened_copy
from connectors.sqlite.outline import SCHEMA_ROOT, Outline
from connectors.sqlite.shelf import disk_failures, scratch, shelved
from connectors.sqlite.stored import StoredDatabase, found_database

MOST_IN_MEMORY_BYTES = 100_000_000
_CHUNK_BYTES = 2**20
_STATISTICS = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'sqlite_stat1'"


@contextmanager
def copied(where: DatabaseObject) -> Iterator[str | bytearray]:
    """The path of a copy of the object as it is now, which nobody changes for as long as the context lasts.

    It is fetched unless there is one of the very same version, which the same keys have fetched. A process that may
    not write so large a file, as those that answer queries may not, gets the content itself, of small objects only.
    """
    with found_database(where) as database:
        size = database.stored.size
        if size <= _most_writable():
            with shelved(_name(where, database), size, partial(_fetch, database)) as path:
                yield path
        elif size <= MOST_IN_MEMORY_BYTES:
            yield _fetched(database)
        else:
            raise _too_large(size)


@contextmanager
def outlined(where: DatabaseObject) -> Iterator[str]:
    """The path of a file with the object's schema and statistics, however large the object is."""
    with found_database(where) as database, scratch(database.stored.size) as (path, descriptor):
        with disk_failures(database.stored.size):
            outline = Outline(database, descriptor)
            if database.page_bytes:
                outline.add_table(SCHEMA_ROOT)
            for root in _statistics(path):
                outline.add_table(root)
        yield path


def _fetch(database: StoredDatabase, descriptor: int) -> None:
    for chunk in _chunks(database):
        written = 0
        while written < len(chunk):
            written += os.write(descriptor, chunk[written:])


def _fetched(database: StoredDatabase) -> bytearray:
    content, place = bytearray(database.stored.size), 0
    for chunk in _chunks(database):
        content[place : place + len(chunk)] = chunk
        place += len(chunk)
    return content


def _chunks(database: StoredDatabase) -> Iterator[memoryview]:
    """All bytes of the version. ``BusyError`` where it is no longer the object's when they are fetched."""
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with ObjectStream(database.client, database.stored) as stream:
        while count := stream.readinto(buffer):
            yield buffer[:count]
            remaining()
    database.check_current()


def _most_writable() -> float:
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return math.inf if limit == resource.RLIM_INFINITY else limit


def _too_large(size: int) -> SourceError:
    found, most = (math.ceil(each / 10**6) for each in (size, MOST_IN_MEMORY_BYTES))
    return SourceError(
        f"The database has {found:,} MB, of which queries read {most} at the most straight from a bucket: copy its "
        "tables instead."
    )


def _statistics(path: str) -> list[int]:
    """Where the statistics begin, if there are any."""
    try:
        with opened_copy(path) as opened:
            return [root for (root,) in opened.connection.execute(_STATISTICS)]
    except sqlite3.Error as error:
        raise translated(error) from error


def _name(where: DatabaseObject, database: StoredDatabase) -> str:
    bucket, stored = where.bucket, database.stored
    place = (bucket.endpoint, bucket.region, bucket.access_key_id, bucket.name)
    version = (stored.key, stored.version, stored.size, stored.modified_at.isoformat())
    return hashlib.sha256(repr((place, version)).encode()).hexdigest()
